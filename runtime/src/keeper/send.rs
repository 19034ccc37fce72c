//! Sending to one peer: messages, the replies that open a hold, and what is no message.

use std::io;

use bytes::Bytes;

use crate::mechanisms::backlog::{Kind, Piece};
use crate::mechanisms::wire::{Encoded, Form};
use crate::sync::MutexGuard;
use crate::words::cause::Resume;
use crate::words::event_id::Numbered;
use crate::words::message::Message;
use crate::words::terms::WhenSlow;

use super::hold::Hold;
use super::note::Note;
use super::pen::{Opening, Pen, Wrote, wake};

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
        let mut pen = self.pen.lock();
        if pen.note.is_some() {
            return Err(Refusal::Ended);
        }
        if self.form == Form::LongPoll && pen.opening.is_none() {
            if message.message().len() > self.post.terms.backlog {
                return Err(Refusal::TooLarge);
            }
            drop(pen);
            return self.answer(vec![message.to_numbered()]);
        }
        let wrote = self.place(&mut pen, message, origin)?;
        self.after(wrote, pen).map_err(|Closed| Refusal::Ended)
    }

    /// Writes a message, or puts it where it waits, with the pen held. Not for a long poll that is open: what comes to
    /// it is its answer.
    pub(super) fn place(
        &self,
        pen: &mut Pen,
        message: &Encoded<'_>,
        origin: Origin,
    ) -> Result<io::Result<Wrote>, Refusal> {
        let bound = self.post.terms.backlog;
        let drops_oldest = origin == Origin::Published && self.post.terms.when_slow == WhenSlow::DropOldest;
        if let Some(opening) = &mut pen.opening
            && (self.form == Form::LongPoll || origin == Origin::Published)
        {
            let length = message.message().len();
            if length > bound {
                return Err(Refusal::TooLarge);
            }
            while drops_oldest && !opening.has_room(length, bound) && opening.drop_oldest() {
                pen.undelivered += 1;
            }
            if !opening.has_room(length, bound) {
                return Err(Refusal::Full);
            }
            opening.bytes += length;
            match origin {
                Origin::Direct => opening.direct.push(message.message().clone()),
                Origin::Published => opening.live.push(message.to_numbered()),
            }
            return Ok(Ok(Wrote::Queued));
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
        Ok(wrote)
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

    /// `on_suspend` is through: the replies go out, then what the topics had for it, then everything live.
    pub(crate) fn open(&self, replies: Vec<Message>) {
        let mut pen = self.pen.lock();
        if self.form == Form::LongPoll && pen.note.is_none() {
            return self.open_poll(pen, replies);
        }
        let Some(opening) = pen.opening.take() else { return };
        if pen.note.is_some() {
            pen.undelivered += (opening.direct.len() + replies.len() + opening.live.len()) as u32;
            return;
        }
        let Opening { live, .. } = *opening;
        let mut first = Ok(Wrote::All);
        let mut unsent = (replies.len() + live.len()) as u32;
        let replies: Vec<_> = replies.into_iter().map(Numbered::from).collect();
        for Numbered { message, id } in replies.iter().chain(&live) {
            let bytes = Encoded::numbered(message, *id).form(self.form);
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
        let is_behind = pen.is_behind();
        if self.after(first, pen).is_ok() && is_behind {
            self.catch_up();
        }
    }

    /// What has come for a long poll by now is its answer; if nothing has, what comes first.
    fn open_poll(&self, mut pen: MutexGuard<'_, Pen>, replies: Vec<Message>) {
        let is_lost = pen.following.as_ref().is_some_and(|following| following.is_lost);
        let Some(opening) = &mut pen.opening else { return };
        opening.direct.extend(replies);
        if opening.is_empty() && !is_lost {
            pen.opening = None;
            return;
        }
        drop(pen);
        // It is opening until its end takes what has come: what is published meanwhile would be the answer instead.
        self.keeper().end(self, Resume::Answered.into());
    }

    /// A long poll's message is its answer, and its end.
    pub(super) fn answer(&self, answers: Vec<Numbered>) -> Result<(), Refusal> {
        match self.keeper().end(self, Note::with_farewell(Resume::Answered, answers)) {
            true => Ok(()),
            false => Err(Refusal::Ended),
        }
    }

    /// Draws the consequences of a write, with the pen put down.
    pub(super) fn after(&self, wrote: io::Result<Wrote>, pen: MutexGuard<'_, Pen>) -> Result<(), Closed> {
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
