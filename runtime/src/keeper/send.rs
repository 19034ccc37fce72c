//! Sending to one peer: messages, the replies that open a hold, and what is no message.

use std::io;

use bytes::Bytes;

use abeyance_core::mechanisms::send_buffer::{Kind, Piece};
use abeyance_core::mechanisms::wire::{Encoded, Form};
use abeyance_core::words::cause::{Disconnect, Resume};
use abeyance_core::words::event_id::Numbered;
use abeyance_core::words::message::Message;
use abeyance_settings::terms::WhenSlow;

use super::hand::InHand;
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

/// What became of a message; [`Hold::after`] draws the consequences.
#[derive(Debug)]
#[must_use]
pub(super) enum Placed {
    /// It is with the line, or waits.
    Wrote(Wrote),
    /// The line is broken.
    Broke(io::Error),
    /// There is no room for it, and the peer is to be disconnected for that.
    Slow,
    /// It is not accepted, and that is all; if the terms had it dropped, it is counted.
    Refused(Refusal),
}

impl Hold {
    /// Sends a message, or says why not. Never waits.
    pub(crate) fn send(&self, message: &Encoded<'_>, origin: Origin) -> Result<(), Refusal> {
        let mut pen = self.pen();
        if pen.note.is_some() {
            return Err(Refusal::Ended);
        }
        if !message.message().is_for(self.id) {
            return Ok(());
        }
        if self.form == Form::LongPoll && pen.opening.is_none() {
            if message.message().len() > self.post.terms.send_buffer {
                return Err(Refusal::TooLarge);
            }
            drop(pen);
            return self.answer(vec![message.to_numbered()]);
        }
        let placed = self.place(&mut pen, message, origin);
        self.after(placed, pen)
    }

    /// Writes a message, or puts it where it waits, as the terms say of this origin. Not for a long poll that is open:
    /// what comes to it is its answer.
    pub(super) fn place(&self, pen: &mut InHand<'_>, message: &Encoded<'_>, origin: Origin) -> Placed {
        if !message.message().is_for(self.id) {
            return Placed::Wrote(Wrote::All);
        }
        let bound = self.post.terms.send_buffer;
        let drops_oldest = origin == Origin::Published && self.post.terms.when_slow == WhenSlow::DropOldest;
        if pen.opening.is_some() && (self.form == Form::LongPoll || origin == Origin::Published) {
            let length = message.message().len();
            if length > bound {
                return Placed::Refused(Refusal::TooLarge);
            }
            if !pen.find_room_in_opening(length, bound, drops_oldest) {
                return self.refuse(pen, origin);
            }
            if let Some(opening) = &mut pen.opening {
                opening.push(message.to_numbered(), origin);
            }
            return Placed::Wrote(Wrote::Queued);
        }
        let bytes = message.form(self.form);
        if bytes.len() > bound {
            return Placed::Refused(Refusal::TooLarge);
        }
        if !pen.find_room(bytes.len(), bound, drops_oldest) {
            return self.refuse(pen, origin);
        }
        let wrote = pen.write(Piece { bytes, kind: origin.kind() }, self.keeper().time());
        if matches!(wrote, Ok(Wrote::All)) {
            self.note_activity();
            // It waited for nothing, but what it drove out may have been blocked.
            self.hear(pen);
        }
        wrote.into()
    }

    /// What becomes of a message for which there is no room.
    fn refuse(&self, pen: &mut Pen, origin: Origin) -> Placed {
        match (origin, self.post.terms.when_slow) {
            (Origin::Direct, _) => Placed::Refused(Refusal::Full),
            // Not a long poll: its answer is full before it could be written, and is still to come.
            (Origin::Published, WhenSlow::Disconnect) if self.form != Form::LongPoll => Placed::Slow,
            (Origin::Published, _) => {
                pen.dropped += 1;
                Placed::Refused(Refusal::Full)
            }
        }
    }

    /// Writes the head of the answer. Also when another thread has begun the end by now: without a head the ending would
    /// be none.
    pub(crate) fn write_head(&self, bytes: Bytes) -> Result<(), Closed> {
        self.write_piece(bytes, self.pen())
    }

    /// Writes something that is no message and needs no room, such as a heartbeat.
    pub(crate) fn write(&self, bytes: Bytes) -> Result<(), Closed> {
        let pen = self.pen();
        if pen.note.is_some() {
            return Err(Closed);
        }
        self.write_piece(bytes, pen)
    }

    fn write_piece(&self, bytes: Bytes, mut pen: InHand<'_>) -> Result<(), Closed> {
        let wrote = pen.write(Piece { bytes, kind: Kind::Other }, self.keeper().time());
        self.after(wrote.into(), pen).map_err(|_| Closed)
    }

    /// Answers a ping. Of the pongs that wait only the latest stays, or a peer that asks and never reads would fill memory.
    pub(crate) fn pong(&self, bytes: Bytes) -> Result<(), Closed> {
        let mut pen = self.pen();
        if pen.note.is_some() {
            return Err(Closed);
        }
        if pen.send_buffer.replace_pong(&bytes) {
            return Ok(());
        }
        let wrote = pen.write(Piece { bytes, kind: Kind::Pong }, self.keeper().time());
        self.after(wrote.into(), pen).map_err(|_| Closed)
    }

    /// `on_suspend` is through: the replies go out, then what the topics had for it, then everything live.
    pub(crate) fn open(&self, replies: Vec<Message>) {
        let mut pen = self.pen();
        if self.form == Form::LongPoll && pen.note.is_none() {
            return self.open_poll(pen, replies);
        }
        let Some(opening) = pen.opening.take() else { return };
        if pen.note.is_some() {
            pen.undelivered += (opening.direct.len() + replies.len() + opening.live.len()) as u32;
            drop(pen);
            // Only now: their bytes may be the application's own.
            drop(opening);
            return;
        }
        let Opening { live, .. } = *opening;
        let mut most = Wrote::All;
        let mut fault = None;
        let mut unsent = (replies.len() + live.len()) as u32;
        let replies: Vec<_> = replies.into_iter().map(Numbered::from).collect();
        let replied = replies.iter().map(|reply| (reply, Kind::Message));
        for (Numbered { message, id }, kind) in replied.chain(live.iter().map(|live| (live, Kind::Published)))
        {
            let bytes = Encoded::numbered(message, *id).form(self.form);
            // Not bounded by the send buffer: the replies are the application's own, the rest was bounded when it came.
            match pen.write(Piece { bytes, kind }, self.keeper().time()) {
                Ok(wrote) => {
                    if wrote == Wrote::All {
                        self.note_activity();
                    }
                    most = most.max(wrote);
                }
                Err(error) => {
                    fault = Some(error);
                    break;
                }
            }
            unsent -= 1;
        }
        pen.undelivered += unsent;
        let is_behind = pen.is_behind();
        let placed = fault.map_or(Placed::Wrote(most), Placed::Broke);
        if self.after(placed, pen).is_ok() && is_behind {
            self.catch_up();
        }
    }

    /// What came to a long poll while it opened is its answer. If nothing did, it waits.
    fn open_poll(&self, mut pen: InHand<'_>, replies: Vec<Message>) {
        let Some(Opening { direct, live, .. }) = pen.opening.as_deref_mut().map(std::mem::take) else {
            return;
        };
        let own = direct.into_iter().chain(replies).map(Numbered::from);
        let answers: Vec<_> = own.chain(live).collect();
        let is_lost = pen.following.as_ref().is_some_and(|following| following.is_lost);
        if answers.is_empty() && !is_lost {
            pen.opening = None;
            return;
        }
        // It opens no more: what is published before its end has begun must wait, or it would be the answer instead, and
        // tell the client to come back from behind what it has not got.
        drop(pen);
        let count = answers.len();
        if !self.keeper().end(self, Note::with_farewell(Resume::Answered, answers)) {
            self.pen().undelivered += count as u32;
        }
    }

    /// A long poll's message is its answer, and its end.
    pub(super) fn answer(&self, answers: Vec<Numbered>) -> Result<(), Refusal> {
        match self.keeper().end(self, Note::with_farewell(Resume::Answered, answers)) {
            true => Ok(()),
            false => Err(Refusal::Ended),
        }
    }

    /// Draws the consequences, with the pen put down. No other lock may be held.
    pub(super) fn after(&self, placed: Placed, pen: InHand<'_>) -> Result<(), Refusal> {
        let keeper = self.keeper();
        match placed {
            Placed::Wrote(Wrote::All) => Ok(()),
            Placed::Wrote(Wrote::Queued) => {
                drop(pen);
                keeper.relieve();
                Ok(())
            }
            Placed::Wrote(Wrote::Blocked) => {
                wake(pen);
                keeper.hasten(self, keeper.time().mark().plus(keeper.policy().write_timeout));
                keeper.relieve();
                Ok(())
            }
            // The peer has closed its side, and a reset answered what was written since. What it said before lies in the
            // socket, a goodbye perhaps: its own task reads that, and tells the cause.
            Placed::Broke(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                wake(pen);
                Err(Refusal::Ended)
            }
            Placed::Broke(error) => {
                let end = self.fault(&error, pen.line.as_deref());
                drop(pen);
                keeper.end(self, end.into());
                Err(Refusal::Ended)
            }
            Placed::Slow => {
                drop(pen);
                keeper.end(self, Disconnect::Slow.into());
                Err(Refusal::Full)
            }
            Placed::Refused(refusal) => Err(refusal),
        }
    }
}

impl From<io::Result<Wrote>> for Placed {
    fn from(wrote: io::Result<Wrote>) -> Self {
        wrote.map_or_else(Placed::Broke, Placed::Wrote)
    }
}

impl Origin {
    /// What a piece of this origin is: what the application sends to this hold alone is accepted once and for all.
    fn kind(self) -> Kind {
        match self {
            Origin::Direct => Kind::Message,
            Origin::Published => Kind::Published,
        }
    }
}
