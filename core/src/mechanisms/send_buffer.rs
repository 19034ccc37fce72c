//! What waits for one peer, and how much that may be: the bytes queued here and the bytes the kernel keeps for it.

mod queue;

use bytes::Bytes;

use abeyance_settings::endpoint::WhenSlow;
use queue::Queue;

/// The bytes that wait for one peer, in order.
///
/// The kernel's share is looked up only when it could matter: the most that it can need for what was
/// written since the last look is added to what was found then.
#[derive(Debug, Default)]
pub struct SendBuffer {
    /// Boxed, because an idle peer has none.
    queue: Option<Box<Queue>>,
    /// The most that the kernel can keep: what it said at the last look, and for what was written since.
    kernel: u32,
}

/// Something that is written whole before anything else is.
#[derive(Debug)]
pub struct Piece {
    pub bytes: Bytes,
    pub kind: Kind,
}

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message that was sent to this peer, and accepted: it is never dropped.
    Message,
    /// A message that was published: it may be dropped where the terms say so.
    Published,
    /// The answer to a ping: only the latest need be sent (RFC 6455 §5.5.3).
    Pong,
    /// A head, a heartbeat and the like.
    Other,
}

/// Whether more bytes may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There is room.
    Yes,
    /// There is none.
    No,
    /// Only the kernel knows: ask it and tell [`SendBuffer::looked`].
    Look,
}

impl SendBuffer {
    pub fn is_empty(&self) -> bool {
        self.queue.is_none()
    }

    /// Whether the first piece is half with the kernel: nothing else may follow but its rest.
    pub fn is_torn(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.is_torn())
    }

    /// What a piece that waits costs beside its bytes: its place, and room to grow. Else many tiny messages would cost
    /// many times the bound.
    pub const COST: usize = 64;

    /// How many messages wait, one that was begun included.
    pub fn messages(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.messages())
    }

    pub fn pieces(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.len())
    }

    /// What waits here: its bytes, and [`COST`](SendBuffer::COST) for each piece.
    pub fn cost(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.cost())
    }

    /// Whether `more` bytes may wait within `bound`, as far as is known without asking the kernel.
    pub fn room(&self, more: usize, bound: usize) -> Room {
        let ours = self.cost() + more;
        if ours > bound {
            Room::No
        } else if ours + self.kernel as usize <= bound {
            Room::Yes
        } else {
            Room::Look
        }
    }

    /// Records what the kernel says it keeps, and whether `more` bytes may wait after all.
    pub fn looked(&mut self, kernel: usize, more: usize, bound: usize) -> bool {
        self.kernel = clamp(kernel);
        self.room(more, bound) == Room::Yes
    }

    /// Records that the kernel took `count` bytes of a piece that never waited.
    pub fn wrote(&mut self, count: usize) {
        self.kernel = self.kernel.saturating_add(clamp(most_kept(count)));
    }

    /// Queues a piece of which the first `written` bytes are with the kernel already.
    pub fn push(&mut self, piece: Piece, written: usize) {
        self.queue.get_or_insert_default().push(piece, written);
    }

    /// Drops the published messages that have waited longest, and no more of them than must go for `more` bytes to fit.
    /// What was sent to this peer alone stays, and so does what is half with the kernel. Says how many went; `None` if it
    /// would not fit without all of them either: then nothing is dropped.
    ///
    /// To be asked right after a look at the kernel's share: what is dropped is gone.
    pub fn make_room(&mut self, more: usize, bound: usize) -> Option<usize> {
        let all = self.cost() + self.kernel as usize + more;
        let excess = all.saturating_sub(bound);
        let droppable = self.queue.as_ref().map_or(0, |queue| queue.droppable());
        (excess <= droppable).then(|| self.drop_published(WhenSlow::DropOldest, excess))
    }

    /// Drops published messages, from the end that `rule` names, until that has freed `enough` or there are none; says
    /// how many.
    pub fn drop_published(&mut self, rule: WhenSlow, enough: usize) -> usize {
        let count = self.queue.as_mut().map_or(0, |queue| queue.drop_published(rule, enough));
        self.let_go_if_empty();
        count
    }

    /// Gives up all that waits but a piece that is half with the kernel; says how many messages that were.
    pub fn give_up(&mut self) -> usize {
        let messages = self.queue.as_mut().map_or(0, |queue| queue.give_up());
        self.let_go_if_empty();
        messages
    }

    /// Puts a pong in the place of one that waits and is not begun; `false` if there is none.
    pub fn replace_pong(&mut self, bytes: &Bytes) -> bool {
        self.queue.as_mut().is_some_and(|queue| queue.replace_pong(bytes))
    }

    /// What to write next.
    pub fn next(&self) -> Option<&[u8]> {
        self.queue.as_ref()?.front()
    }

    /// Records that the kernel took `count` bytes of [`next`](SendBuffer::next); gives back the piece if that was all of it.
    pub fn advance(&mut self, count: usize) -> Option<Piece> {
        self.wrote(count);
        let piece = self.queue.as_mut()?.advance(count);
        self.let_go_if_empty();
        piece
    }

    fn let_go_if_empty(&mut self) {
        if self.queue.as_ref().is_some_and(|queue| queue.len() == 0) {
            self.queue = None;
        }
    }
}

impl Piece {
    pub fn is_message(&self) -> bool {
        self.kind.is_message()
    }
}

impl Kind {
    fn is_message(self) -> bool {
        matches!(self, Kind::Message | Kind::Published)
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
        let mut send_buffer = SendBuffer::default();
        send_buffer.push(piece("hello"), 2);
        send_buffer.push(piece("world"), 0);
        assert_eq!(send_buffer.next(), Some(&b"llo"[..]));
        assert!(send_buffer.advance(1).is_none());
        assert_eq!(send_buffer.next(), Some(&b"lo"[..]));
        assert_eq!(send_buffer.advance(2).map(|piece| piece.bytes), Some(Bytes::from("hello")));
        assert_eq!(send_buffer.next(), Some(&b"world"[..]));
        assert_eq!(send_buffer.messages(), 1);
        assert!(send_buffer.advance(5).is_some());
        assert!(send_buffer.is_empty());
    }

    #[test]
    fn an_empty_backlog_keeps_no_memory() {
        let mut send_buffer = SendBuffer::default();
        send_buffer.push(piece("x"), 0);
        send_buffer.advance(1);
        assert!(send_buffer.queue.is_none());
        assert!(size_of::<SendBuffer>() <= 16);
    }

    #[test]
    fn the_kernel_is_asked_only_when_its_share_could_matter() {
        let mut send_buffer = SendBuffer::default();
        send_buffer.wrote(1_000);
        let room = 10_000 - most_kept(1_000);
        assert_eq!(send_buffer.room(room, 10_000), Room::Yes);
        assert_eq!(send_buffer.room(room + 1, 10_000), Room::Look);
        assert!(send_buffer.looked(1_832, 8_168, 10_000));
        assert_eq!(send_buffer.room(8_168, 10_000), Room::Yes);
        assert!(!send_buffer.looked(9_500, 1_000, 10_000));
    }

    #[test]
    fn the_bound_holds_for_segments_of_any_size_and_cost() {
        const BOUND: usize = 256 << 10;
        // From the smallest receive buffer that Linux allows to an ordinary one, on this kernel and on older ones.
        let kernels = [(576, 832), (1_152, 1_280), (2_080, 832), (32_000, 832), (32_000, 1_280)];
        for ((carries, costs), size) in kernels.into_iter().flat_map(|kernel| {
            [1_usize, 64, 300, 1_000, 8_200, 20_000, 65_536].into_iter().map(move |size| (kernel, size))
        }) {
            let mut send_buffer = SendBuffer::default();
            let takes = size + size.div_ceil(carries) * costs;
            let mut keeps = 0;
            loop {
                let has_room = match send_buffer.room(size, BOUND) {
                    Room::Yes => true,
                    Room::No => false,
                    Room::Look => send_buffer.looked(keeps, size, BOUND),
                };
                if !has_room {
                    break;
                }
                keeps += takes;
                send_buffer.wrote(size);
            }
            // The last message had room for its bytes; what the kernel spends on it comes on top.
            assert!(keeps <= BOUND + takes - size, "{size} in {carries}: {keeps}");
            assert!(keeps + size > BOUND, "{size} in {carries}: {keeps} is no reason to refuse");
        }
    }

    #[test]
    fn a_refusal_is_never_based_on_an_old_look() {
        let mut send_buffer = SendBuffer::default();
        assert!(!send_buffer.looked(95, 10, 100));
        assert_eq!(send_buffer.room(10, 100), Room::Look);
    }

    #[test]
    fn many_tiny_messages_cost_more_than_their_bytes() {
        let mut send_buffer = SendBuffer::default();
        let fitting = (0..).take_while(|_| {
            let fits = send_buffer.room(1, 32 * 1024) == Room::Yes;
            send_buffer.push(piece("x"), 0);
            fits
        });
        assert!((400..600).contains(&fitting.count()));
    }

    #[test]
    fn what_waits_here_counts_no_matter_what_the_kernel_says() {
        let mut send_buffer = SendBuffer::default();
        send_buffer.push(Piece { bytes: Bytes::from(vec![0; 80]), kind: Kind::Message }, 0);
        assert_eq!(send_buffer.room(21, 100), Room::No);
    }

    #[test]
    fn room_is_made_of_what_was_published_and_only_if_it_suffices() {
        let bound = 4 * SendBuffer::COST;
        let mut send_buffer = SendBuffer::default();
        let published = |text| Piece { kind: Kind::Published, ..piece(text) };
        send_buffer.push(published("begun"), 1);
        send_buffer.push(piece("sent"), 0);
        send_buffer.push(published("old"), 0);
        send_buffer.push(published("new"), 0);
        assert_eq!(send_buffer.make_room(2 * SendBuffer::COST, bound), None);
        assert_eq!(send_buffer.messages(), 4);
        assert_eq!(send_buffer.make_room(1, bound), Some(1));
        send_buffer.looked(SendBuffer::COST, 1, bound);
        assert_eq!(send_buffer.make_room(1, bound), Some(1));
        assert_eq!(send_buffer.messages(), 2);
        send_buffer.advance(4);
        assert_eq!(send_buffer.next(), Some(&b"sent"[..]));
    }
}
