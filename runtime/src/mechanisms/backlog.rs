//! What waits for one peer, and how much that may be: the bytes queued here and the bytes the kernel keeps for it.

use std::collections::VecDeque;

use bytes::Bytes;

/// The bytes that wait for one peer, in order.
///
/// The kernel's share is looked up only when it could matter: the [most](most_kept) that it can need for what was
/// written since the last look is added to what was found then.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// Boxed, because an idle peer has none.
    #[expect(clippy::box_collection, reason = "8 bytes of every hold instead of 32")]
    queue: Option<Box<VecDeque<Piece>>>,
    queued: u32,
    offset: u32,
    /// The most that the kernel can keep: what it said at the last look, and for what was written since.
    kernel: u32,
}

/// Something that is written whole before anything else is.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) bytes: Bytes,
    pub(crate) kind: Kind,
}

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An application's message.
    Message,
    /// The answer to a ping: only the latest need be sent (RFC 6455 §5.5.3).
    Pong,
    /// A head, a heartbeat and the like.
    Other,
}

/// Whether more bytes may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// There is room.
    Yes,
    /// There is none.
    No,
    /// Only the kernel knows: ask it and tell [`Backlog::looked`].
    Look,
}

impl Backlog {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_none()
    }

    /// Whether the first piece is half with the kernel: nothing else may follow but its rest.
    pub(crate) fn is_torn(&self) -> bool {
        self.offset > 0
    }

    /// What a piece that waits costs beside its bytes: its place, and room to grow. Else many tiny messages would cost
    /// many times the bound.
    pub(crate) const COST: usize = 64;

    /// How many messages wait, one that was begun included.
    pub(crate) fn messages(&self) -> usize {
        self.pieces().filter(|piece| piece.is_message()).count()
    }

    /// Whether `more` bytes may wait within `bound`, as far as is known without asking the kernel.
    pub(crate) fn room(&self, more: usize, bound: usize) -> Room {
        let pieces = self.queue.as_ref().map_or(0, |queue| queue.len());
        let ours = self.queued as usize + pieces * Self::COST + more;
        if ours > bound {
            Room::No
        } else if ours + self.kernel as usize <= bound {
            Room::Yes
        } else {
            Room::Look
        }
    }

    /// Notes what the kernel says it keeps, and whether `more` bytes may wait after all.
    pub(crate) fn looked(&mut self, kernel: usize, more: usize, bound: usize) -> bool {
        self.kernel = clamp(kernel);
        self.room(more, bound) == Room::Yes
    }

    /// Notes that the kernel took `count` bytes of a piece that never waited.
    pub(crate) fn wrote(&mut self, count: usize) {
        self.kernel = self.kernel.saturating_add(clamp(most_kept(count)));
    }

    /// Queues a piece of which the first `written` bytes are with the kernel already.
    pub(crate) fn push(&mut self, piece: Piece, written: usize) {
        let queue = self.queue.get_or_insert_default();
        if queue.is_empty() {
            self.offset = clamp(written);
        }
        self.queued = self.queued.saturating_add(clamp(piece.bytes.len() - written));
        queue.push_back(piece);
    }

    /// Drops the oldest message but the front, which is begun or blocked; `false` if there is none.
    pub(crate) fn drop_oldest(&mut self) -> bool {
        let Some(queue) = &mut self.queue else { return false };
        let oldest = queue.iter().skip(1).position(Piece::is_message);
        let Some(piece) = oldest.and_then(|at| queue.remove(1 + at)) else { return false };
        self.queued = self.queued.saturating_sub(clamp(piece.bytes.len()));
        true
    }

    /// Puts a pong in the place of one that waits and is not begun; `false` if there is none.
    pub(crate) fn replace_pong(&mut self, bytes: &Bytes) -> bool {
        let begun = usize::from(self.offset > 0);
        let waiting = self.queue.iter_mut().flat_map(|queue| queue.iter_mut().skip(begun));
        let Some(pong) = waiting.rev().find(|piece| piece.kind == Kind::Pong) else { return false };
        self.queued = self.queued.saturating_sub(clamp(pong.bytes.len())).saturating_add(clamp(bytes.len()));
        pong.bytes = bytes.clone();
        true
    }

    /// What to write next.
    pub(crate) fn next(&self) -> Option<&[u8]> {
        let piece = self.queue.as_ref()?.front()?;
        Some(&piece.bytes[self.offset as usize..])
    }

    /// Notes that the kernel took `count` bytes of [`next`](Backlog::next); gives back the piece if that was all of it.
    pub(crate) fn advance(&mut self, count: usize) -> Option<Piece> {
        self.wrote(count);
        self.queued = self.queued.saturating_sub(clamp(count));
        let queue = self.queue.as_mut()?;
        let front = queue.front()?;
        let offset = self.offset as usize + count;
        if offset < front.bytes.len() {
            self.offset = clamp(offset);
            return None;
        }
        self.offset = 0;
        let piece = queue.pop_front();
        if queue.is_empty() {
            self.queue = None;
        }
        piece
    }

    fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.queue.iter().flat_map(|queue| queue.iter())
    }
}

impl Piece {
    pub(crate) fn is_message(&self) -> bool {
        self.kind == Kind::Message
    }
}

/// The most that the kernel keeps for one write of so many bytes.
///
/// Each of its segments costs 832 bytes beside what it carries, on older kernels 1,280, and every write may begin one.
/// How much they carry is up to the peer: half of the largest window that it ever offered. Where its receive buffer is
/// the smallest that Linux allows that is 576 bytes, and nearly three are kept for one. An ordinary peer's carry 32 KiB
/// and cost next to nothing; there this is far too much, and costs a look now and then.
fn most_kept(count: usize) -> usize {
    const SEGMENT: usize = 1_280;
    if count == 0 { 0 } else { count.saturating_mul(3).saturating_add(SEGMENT) }
}

/// Backlogs are far below 4 GiB; a kernel that says more means "full" all the same.
fn clamp(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &'static str) -> Piece {
        Piece { bytes: Bytes::from_static(text.as_bytes()), kind: Kind::Message }
    }

    #[test]
    fn pieces_leave_in_order_and_in_parts() {
        let mut backlog = Backlog::default();
        backlog.push(piece("hello"), 2);
        backlog.push(piece("world"), 0);
        assert_eq!(backlog.next(), Some(&b"llo"[..]));
        assert!(backlog.advance(1).is_none());
        assert_eq!(backlog.next(), Some(&b"lo"[..]));
        assert_eq!(backlog.advance(2).map(|piece| piece.bytes), Some(Bytes::from("hello")));
        assert_eq!(backlog.next(), Some(&b"world"[..]));
        assert_eq!(backlog.messages(), 1);
        assert!(backlog.advance(5).is_some());
        assert!(backlog.is_empty());
    }

    #[test]
    fn an_empty_backlog_keeps_no_memory() {
        let mut backlog = Backlog::default();
        backlog.push(piece("x"), 0);
        backlog.advance(1);
        assert!(backlog.queue.is_none());
        assert!(size_of::<Backlog>() <= 24);
    }

    #[test]
    fn the_kernel_is_asked_only_when_its_share_could_matter() {
        let mut backlog = Backlog::default();
        backlog.wrote(1_000);
        let room = 10_000 - most_kept(1_000);
        assert_eq!(backlog.room(room, 10_000), Room::Yes);
        assert_eq!(backlog.room(room + 1, 10_000), Room::Look);
        assert!(backlog.looked(1_832, 8_168, 10_000));
        assert_eq!(backlog.room(8_168, 10_000), Room::Yes);
        assert!(!backlog.looked(9_500, 1_000, 10_000));
    }

    #[test]
    fn the_bound_holds_whatever_a_segment_carries_and_costs() {
        const BOUND: usize = 256 << 10;
        // From the smallest receive buffer that Linux allows to an ordinary one, on this kernel and on older ones.
        let kernels = [(576, 832), (1_152, 1_280), (2_080, 832), (32_000, 832), (32_000, 1_280)];
        for ((carries, costs), size) in kernels.into_iter().flat_map(|kernel| {
            [1_usize, 64, 300, 1_000, 8_200, 20_000, 65_536].into_iter().map(move |size| (kernel, size))
        }) {
            let mut backlog = Backlog::default();
            let takes = size + size.div_ceil(carries) * costs;
            let mut keeps = 0;
            loop {
                let has_room = match backlog.room(size, BOUND) {
                    Room::Yes => true,
                    Room::No => false,
                    Room::Look => backlog.looked(keeps, size, BOUND),
                };
                if !has_room {
                    break;
                }
                keeps += takes;
                backlog.wrote(size);
            }
            // The last message had room for its bytes; what the kernel spends on it comes on top.
            assert!(keeps <= BOUND + takes - size, "{size} in {carries}: {keeps}");
            assert!(keeps + size > BOUND, "{size} in {carries}: {keeps} is no reason to refuse");
        }
    }

    #[test]
    fn a_refusal_is_never_based_on_an_old_look() {
        let mut backlog = Backlog::default();
        assert!(!backlog.looked(95, 10, 100));
        assert_eq!(backlog.room(10, 100), Room::Look);
    }

    #[test]
    fn many_tiny_messages_cost_more_than_their_bytes() {
        let mut backlog = Backlog::default();
        let fitting = (0..).take_while(|_| {
            let fits = backlog.room(1, 32 * 1024) == Room::Yes;
            backlog.push(piece("x"), 0);
            fits
        });
        assert!((400..600).contains(&fitting.count()));
    }

    #[test]
    fn what_waits_here_counts_whatever_the_kernel_says() {
        let mut backlog = Backlog::default();
        backlog.push(Piece { bytes: Bytes::from(vec![0; 80]), kind: Kind::Message }, 0);
        assert_eq!(backlog.room(21, 100), Room::No);
    }
}
