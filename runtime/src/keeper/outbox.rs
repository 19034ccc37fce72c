//! The side of a hold that writes: what it owns, and a single write.
//!
//! With nothing waiting, whoever has something to write does so itself and the hold's task sleeps on. What the socket
//! does not take waits in the send buffer; the hold's task is woken and writes the rest when it can.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::{Context, Waker};

use tokio::sync::Notify;

use abeyance_core::mechanisms::send_buffer::{Kind, Piece, SendBuffer};
use abeyance_core::mechanisms::topics::MemberSlot;
use abeyance_core::words::event_id::Numbered;
use abeyance_core::words::message::Message;
use abeyance_core::words::peer_io::PeerIo;
use abeyance_core::words::tick::Since;
use abeyance_core::words::topic::Topic;
use abeyance_settings::endpoint::WhenSlow;

use super::cursor::Cursor;
use super::end_request::EndRequest;
use super::time::Time;

/// The side of a hold that writes; behind the hold's own lock.
pub(crate) struct Outbox {
    /// Gone once the wire is finished, whoever still has a handle on the hold.
    pub(super) socket: Option<Arc<dyn PeerIo>>,
    pub(super) send_buffer: SendBuffer,
    /// The end that has begun; nothing is accepted after it.
    pub(super) end_request: Option<Box<EndRequest>>,
    /// No `Vec`: an idle hold keeps it, and hardly ever joins more.
    pub(super) joined: Box<[(Topic, MemberSlot)]>,
    /// What is published before `on_suspend` and the replies are through.
    pub(super) opening: Option<Box<Pending>>,
    /// How far it has got in the topics that keep a history.
    pub(super) cursor: Option<Box<Cursor>>,
    /// How many bytes were read and are not heard yet; those of the inbox are not among them.
    pub(super) inbound: u32,
    /// Messages that came by `POST` and wait for `on_message`.
    #[expect(clippy::box_collection, reason = "8 bytes of every hold instead of 32")]
    pub(super) inbox: Option<Box<VecDeque<Message>>>,
    pub(super) waker: Option<Waker>,
    /// Whoever waits for room.
    pub(super) room: Option<Arc<Notify>>,
    /// Since when a write has made no progress; later by what its progress is worth.
    pub(super) blocked: Since,
    pub(super) is_deaf: bool,
    /// Since when we have been blocked or deaf, whichever came first: that silence is given back once, whole.
    pub(super) unheard: Since,
    pub(super) messages_out: u64,
    pub(super) bytes_out: u64,
    pub(super) undelivered: u32,
    pub(super) is_cut: bool,
    /// The ending itself was given up.
    pub(super) is_broken_off: bool,
    /// How many published messages the terms had dropped. As many as there is time for, so no `u32`.
    pub(super) dropped: u64,
}

#[derive(Default)]
pub(super) struct Pending {
    /// A long poll's answers so far; other forms write at once.
    pub(super) direct: Vec<Message>,
    pub(super) live: VecDeque<Numbered>,
    bytes: usize,
    /// What of it may be dropped, as [`cost`](Opening::cost) counts.
    droppable: usize,
}

impl Pending {
    /// Adds a message that comes once the hold is open.
    pub(super) fn push(&mut self, message: Numbered, origin: MessageClass) {
        let length = message.message.len();
        self.bytes += length;
        match origin {
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

    /// As [`SendBuffer::make_room`], without a kernel.
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

    /// All that came, in order: the answers of a long poll.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Numbered> {
        let Pending { direct, live, .. } = std::mem::take(self);
        direct.into_iter().map(Numbered::from).chain(live)
    }

    /// As [`SendBuffer::give_up`].
    pub(super) fn give_up(&mut self) -> usize {
        self.take().count()
    }
}

/// Who sends: what is published waits for `on_suspend` and the replies, what the application sends to this hold does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageClass {
    Direct,
    Published,
}

impl MessageClass {
    /// What a piece of this origin is: what the application sends to this hold alone is accepted once and for all.
    pub(super) fn kind(self) -> Kind {
        match self {
            MessageClass::Direct => Kind::Message,
            MessageClass::Published => Kind::Published,
        }
    }
}

/// How a write went. Of several, the greatest says what is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wrote {
    All,
    Queued,
    /// The rest waits, and nothing did before.
    Blocked,
}

impl Outbox {
    pub(super) fn new(socket: Arc<dyn PeerIo>) -> Self {
        Outbox {
            socket: Some(socket),
            send_buffer: SendBuffer::default(),
            end_request: None,
            joined: Box::default(),
            opening: Some(Box::default()),
            cursor: None,
            inbound: 0,
            inbox: None,
            waker: None,
            room: None,
            blocked: Since::NOT,
            is_deaf: false,
            unheard: Since::NOT,
            messages_out: 0,
            bytes_out: 0,
            undelivered: 0,
            is_cut: false,
            is_broken_off: false,
            dropped: 0,
        }
    }

    /// Writes a piece now, or has it wait behind what waits already.
    pub(super) fn write(&mut self, piece: Piece, time: &Time) -> io::Result<Wrote> {
        let mut written = 0;
        let was_empty = self.send_buffer.is_empty();
        if was_empty && let Some(socket) = &self.socket {
            match socket.try_write(&piece.bytes) {
                Ok(count) => written = count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            self.send_buffer.wrote(written);
            self.bytes_out += written as u64;
            if written > 0 {
                // Progress; and what was blocked before may have been dropped for this.
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
        self.unheard.begin(now);
        Ok(Wrote::Blocked)
    }

    pub(super) fn count(&mut self, piece: &Piece) {
        self.messages_out += u64::from(piece.is_message());
    }

    /// What the kernel keeps for this peer.
    pub(super) fn kernel_share(&self) -> usize {
        self.socket.as_ref().map_or(0, |socket| socket.kernel_share())
    }

    /// What waits here for this peer and from it, as the server's account has it.
    pub(super) fn waiting(&self) -> usize {
        let posted = self.inbox.as_ref().map_or(0, |inbox| inbox.iter().map(posted).sum());
        self.outbound() + self.inbound as usize + posted
    }

    /// What waits here for this peer: the bytes, and what each piece costs beside. The kernel's share is not in it, and a
    /// message that others wait for too counts whole.
    pub(super) fn outbound(&self) -> usize {
        self.send_buffer.cost() + self.opening.as_ref().map_or(0, |opening| opening.cost())
    }

    /// What ending this hold would free. What was posted is not in it: it was accepted, and will be heard.
    pub(super) fn payable(&self) -> usize {
        self.outbound() + self.inbound as usize
    }

    /// Whether there is something kept that it has not got and nobody will bring.
    pub(super) fn is_behind(&self) -> bool {
        self.cursor.as_ref().is_some_and(|cursor| cursor.is_behind())
            && self.opening.is_none()
            && self.end_request.is_none()
    }

    /// Whether a heartbeat may be written: nothing waits, and the head is out.
    pub(super) fn is_clear(&self) -> bool {
        self.send_buffer.is_empty() && self.end_request.is_none() && self.opening.is_none()
    }

    /// How many accepted messages would not be delivered if nothing more were written.
    pub(super) fn undelivered(&self) -> u32 {
        let opening = self.opening.as_ref().map_or(0, |opening| opening.direct.len() + opening.live.len());
        self.undelivered + (self.send_buffer.messages() + opening) as u32
    }

    /// Whom to wake, once the pen is put down.
    pub(super) fn waker(&self) -> Option<Waker> {
        self.waker.clone()
    }

    /// Watches for whoever polls; gives back whom to forget, once the pen is put down.
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
