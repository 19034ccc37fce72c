//! What is written to one peer, in order, by whoever has something to write.
//!
//! With nothing waiting, a publisher writes to the socket itself and the hold's task sleeps on. What the socket does
//! not take waits in the backlog; the hold's task is woken and writes the rest when it can.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::MutexGuard;
use tokio::sync::Notify;

use crate::mechanisms::backlog::{Backlog, Piece, Room};
use crate::mechanisms::topics::Place;
use crate::mechanisms::wire::{Encoded, Form};
use crate::words::cause::{Disconnect, End, Resume};
use crate::words::line::Line;
use crate::words::message::Message;
use crate::words::tick::Tick;
use crate::words::topic::Topic;

use super::end::Note;
use super::hold::Hold;
use super::time::Time;

/// The side of a hold that writes; behind the hold's own lock.
pub(crate) struct Pen {
    /// Gone once the wire is finished, whoever still has a handle on the hold.
    pub(super) line: Option<Arc<dyn Line>>,
    pub(super) backlog: Backlog,
    /// The end that has begun; nothing is accepted after it.
    pub(super) note: Option<Box<Note>>,
    pub(super) joined: Vec<(Topic, Place)>,
    /// What is published before `on_suspend` and the replies are through.
    opening: Option<Box<Opening>>,
    /// Messages that came by `POST` and wait for `on_message`.
    inbox: Option<Box<VecDeque<Message>>>,
    waker: Option<Waker>,
    /// Whoever waits for room.
    pub(super) room: Option<Arc<Notify>>,
    pub(super) blocked: Option<Tick>,
    pub(super) deaf: Option<Tick>,
    pub(super) messages_out: u64,
    pub(super) bytes_out: u64,
    pub(super) undelivered: u32,
    pub(super) is_cut: bool,
}

#[derive(Default)]
struct Opening {
    /// A long poll's answers so far; other forms write at once.
    direct: Vec<Message>,
    live: Vec<Message>,
    bytes: usize,
}

/// Who sends: what is published waits for `on_suspend` and the replies, what the application sends to this hold does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Direct,
    Published,
}

/// Why a message was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Full,
    Ended,
    TooLarge,
}

/// Why a message that came by `POST` was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PostRefusal {
    Ended,
    Full,
}

/// Nothing can be written any more: an end has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// How a write went.
enum Wrote {
    All,
    /// The rest waits, and nothing did before.
    Blocked,
    Queued,
}

impl Pen {
    /// How many messages that came by `POST` may wait.
    const INBOX: usize = 8;

    pub(super) fn new(line: Arc<dyn Line>) -> Self {
        Pen {
            line: Some(line),
            backlog: Backlog::default(),
            note: None,
            joined: Vec::new(),
            opening: Some(Box::default()),
            inbox: None,
            waker: None,
            room: None,
            blocked: None,
            deaf: None,
            messages_out: 0,
            bytes_out: 0,
            undelivered: 0,
            is_cut: false,
        }
    }

    /// Writes a piece now, or has it wait behind what waits already.
    fn write(&mut self, piece: Piece, time: &Time) -> io::Result<Wrote> {
        let mut written = 0;
        let was_empty = self.backlog.is_empty();
        if was_empty && let Some(line) = &self.line {
            match line.try_write(&piece.bytes) {
                Ok(count) if count == piece.bytes.len() => {
                    self.backlog.wrote(count);
                    self.count(&piece);
                    return Ok(Wrote::All);
                }
                Ok(count) => written = count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            self.backlog.wrote(written);
        }
        self.backlog.push(piece, written);
        if !was_empty {
            return Ok(Wrote::Queued);
        }
        self.blocked = Some(time.now());
        Ok(Wrote::Blocked)
    }

    fn count(&mut self, piece: &Piece) {
        self.bytes_out += piece.bytes.len() as u64;
        self.messages_out += u64::from(piece.is_message);
    }

    fn has_room(&mut self, more: usize, bound: usize) -> bool {
        match self.backlog.room(more, bound) {
            Room::Yes => true,
            Room::No => false,
            Room::Look => {
                let share = self.line.as_ref().map_or(0, |line| line.kernel_share());
                self.backlog.looked(share, more, bound)
            }
        }
    }

    /// Whether a heartbeat may be written: nothing waits, and the head is out.
    pub(super) fn is_clear(&self) -> bool {
        self.backlog.is_empty() && self.note.is_none() && self.opening.is_none()
    }

    pub(super) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    fn watch(&mut self, cx: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }

    /// Drops what still waits; it will not be delivered.
    pub(super) fn discard(&mut self) {
        let opening = self.opening.take().map_or(0, |opening| opening.direct.len() + opening.live.len());
        self.undelivered += (self.backlog.messages() + opening) as u32;
        self.backlog.clear();
        self.blocked = None;
    }
}

impl Hold {
    /// Sends a message, or says why not. Never waits.
    pub(crate) fn send(&self, message: &Encoded<'_>, origin: Origin) -> Result<(), Refusal> {
        let bound = self.post.terms.backlog;
        let mut pen = self.pen.lock();
        if pen.note.is_some() {
            return Err(Refusal::Ended);
        }
        if self.form == Form::LongPoll || (origin == Origin::Published && pen.opening.is_some()) {
            let length = message.message().len();
            if length > bound {
                return Err(Refusal::TooLarge);
            }
            let Some(opening) = &mut pen.opening else {
                drop(pen);
                return self.answer(message.message().clone());
            };
            if opening.bytes + length > bound {
                return Err(Refusal::Full);
            }
            opening.bytes += length;
            match origin {
                Origin::Direct => opening.direct.push(message.message().clone()),
                Origin::Published => opening.live.push(message.message().clone()),
            }
            return Ok(());
        }
        let bytes = message.form(self.form);
        if bytes.len() > bound {
            return Err(Refusal::TooLarge);
        }
        if !pen.has_room(bytes.len(), bound) {
            return Err(Refusal::Full);
        }
        let wrote = pen.write(Piece { bytes, is_message: true }, self.keeper().time());
        if matches!(wrote, Ok(Wrote::All)) {
            self.note_activity();
        }
        self.after(wrote, pen).map_err(|Closed| Refusal::Ended)
    }

    /// Writes something that is no message and needs no room: a head, a pong, a heartbeat.
    pub(crate) fn write(&self, bytes: Bytes) -> Result<(), Closed> {
        let mut pen = self.pen.lock();
        if pen.note.is_some() {
            return Err(Closed);
        }
        let wrote = pen.write(Piece { bytes, is_message: false }, self.keeper().time());
        self.after(wrote, pen)
    }

    /// Writes something that is worth no memory: dropped if there is no room (a pong for a peer that does not read).
    pub(crate) fn write_if_room(&self, bytes: Bytes) {
        let mut pen = self.pen.lock();
        if pen.note.is_none() && pen.has_room(bytes.len(), self.post.terms.backlog) {
            let wrote = pen.write(Piece { bytes, is_message: false }, self.keeper().time());
            let _ = self.after(wrote, pen);
        }
    }

    /// `on_suspend` is through: the replies go out, then what was published meanwhile, then everything live.
    pub(crate) fn open(&self, replies: Vec<Message>) {
        let mut pen = self.pen.lock();
        let Some(opening) = pen.opening.take() else { return };
        if pen.note.is_some() {
            pen.undelivered += (opening.direct.len() + replies.len() + opening.live.len()) as u32;
            return;
        }
        if self.form == Form::LongPoll {
            let answers: Vec<_> = opening.direct.into_iter().chain(replies).chain(opening.live).collect();
            drop(pen);
            if !answers.is_empty() {
                self.keeper().end(self, Note::with_farewell(Resume::Answered, answers));
            }
            return;
        }
        let mut first = Ok(Wrote::All);
        for message in replies.iter().chain(&opening.live) {
            let bytes = Encoded::new(message).form(self.form);
            // Not bounded by the backlog: the replies are the application's own, the rest was bounded when it came.
            match pen.write(Piece { bytes, is_message: true }, self.keeper().time()) {
                Ok(Wrote::All) => self.note_activity(),
                Ok(Wrote::Queued) => {}
                blocked_or_broken => {
                    let is_broken = blocked_or_broken.is_err();
                    first = blocked_or_broken;
                    if is_broken {
                        break;
                    }
                }
            }
        }
        let _ = self.after(first, pen);
    }

    /// Writes what waits; ready when nothing does.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pen = self.pen.lock();
        loop {
            let Pen { line: Some(line), backlog, .. } = &*pen else { return Poll::Ready(Ok(())) };
            let Some(bytes) = backlog.next() else { return Poll::Ready(Ok(())) };
            match line.try_write(bytes) {
                Ok(count) => {
                    let done = pen.backlog.advance(count);
                    pen.blocked = if pen.backlog.is_empty() {
                        self.unblock(&mut pen)
                    } else {
                        Some(self.keeper().time().now())
                    };
                    if let Some(piece) = done {
                        pen.count(&piece);
                        if piece.is_message {
                            self.note_activity();
                        }
                        if let Some(room) = &pen.room {
                            room.notify_waiters();
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match line.poll_writable(cx) {
                    Poll::Ready(Ok(())) => {}
                    other => return other,
                },
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Ready when an end has begun.
    pub(crate) fn poll_noted(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut pen = self.pen.lock();
        if pen.note.is_some() {
            return Poll::Ready(());
        }
        pen.watch(cx);
        Poll::Pending
    }

    /// Puts the ending behind what waits, whatever the backlog allows.
    pub(crate) fn write_last(&self, pieces: impl IntoIterator<Item = Piece>) -> io::Result<()> {
        let mut pen = self.pen.lock();
        for piece in pieces {
            pen.write(piece, self.keeper().time())?;
        }
        Ok(())
    }

    /// Writes the ending in place of what waits, if the peer takes it whole at once.
    pub(crate) fn write_last_word(&self, bytes: &[u8]) -> bool {
        let mut pen = self.pen.lock();
        let is_clean = !pen.backlog.is_torn();
        pen.discard();
        is_clean
            && pen
                .line
                .as_ref()
                .is_some_and(|line| line.try_write(bytes).is_ok_and(|count| count == bytes.len()))
    }

    /// Counts the messages of a long poll's answer, and those that found no place in it.
    pub(crate) fn count_answer(&self, carried: usize, left: usize) {
        let mut pen = self.pen.lock();
        pen.messages_out += carried as u64;
        pen.undelivered += left as u32;
    }

    /// Drops what still waits, and counts it as not delivered.
    pub(crate) fn discard(&self) {
        self.pen.lock().discard();
    }

    /// Lets go of the line, and counts what was not delivered.
    pub(crate) fn put_down(&self) {
        let mut pen = self.pen.lock();
        pen.discard();
        let line = pen.line.take();
        drop(pen);
        drop(line);
    }

    /// Ready when this hold must not go on ending politely: too many others are.
    pub(crate) fn poll_cut(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut pen = self.pen.lock();
        if pen.is_cut {
            return Poll::Ready(());
        }
        pen.watch(cx);
        Poll::Pending
    }

    /// Told when there may be room in the backlog.
    pub(super) fn room(&self) -> Arc<Notify> {
        self.pen.lock().room.get_or_insert_with(Arc::default).clone()
    }

    /// A message that came by `POST`.
    pub(crate) fn post(&self, message: Message) -> Result<(), PostRefusal> {
        let mut pen = self.pen.lock();
        if pen.note.is_some() {
            return Err(PostRefusal::Ended);
        }
        let inbox = pen.inbox.get_or_insert_default();
        if inbox.len() >= Pen::INBOX {
            return Err(PostRefusal::Full);
        }
        inbox.push_back(message);
        pen.wake();
        Ok(())
    }

    /// The next message that came by `POST`.
    pub(crate) fn take_posted(&self) -> Option<Message> {
        let mut pen = self.pen.lock();
        let inbox = pen.inbox.as_mut()?;
        let message = inbox.pop_front();
        if inbox.is_empty() {
            pen.inbox = None;
        }
        message
    }

    /// We stop reading from the peer: its silence proves nothing until [`listen`](Hold::listen).
    pub(crate) fn deafen(&self) {
        self.pen.lock().deaf = Some(self.keeper().time().now());
    }

    /// We read again.
    pub(crate) fn listen(&self) {
        let now = self.keeper().time().now();
        let mut pen = self.pen.lock();
        if let Some(since) = pen.deaf.take() {
            self.give_back_silence(since, now);
        }
    }

    fn unblock(&self, pen: &mut Pen) -> Option<Tick> {
        if let Some(since) = pen.blocked {
            self.give_back_silence(since, self.keeper().time().now());
        }
        None
    }

    /// A long poll's message is its answer, and its end.
    fn answer(&self, message: Message) -> Result<(), Refusal> {
        match self.keeper().end(self, Note::with_farewell(Resume::Answered, vec![message])) {
            true => Ok(()),
            false => Err(Refusal::Ended),
        }
    }

    /// Draws the consequences of a write, with the pen put down.
    fn after(&self, wrote: io::Result<Wrote>, pen: MutexGuard<'_, Pen>) -> Result<(), Closed> {
        match wrote {
            Ok(Wrote::All | Wrote::Queued) => Ok(()),
            Ok(Wrote::Blocked) => {
                pen.wake();
                drop(pen);
                let keeper = self.keeper();
                keeper.hasten(self, keeper.time().now().plus(keeper.policy().write_deadline));
                Ok(())
            }
            Err(error) => {
                let end = self.fault(&error, pen.line.as_deref());
                drop(pen);
                self.keeper().end(self, end.into());
                Err(Closed)
            }
        }
    }

    /// What an error of the socket says about the peer.
    pub(crate) fn fault(&self, error: &io::Error, line: Option<&dyn Line>) -> End {
        match error.kind() {
            io::ErrorKind::TimedOut => {
                // The kernel also gives up on a peer that is there but takes nothing: then it answered lately.
                let patience = self.keeper().policy().write_deadline;
                match line.and_then(|line| line.last_answer()) {
                    Some(ago) if ago < patience => Disconnect::Stalled.into(),
                    _ => Disconnect::Unreachable.into(),
                }
            }
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                Disconnect::Unreachable.into()
            }
            _ => Disconnect::Reset.into(),
        }
    }
}
