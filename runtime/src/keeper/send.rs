//! Sending to one peer: messages, the replies that open a hold, and what is no message.

use std::io;

use bytes::Bytes;

use crate::mechanisms::backlog::{Kind, Piece};
use crate::mechanisms::wire::{Encoded, Form};
use crate::words::cause::{Disconnect, Resume};
use crate::words::message::Message;
use crate::words::terms::WhenSlow;

use super::hand::InHand;
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

/// What became of a message; [`Hold::after`] draws the consequences.
#[must_use]
pub(super) enum Placed {
    /// It is with the line, or waits.
    Wrote(io::Result<Wrote>),
    /// There is no room for it, and whoever sends it may try again.
    Full,
    /// There is no room for it, and the peer is to be disconnected for that.
    Slow,
    /// There is no room for it, and it is counted as dropped.
    Dropped,
    /// There will never be room for it.
    TooLarge,
}

impl Hold {
    /// Sends a message, or says why not. Never waits.
    pub(crate) fn send(&self, message: &Encoded<'_>, origin: Origin) -> Result<(), Refusal> {
        let mut pen = self.pen();
        if pen.note.is_some() {
            return Err(Refusal::Ended);
        }
        let is_opening = pen.opening.is_some();
        if self.form == Form::LongPoll && !is_opening {
            drop(pen);
            return self.answer(message.message());
        }
        let is_early = is_opening && (self.form == Form::LongPoll || origin == Origin::Published);
        let placed = match is_early {
            true => self.keep_back(&mut pen, message.message(), origin),
            false => self.place(&mut pen, message.form(self.form), origin),
        };
        self.after(placed, pen)
    }

    /// Writes an encoded message to an open hold whose end has not begun, or has it wait, as the terms say of this origin.
    pub(super) fn place(&self, pen: &mut InHand<'_>, bytes: Bytes, origin: Origin) -> Placed {
        let (length, bound) = (bytes.len(), self.post.terms.backlog);
        if length > bound {
            return Placed::TooLarge;
        }
        if !pen.find_room(length, bound, self.drops_oldest(origin)) {
            return self.refuse(pen, origin);
        }
        let wrote = pen.write(Piece { bytes, kind: origin.kind() }, self.keeper().time());
        if matches!(wrote, Ok(Wrote::All)) {
            self.note_activity();
            // It waited for nothing, but what it drove out may have been blocked.
            self.hear(pen);
        }
        Placed::Wrote(wrote)
    }

    /// Has a message wait until the hold is open.
    fn keep_back(&self, pen: &mut InHand<'_>, message: &Message, origin: Origin) -> Placed {
        let (length, bound) = (message.len(), self.post.terms.backlog);
        if length > bound {
            return Placed::TooLarge;
        }
        if !pen.find_room_in_opening(length, bound, self.drops_oldest(origin)) {
            return self.refuse(pen, origin);
        }
        if let Some(opening) = &mut pen.opening {
            opening.push(message.clone(), origin.kind());
        }
        Placed::Wrote(Ok(Wrote::Queued))
    }

    fn drops_oldest(&self, origin: Origin) -> bool {
        origin == Origin::Published && self.post.terms.when_slow == WhenSlow::DropOldest
    }

    /// What becomes of a message for which there is no room.
    fn refuse(&self, pen: &mut Pen, origin: Origin) -> Placed {
        match (origin, self.post.terms.when_slow) {
            (Origin::Direct, _) => Placed::Full,
            (Origin::Published, WhenSlow::Disconnect) => Placed::Slow,
            (Origin::Published, WhenSlow::DropOldest | WhenSlow::DropNewest) => {
                pen.dropped += 1;
                Placed::Dropped
            }
        }
    }

    /// Writes something that is no message and needs no room: a head, a heartbeat.
    pub(crate) fn write(&self, bytes: Bytes) -> Result<(), Closed> {
        let mut pen = self.pen();
        if pen.note.is_some() {
            return Err(Closed);
        }
        let wrote = pen.write(Piece { bytes, kind: Kind::Other }, self.keeper().time());
        self.after(Placed::Wrote(wrote), pen).map_err(|_| Closed)
    }

    /// Answers a ping. Of the pongs that wait only the latest stays, or a peer that asks and never reads would fill memory.
    pub(crate) fn pong(&self, bytes: Bytes) -> Result<(), Closed> {
        let mut pen = self.pen();
        if pen.note.is_some() {
            return Err(Closed);
        }
        if pen.backlog.replace_pong(&bytes) {
            return Ok(());
        }
        let wrote = pen.write(Piece { bytes, kind: Kind::Pong }, self.keeper().time());
        self.after(Placed::Wrote(wrote), pen).map_err(|_| Closed)
    }

    /// `on_suspend` is through: the replies go out, then what was published meanwhile, then everything live.
    pub(crate) fn open(&self, replies: Vec<Message>) {
        let mut pen = self.pen();
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
        let replies = replies.iter().map(|reply| (reply, Kind::Message));
        for (message, kind) in replies.chain(opening.live.iter().map(|live| (live, Kind::Published))) {
            let bytes = Encoded::new(message).form(self.form);
            // Not bounded by the backlog: the replies are the application's own, the rest was bounded when it came.
            match pen.write(Piece { bytes, kind }, self.keeper().time()) {
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
        let _ = self.after(Placed::Wrote(first), pen);
        // Also where it is not the first that waits.
        self.keeper().relieve();
    }

    /// A long poll's message is its answer, and its end.
    fn answer(&self, message: &Message) -> Result<(), Refusal> {
        if message.len() > self.post.terms.backlog {
            return Err(Refusal::TooLarge);
        }
        match self.keeper().end(self, Note::with_farewell(Resume::Answered, vec![message.clone()])) {
            true => Ok(()),
            false => Err(Refusal::Ended),
        }
    }

    /// Draws the consequences of what was placed, with the pen put down. No other lock may be held.
    pub(super) fn after(&self, placed: Placed, pen: InHand<'_>) -> Result<(), Refusal> {
        let keeper = self.keeper();
        match placed {
            Placed::Wrote(Ok(Wrote::All)) => Ok(()),
            Placed::Wrote(Ok(Wrote::Queued)) => {
                drop(pen);
                keeper.relieve();
                Ok(())
            }
            Placed::Wrote(Ok(Wrote::Blocked)) => {
                wake(pen);
                keeper.hasten(self, keeper.time().mark().plus(keeper.policy().write_deadline));
                keeper.relieve();
                Ok(())
            }
            Placed::Wrote(Err(error)) => {
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
            Placed::Full | Placed::Dropped => Err(Refusal::Full),
            Placed::TooLarge => Err(Refusal::TooLarge),
        }
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
