//! Sending to one peer: messages, the replies that open a hold, and what is no message.

use std::io;

use bytes::Bytes;
use parking_lot::MutexGuard;

use crate::mechanisms::backlog::{Kind, Piece};
use crate::mechanisms::wire::{Encoded, Form};
use crate::words::cause::Resume;
use crate::words::message::Message;
use crate::words::terms::WhenSlow;

use super::hold::Hold;
use super::note::Note;
use super::pen::{Pen, Wrote, wake};

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

/// Nothing can be written any more: an end has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

impl Hold {
    /// Sends a message, or says why not. Never waits.
    pub(crate) fn send(&self, message: &Encoded<'_>, origin: Origin) -> Result<(), Refusal> {
        let bound = self.post.terms.backlog;
        let drops_oldest = origin == Origin::Published && self.post.terms.when_slow == WhenSlow::DropOldest;
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
            let mut dropped = 0;
            while drops_oldest && opening.cost() + length > bound && !opening.live.is_empty() {
                opening.bytes -= opening.live.remove(0).len();
                dropped += 1;
            }
            let is_full = opening.cost() + length > bound;
            if is_full {
                pen.undelivered += dropped;
                return Err(Refusal::Full);
            }
            opening.bytes += length;
            match origin {
                Origin::Direct => opening.direct.push(message.message().clone()),
                Origin::Published => opening.live.push(message.message().clone()),
            }
            pen.undelivered += dropped;
            return Ok(());
        }
        let bytes = message.form(self.form);
        if bytes.len() > bound {
            return Err(Refusal::TooLarge);
        }
        while !pen.has_room(bytes.len(), bound) {
            if !drops_oldest || !pen.backlog.drop_oldest() {
                return Err(Refusal::Full);
            }
            pen.undelivered += 1;
        }
        let wrote = pen.write(Piece { bytes, kind: Kind::Message }, self.keeper().time());
        if matches!(wrote, Ok(Wrote::All)) {
            self.note_activity();
        }
        self.after(wrote, pen).map_err(|Closed| Refusal::Ended)
    }

    /// Writes something that is no message and needs no room: a head, a heartbeat.
    pub(crate) fn write(&self, bytes: Bytes) -> Result<(), Closed> {
        let mut pen = self.pen.lock();
        if pen.note.is_some() {
            return Err(Closed);
        }
        let wrote = pen.write(Piece { bytes, kind: Kind::Other }, self.keeper().time());
        self.after(wrote, pen)
    }

    /// Answers a ping. Of the pongs that wait only the latest stays, or a peer that asks and never reads would fill memory.
    pub(crate) fn pong(&self, bytes: Bytes) -> Result<(), Closed> {
        let mut pen = self.pen.lock();
        if pen.note.is_some() {
            return Err(Closed);
        }
        if pen.backlog.replace_pong(&bytes) {
            return Ok(());
        }
        let wrote = pen.write(Piece { bytes, kind: Kind::Pong }, self.keeper().time());
        self.after(wrote, pen)
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
        let mut unsent = (replies.len() + opening.live.len()) as u32;
        for message in replies.iter().chain(&opening.live) {
            let bytes = Encoded::new(message).form(self.form);
            // Not bounded by the backlog: the replies are the application's own, the rest was bounded when it came.
            match pen.write(Piece { bytes, kind: Kind::Message }, self.keeper().time()) {
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
            unsent -= 1;
        }
        pen.undelivered += unsent;
        let _ = self.after(first, pen);
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
                wake(pen);
                let keeper = self.keeper();
                keeper.hasten(self, keeper.time().mark().plus(keeper.policy().write_deadline));
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
}
