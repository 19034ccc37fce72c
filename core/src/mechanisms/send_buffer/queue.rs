//! What waits here for one peer, in order. What may be dropped lies apart from what may not, so that finding it and
//! dropping it costs the same however much waits.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Kind, Piece, SendBuffer};
use abeyance_settings::endpoint::WhenSlow;

/// Pieces in the order in which they came, less those that were dropped.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// What is never dropped.
    kept: VecDeque<Waiting>,
    /// What was published.
    published: VecDeque<Waiting>,
    /// The turn of the next piece.
    turn: u32,
    /// What is not yet with the kernel, of all pieces.
    bytes: usize,
    /// The same, of what was published.
    published_bytes: usize,
    /// How much of the front is with the kernel.
    offset: usize,
    /// How many of the kept are messages.
    kept_messages: usize,
}

/// A [`Piece`] with its turn. Flat, or every turn would cost eight bytes.
#[derive(Debug)]
struct Waiting {
    bytes: Bytes,
    turn: u32,
    kind: Kind,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.kept.len() + self.published.len()
    }

    /// What waits, with what each piece costs beside its bytes.
    pub(super) fn cost(&self) -> usize {
        self.bytes + self.len() * SendBuffer::COST
    }

    /// What dropping could free.
    pub(super) fn droppable(&self) -> usize {
        let begun = match self.begun_published() {
            0 => 0,
            _ => self.front().map_or(0, <[u8]>::len),
        };
        self.published_bytes - begun + (self.published.len() - self.begun_published()) * SendBuffer::COST
    }

    pub(super) fn is_torn(&self) -> bool {
        self.offset > 0
    }

    /// How many messages wait, one that was begun included.
    pub(super) fn messages(&self) -> usize {
        self.kept_messages + self.published.len()
    }

    /// Adds a piece of which the first `written` bytes are with the kernel already; only a first piece may be begun.
    pub(super) fn push(&mut self, piece: Piece, written: usize) {
        if self.len() == 0 {
            self.offset = written;
        }
        let Piece { bytes, kind } = piece;
        let left = bytes.len() - written;
        self.bytes += left;
        let waiting = Waiting { bytes, turn: self.turn, kind };
        self.turn = self.turn.wrapping_add(1);
        match kind {
            Kind::Published => {
                self.published_bytes += left;
                self.published.push_back(waiting);
            }
            Kind::Message | Kind::Pong | Kind::Other => {
                self.kept_messages += usize::from(kind == Kind::Message);
                self.kept.push_back(waiting);
            }
        }
    }

    /// What is left to write of the front.
    pub(super) fn front(&self) -> Option<&[u8]> {
        let side = if self.is_published_next() { &self.published } else { &self.kept };
        side.front().map(|front| &front.bytes[self.offset..])
    }

    /// Records that the kernel took `count` bytes of the front; gives back the piece if that was all of it.
    pub(super) fn advance(&mut self, count: usize) -> Option<Piece> {
        let is_published = self.is_published_next();
        self.bytes -= count;
        if is_published {
            self.published_bytes -= count;
        }
        let side = if is_published { &mut self.published } else { &mut self.kept };
        self.offset += count;
        if self.offset < side.front()?.bytes.len() {
            return None;
        }
        self.offset = 0;
        let Waiting { bytes, kind, .. } = side.pop_front()?;
        trim(side);
        self.kept_messages -= usize::from(kind == Kind::Message);
        Some(Piece { bytes, kind })
    }

    /// Drops what was published and is not begun, from the end that `rule` names, until that has freed `enough` or there
    /// is nothing more; says how many.
    pub(super) fn drop_published(&mut self, rule: WhenSlow, enough: usize) -> usize {
        let (begun, before) = (self.begun_published(), self.published.len());
        let mut freed = 0;
        while freed < enough && self.published.len() > begun {
            let dropped = match rule {
                // The second place at most, so this moves one piece and not all.
                WhenSlow::DropOldest => self.published.remove(begun),
                WhenSlow::DropNewest => self.published.pop_back(),
                _ => None,
            };
            let Some(Waiting { bytes, .. }) = dropped else { break };
            freed += bytes.len() + SendBuffer::COST;
            self.bytes -= bytes.len();
            self.published_bytes -= bytes.len();
        }
        let count = before - self.published.len();
        trim(&mut self.published);
        count
    }

    /// Gives up everything but a front that is begun; says how many messages that were.
    pub(super) fn give_up(&mut self) -> usize {
        let messages = self.messages();
        let is_published = self.is_published_next();
        let mut sides = (std::mem::take(&mut self.kept), std::mem::take(&mut self.published));
        let begun = match self.is_torn() {
            true if is_published => sides.1.pop_front(),
            true => sides.0.pop_front(),
            false => None,
        };
        let offset = self.offset;
        *self = Queue::default();
        if let Some(Waiting { bytes, kind, .. }) = begun {
            self.push(Piece { bytes, kind }, offset);
        }
        messages - self.messages()
    }

    /// Puts a pong in the place of one that waits and is not begun; `false` if there is none.
    pub(super) fn replace_pong(&mut self, bytes: &Bytes) -> bool {
        let begun = usize::from(self.is_torn() && !self.is_published_next());
        let mut waiting = self.kept.iter_mut().skip(begun);
        let Some(pong) = waiting.rfind(|waiting| waiting.kind == Kind::Pong) else { return false };
        self.bytes = self.bytes - pong.bytes.len() + bytes.len();
        pong.bytes = bytes.clone();
        true
    }

    fn is_published_next(&self) -> bool {
        match (self.kept.front(), self.published.front()) {
            // Turns begin anew after 2^32; no two that wait are so far apart.
            (Some(kept), Some(published)) => (published.turn.wrapping_sub(kept.turn) as i32) < 0,
            (None, Some(_)) => true,
            (_, None) => false,
        }
    }

    /// How many of the published are begun: one, if it is the front and torn.
    fn begun_published(&self) -> usize {
        usize::from(self.is_torn() && self.is_published_next())
    }
}

/// Gives back room for which pieces no longer count.
fn trim(side: &mut VecDeque<Waiting>) {
    if side.capacity() > 64 && side.len() < side.capacity() / 8 {
        side.shrink_to(side.capacity() / 4);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: [WhenSlow; 2] = [WhenSlow::DropOldest, WhenSlow::DropNewest];

    fn bytes(number: usize, length: usize) -> Bytes {
        vec![number as u8; length].into()
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push { kind: usize, length: usize, written: usize },
        Advance(usize),
        Drop { rule: usize, enough: usize },
        Pong(usize),
        GiveUp,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0usize..4, 1usize..40, 0usize..40)
                .prop_map(|(kind, length, written)| Step::Push { kind, length, written }),
            4 => (1usize..60).prop_map(Step::Advance),
            2 => (0usize..2, 0usize..400).prop_map(|(rule, enough)| Step::Drop { rule, enough }),
            1 => (1usize..9).prop_map(Step::Pong),
            1 => Just(Step::GiveUp),
        ]
    }

    /// The same in one list, by searching.
    #[derive(Default)]
    struct Naive {
        pieces: Vec<(Kind, Bytes)>,
        offset: usize,
    }

    impl Naive {
        fn drop_published(&mut self, rule: WhenSlow, enough: usize) -> Vec<Bytes> {
            let (mut dropped, mut freed) = (Vec::new(), 0);
            while freed < enough {
                let begun = usize::from(self.offset > 0);
                let mut places =
                    (begun..self.pieces.len()).filter(|at| self.pieces[*at].0 == Kind::Published);
                let place = if rule == WhenSlow::DropOldest { places.next() } else { places.next_back() };
                let Some(place) = place else { break };
                let (_, bytes) = self.pieces.remove(place);
                freed += bytes.len() + SendBuffer::COST;
                dropped.push(bytes);
            }
            dropped
        }

        fn droppable(&self) -> usize {
            let published = self.pieces.iter().skip(usize::from(self.offset > 0));
            let published = published.filter(|(kind, _)| *kind == Kind::Published);
            published.map(|(_, bytes)| bytes.len() + SendBuffer::COST).sum()
        }
    }

    proptest! {
        #[test]
        fn it_is_one_list_whose_published_pieces_can_be_dropped(steps in prop::collection::vec(step(), 0..200)) {
            let (mut queue, mut naive) = (Queue::default(), Naive::default());
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Push { kind, length, written } => {
                        let kind = [Kind::Published, Kind::Message, Kind::Pong, Kind::Other][kind];
                        let is_first = naive.pieces.is_empty();
                        let written = if is_first { written.min(length - 1) } else { 0 };
                        naive.offset = if is_first { written } else { naive.offset };
                        naive.pieces.push((kind, bytes(number, length)));
                        queue.push(Piece { bytes: bytes(number, length), kind }, written);
                    }
                    Step::Advance(count) => {
                        let Some(front) = queue.front() else { continue };
                        let count = count.min(front.len());
                        naive.offset += count;
                        let is_whole = naive.offset == naive.pieces[0].1.len();
                        let piece = queue.advance(count);
                        prop_assert_eq!(piece.is_some(), is_whole);
                        if let Some(piece) = piece {
                            naive.offset = 0;
                            prop_assert_eq!((piece.kind, piece.bytes), naive.pieces.remove(0));
                        }
                    }
                    Step::Drop { rule, enough } => {
                        let count = queue.drop_published(RULES[rule], enough);
                        prop_assert_eq!(count, naive.drop_published(RULES[rule], enough).len());
                    }
                    Step::Pong(length) => {
                        let begun = usize::from(naive.offset > 0);
                        let place = naive.pieces.iter().skip(begun).rposition(|(kind, _)| *kind == Kind::Pong);
                        prop_assert_eq!(queue.replace_pong(&bytes(number, length)), place.is_some());
                        if let Some(place) = place {
                            naive.pieces[begun + place].1 = bytes(number, length);
                        }
                    }
                    Step::GiveUp => {
                        let left = usize::from(naive.offset > 0);
                        let gone = naive.pieces.split_off(left);
                        let messages = gone.iter().filter(|(kind, _)| kind.is_message()).count();
                        prop_assert_eq!(queue.give_up(), messages);
                    }
                }
                let rest: usize = naive.pieces.iter().map(|(_, bytes)| bytes.len() + SendBuffer::COST).sum();
                prop_assert_eq!(queue.cost(), rest - naive.offset);
                prop_assert_eq!(queue.droppable(), naive.droppable());
                prop_assert_eq!(queue.len(), naive.pieces.len());
                let messages = naive.pieces.iter().filter(|(kind, _)| kind.is_message()).count();
                prop_assert_eq!(queue.messages(), messages);
                prop_assert_eq!(queue.front(), naive.pieces.first().map(|(_, bytes)| &bytes[naive.offset..]));
            }
        }
    }

    #[test]
    fn the_order_stands_when_turns_begin_anew() {
        let mut queue = Queue { turn: u32::MAX - 1, ..Queue::default() };
        for (number, kind) in
            [Kind::Published, Kind::Message, Kind::Published, Kind::Message].into_iter().enumerate()
        {
            queue.push(Piece { bytes: bytes(number, 1), kind }, 0);
        }
        for number in 0..4 {
            assert_eq!(queue.advance(1).map(|piece| piece.bytes), Some(bytes(number, 1)));
        }
    }

    #[test]
    fn room_is_given_back_with_what_it_was_for() {
        let mut queue = Queue::default();
        for number in 0..10_000 {
            queue.push(Piece { bytes: bytes(number, 1), kind: Kind::Published }, 0);
        }
        queue.drop_published(WhenSlow::DropNewest, 9_990 * (1 + SendBuffer::COST));
        assert!(
            queue.len() == 10 && queue.published.capacity() <= 10_000 / 2,
            "{}",
            queue.published.capacity()
        );
        assert_eq!(size_of::<Waiting>(), 40);
    }
}
