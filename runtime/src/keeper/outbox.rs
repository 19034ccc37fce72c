//! The write half of a hold: what it owns, and a single write.
//!
//! While nothing waits, the thread that sends a message writes it to the socket itself, and the hold's task sleeps on.
//! What the socket does not take waits in the send buffer. The hold's task is woken then, and writes the rest.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::{Context, Waker};

use tokio::sync::Notify;

use abeyance_core::mechanisms::send_buffer::{Piece, SendBuffer};
use abeyance_core::mechanisms::topics::MemberSlot;
use abeyance_core::words::event_id::Numbered;
use abeyance_core::words::message::Message;
use abeyance_core::words::peer_io::PeerIo;
use abeyance_core::words::tick::Since;
use abeyance_core::words::topic::Topic;
use abeyance_settings::endpoint::WhenSlow;

use super::cursor::Cursor;
use super::end_request::EndRequest;
use super::message_class::MessageClass;
use super::time::Time;

/// The write half of a hold, behind the hold's own lock.
pub(crate) struct Outbox {
    /// `None` once the wire is finished, although handles on the hold may remain.
    pub(super) peer_io: Option<Arc<dyn PeerIo>>,
    pub(super) send_buffer: SendBuffer,
    /// The end that has begun. Nothing is accepted after it.
    pub(super) end_request: Option<Box<EndRequest>>,
    /// No `Vec`: an idle hold keeps it, and rarely joins more topics.
    pub(super) joined: Box<[(Topic, MemberSlot)]>,
    /// What came before `on_suspend` had returned and the replies were written. `None` once the hold is open.
    pub(super) pending: Option<Box<Pending>>,
    /// How far the hold has got in the topics that keep a history.
    pub(super) cursor: Option<Box<Cursor>>,
    /// How many bytes were read and not yet passed to a hook, those of the inbox not included.
    pub(super) inbound: u32,
    /// Messages that came by `POST` and wait for `on_message`.
    #[expect(clippy::box_collection, reason = "8 bytes of every hold instead of 32")]
    pub(super) inbox: Option<Box<VecDeque<Message>>>,
    pub(super) waker: Option<Waker>,
    /// Notified when there may be room, or the end has begun.
    pub(super) room: Option<Arc<Notify>>,
    /// Since when a write has made no progress. Progress moves it forward, by what the progress is worth.
    pub(super) blocked: Since,
    pub(super) reads_paused: bool,
    /// Since when writes are blocked or reads are paused, whichever came first. The time until both are over is
    /// credited to the peer as a whole.
    pub(super) unreadable_since: Since,
    pub(super) messages_out: u64,
    pub(super) bytes_out: u64,
    pub(super) undelivered: u32,
    pub(super) is_cut: bool,
    /// Whether the ending itself was given up.
    pub(super) is_broken_off: bool,
    /// How many published messages `when_slow` dropped. It may exceed a `u32` in a long life.
    pub(super) dropped: u64,
}

/// What came before the hold was open.
#[derive(Default)]
pub(super) struct Pending {
    /// Messages for the answer of a long poll. Other transports write direct messages at once.
    pub(super) direct: Vec<Message>,
    pub(super) live: VecDeque<Numbered>,
    bytes: usize,
    /// How much of it may be dropped, as [`cost`](Pending::cost) counts.
    droppable: usize,
}

impl Pending {
    /// Adds a message that is written once the hold is open.
    pub(super) fn push(&mut self, message: Numbered, class: MessageClass) {
        let length = message.message.len();
        self.bytes += length;
        match class {
            MessageClass::Direct => self.direct.push(message.message),
            MessageClass::Published => {
                self.droppable += length + SendBuffer::COST;
                self.live.push_back(message);
            }
        }
    }

    /// What waits here, as the send buffer counts it.
    pub(super) fn cost(&self) -> usize {
        self.bytes + (self.direct.len() + self.live.len()) * SendBuffer::COST
    }

    /// As [`SendBuffer::make_room`], but without the share of the kernel.
    pub(super) fn make_room(&mut self, more: usize, bound: usize) -> Option<usize> {
        let excess = (self.cost() + more).saturating_sub(bound);
        (excess <= self.droppable).then(|| self.drop_published(WhenSlow::DropOldest, excess))
    }

    /// As [`SendBuffer::drop_published`].
    pub(super) fn drop_published(&mut self, rule: WhenSlow, enough: usize) -> usize {
        let (mut freed, before) = (0, self.live.len());
        while freed < enough {
            let dropped = match rule {
                WhenSlow::DropOldest => self.live.pop_front(),
                WhenSlow::DropNewest => self.live.pop_back(),
                _ => None,
            };
            let Some(Numbered { message, .. }) = dropped else { break };
            freed += message.len() + SendBuffer::COST;
            self.bytes -= message.len();
            self.droppable -= message.len() + SendBuffer::COST;
        }
        before - self.live.len()
    }

    /// Takes all that came, in order: the answer of a long poll.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Numbered> {
        let Pending { direct, live, .. } = std::mem::take(self);
        direct.into_iter().map(Numbered::from).chain(live)
    }

    /// As [`SendBuffer::give_up`].
    pub(super) fn give_up(&mut self) -> usize {
        self.take().count()
    }
}

/// How a write went. Of several writes, the greatest tells the caller what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wrote {
    /// The socket took everything.
    All,
    /// It waits behind what waits already.
    Queued,
    /// The rest waits, and nothing waited before.
    Blocked,
}

impl Outbox {
    pub(super) fn new(peer_io: Arc<dyn PeerIo>) -> Self {
        Outbox {
            peer_io: Some(peer_io),
            send_buffer: SendBuffer::default(),
            end_request: None,
            joined: Box::default(),
            pending: Some(Box::default()),
            cursor: None,
            inbound: 0,
            inbox: None,
            waker: None,
            room: None,
            blocked: Since::NOT,
            reads_paused: false,
            unreadable_since: Since::NOT,
            messages_out: 0,
            bytes_out: 0,
            undelivered: 0,
            is_cut: false,
            is_broken_off: false,
            dropped: 0,
        }
    }

    /// Writes a piece now, or queues it behind what waits already.
    ///
    /// # Errors
    /// What the socket reports, other than `WouldBlock`.
    pub(super) fn write(&mut self, piece: Piece, time: &Time) -> io::Result<Wrote> {
        let mut written = 0;
        let was_empty = self.send_buffer.is_empty();
        if was_empty && let Some(peer_io) = &self.peer_io {
            match peer_io.try_write(&piece.bytes) {
                Ok(count) => written = count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            self.send_buffer.wrote(written);
            self.bytes_out += written as u64;
            if written > 0 {
                // This is progress. A piece that was blocked before may have been dropped to make room for this one.
                self.blocked = Since::NOT;
            }
            if written == piece.bytes.len() {
                self.count(&piece);
                return Ok(Wrote::All);
            }
        }
        self.send_buffer.push(piece, written);
        if !was_empty {
            return Ok(Wrote::Queued);
        }
        let now = time.mark();
        self.blocked.begin(now);
        self.unreadable_since.begin(now);
        Ok(Wrote::Blocked)
    }

    pub(super) fn count(&mut self, piece: &Piece) {
        self.messages_out += u64::from(piece.is_message());
    }

    /// How many bytes the kernel buffers for this peer.
    pub(super) fn kernel_share(&self) -> usize {
        self.peer_io.as_ref().map_or(0, |peer_io| peer_io.kernel_share())
    }

    /// How many bytes wait here for this peer and from it, as [`Budget`](super::budget::Budget) counts them.
    pub(super) fn waiting(&self) -> usize {
        let posted = self.inbox.as_ref().map_or(0, |inbox| inbox.iter().map(posted).sum());
        self.outbound() + self.inbound as usize + posted
    }

    /// How many bytes wait here for this peer, with the overhead of each piece. The share of the kernel is not
    /// included. A message that other holds share counts in full.
    pub(super) fn outbound(&self) -> usize {
        self.send_buffer.cost() + self.pending.as_ref().map_or(0, |pending| pending.cost())
    }

    /// How many bytes the end of this hold would free. Messages that came by `POST` are not included: they were
    /// accepted, and a hook will be called with them.
    pub(super) fn payable(&self) -> usize {
        self.outbound() + self.inbound as usize
    }

    /// Whether the hold must read the history itself, because no publisher delivers to it.
    pub(super) fn is_behind(&self) -> bool {
        self.cursor.as_ref().is_some_and(|cursor| cursor.is_behind())
            && self.pending.is_none()
            && self.end_request.is_none()
    }

    /// Whether a heartbeat may be written: nothing waits, and the hold is open.
    pub(super) fn is_clear(&self) -> bool {
        self.send_buffer.is_empty() && self.end_request.is_none() && self.pending.is_none()
    }

    /// How many accepted messages would not be delivered if nothing more were written.
    pub(super) fn undelivered(&self) -> u32 {
        let pending = self.pending.as_ref().map_or(0, |pending| pending.direct.len() + pending.live.len());
        self.undelivered + (self.send_buffer.messages() + pending) as u32
    }

    /// The waker of the hold's task, to call once the outbox is unlocked.
    pub(super) fn waker(&self) -> Option<Waker> {
        self.waker.clone()
    }

    /// Stores the waker of `cx`. Returns the old waker, to be dropped once the outbox is unlocked.
    #[must_use]
    pub(super) fn watch(&mut self, cx: &Context<'_>) -> Option<Waker> {
        if self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return None;
        }
        self.waker.replace(cx.waker().clone())
    }
}

/// What a message that came by `POST` costs while it waits.
pub(crate) fn posted(message: &Message) -> usize {
    message.len() + SendBuffer::COST
}
