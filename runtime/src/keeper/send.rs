//! Sending to one peer: messages, the replies that open a hold, and what is no message.

use std::io;

use bytes::Bytes;

use abeyance_core::mechanisms::send_buffer::{Kind, Piece};
use abeyance_core::mechanisms::wire::{Encoded, WireForm};
use abeyance_core::words::cause::{Disconnect, Resume};
use abeyance_core::words::event_id::Numbered;
use abeyance_core::words::message::Message;
use abeyance_settings::endpoint::WhenSlow;

use super::end_request::EndRequest;
use super::hold::Hold;
use super::outbox::{MessageClass, Outbox, Pending, Wrote};
use super::outbox_guard::OutboxGuard;

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
pub(super) enum Queued {
    /// It is with the socket, or waits.
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
    pub(crate) fn send(&self, message: &Encoded<'_>, origin: MessageClass) -> Result<(), Refusal> {
        let mut outbox = self.outbox();
        if outbox.end_request.is_some() {
            return Err(Refusal::Ended);
        }
        if !message.message().is_for(self.id) {
            return Ok(());
        }
        if self.form == WireForm::LongPoll && outbox.opening.is_none() {
            if message.message().len() > self.config.endpoint_config.send_buffer {
                return Err(Refusal::TooLarge);
            }
            drop(outbox);
            return self.answer(vec![message.to_numbered()]);
        }
        let placed = self.place(&mut outbox, message, origin);
        self.after(placed, outbox)
    }

    /// Writes a message, or puts it where it waits, as the terms say of this origin. Not for a long poll that is open:
    /// what comes to it is its answer.
    pub(super) fn place(
        &self,
        outbox: &mut OutboxGuard<'_>,
        message: &Encoded<'_>,
        origin: MessageClass,
    ) -> Queued {
        if !message.message().is_for(self.id) {
            return Queued::Wrote(Wrote::All);
        }
        let bound = self.config.endpoint_config.send_buffer;
        let drops_oldest = origin == MessageClass::Published
            && self.config.endpoint_config.when_slow == WhenSlow::DropOldest;
        if outbox.opening.is_some() && (self.form == WireForm::LongPoll || origin == MessageClass::Published)
        {
            let length = message.message().len();
            if length > bound {
                return Queued::Refused(Refusal::TooLarge);
            }
            if !outbox.find_room_in_opening(length, bound, drops_oldest) {
                return self.refuse(outbox, origin);
            }
            if let Some(opening) = &mut outbox.opening {
                opening.push(message.to_numbered(), origin);
            }
            return Queued::Wrote(Wrote::Queued);
        }
        let bytes = message.form(self.form);
        if bytes.len() > bound {
            return Queued::Refused(Refusal::TooLarge);
        }
        if !outbox.find_room(bytes.len(), bound, drops_oldest) {
            return self.refuse(outbox, origin);
        }
        let wrote = outbox.write(Piece { bytes, kind: origin.kind() }, self.keeper().time());
        if matches!(wrote, Ok(Wrote::All)) {
            self.note_activity();
            // It waited for nothing, but what it drove out may have been blocked.
            self.credit_idle(outbox);
        }
        wrote.into()
    }

    /// What becomes of a message for which there is no room.
    fn refuse(&self, outbox: &mut Outbox, origin: MessageClass) -> Queued {
        match (origin, self.config.endpoint_config.when_slow) {
            (MessageClass::Direct, _) => Queued::Refused(Refusal::Full),
            // Not a long poll: its answer is full before it could be written, and is still to come.
            (MessageClass::Published, WhenSlow::Disconnect) if self.form != WireForm::LongPoll => {
                Queued::Slow
            }
            (MessageClass::Published, _) => {
                outbox.dropped += 1;
                Queued::Refused(Refusal::Full)
            }
        }
    }

    /// Writes the head of the answer. Also when another thread has begun the end by now: without a head the ending would
    /// be none.
    pub(crate) fn write_head(&self, bytes: Bytes) -> Result<(), Closed> {
        self.write_piece(bytes, self.outbox())
    }

    /// Writes something that is no message and needs no room, such as a heartbeat.
    pub(crate) fn write(&self, bytes: Bytes) -> Result<(), Closed> {
        let outbox = self.outbox();
        if outbox.end_request.is_some() {
            return Err(Closed);
        }
        self.write_piece(bytes, outbox)
    }

    fn write_piece(&self, bytes: Bytes, mut outbox: OutboxGuard<'_>) -> Result<(), Closed> {
        let wrote = outbox.write(Piece { bytes, kind: Kind::Other }, self.keeper().time());
        self.after(wrote.into(), outbox).map_err(|_| Closed)
    }

    /// Answers a ping. Of the pongs that wait only the latest stays, or a peer that asks and never reads would fill memory.
    pub(crate) fn pong(&self, bytes: Bytes) -> Result<(), Closed> {
        let mut outbox = self.outbox();
        if outbox.end_request.is_some() {
            return Err(Closed);
        }
        if outbox.send_buffer.replace_pong(&bytes) {
            return Ok(());
        }
        let wrote = outbox.write(Piece { bytes, kind: Kind::Pong }, self.keeper().time());
        self.after(wrote.into(), outbox).map_err(|_| Closed)
    }

    /// `on_suspend` is through: the replies go out, then what the topics had for it, then everything live.
    pub(crate) fn open(&self, replies: Vec<Message>) {
        let mut outbox = self.outbox();
        if self.form == WireForm::LongPoll && outbox.end_request.is_none() {
            return self.open_poll(outbox, replies);
        }
        let Some(opening) = outbox.opening.take() else { return };
        if outbox.end_request.is_some() {
            outbox.undelivered += (opening.direct.len() + replies.len() + opening.live.len()) as u32;
            drop(outbox);
            // Only now: their bytes may be the application's own.
            drop(opening);
            return;
        }
        let Pending { live, .. } = *opening;
        let mut most = Wrote::All;
        let mut fault = None;
        let mut unsent = (replies.len() + live.len()) as u32;
        let replies: Vec<_> = replies.into_iter().map(Numbered::from).collect();
        let replied = replies.iter().map(|reply| (reply, Kind::Message));
        for (Numbered { message, id }, kind) in replied.chain(live.iter().map(|live| (live, Kind::Published)))
        {
            let bytes = Encoded::numbered(message, *id).form(self.form);
            // Not bounded by the send buffer: the replies are the application's own, the rest was bounded when it came.
            match outbox.write(Piece { bytes, kind }, self.keeper().time()) {
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
        outbox.undelivered += unsent;
        let is_behind = outbox.is_behind();
        let placed = fault.map_or(Queued::Wrote(most), Queued::Broke);
        if self.after(placed, outbox).is_ok() && is_behind {
            self.catch_up();
        }
    }

    /// What came to a long poll while it opened is its answer. If nothing did, it waits.
    fn open_poll(&self, mut outbox: OutboxGuard<'_>, replies: Vec<Message>) {
        let Some(Pending { direct, live, .. }) = outbox.opening.as_deref_mut().map(std::mem::take) else {
            return;
        };
        let own = direct.into_iter().chain(replies).map(Numbered::from);
        let answers: Vec<_> = own.chain(live).collect();
        let is_lost = outbox.cursor.as_ref().is_some_and(|cursor| cursor.is_lost);
        if answers.is_empty() && !is_lost {
            outbox.opening = None;
            return;
        }
        // It opens no more: what is published before its end has begun must wait, or it would be the answer instead, and
        // tell the client to come back from behind what it has not got.
        drop(outbox);
        let count = answers.len();
        if !self.keeper().end(self, EndRequest::with_last_messages(Resume::Answered, answers)) {
            self.outbox().undelivered += count as u32;
        }
    }

    /// A long poll's message is its answer, and its end.
    pub(super) fn answer(&self, answers: Vec<Numbered>) -> Result<(), Refusal> {
        match self.keeper().end(self, EndRequest::with_last_messages(Resume::Answered, answers)) {
            true => Ok(()),
            false => Err(Refusal::Ended),
        }
    }

    /// Draws the consequences, with the pen put down. No other lock may be held.
    pub(super) fn after(&self, placed: Queued, outbox: OutboxGuard<'_>) -> Result<(), Refusal> {
        let keeper = self.keeper();
        match placed {
            Queued::Wrote(Wrote::All) => Ok(()),
            Queued::Wrote(Wrote::Queued) => {
                drop(outbox);
                keeper.relieve();
                Ok(())
            }
            Queued::Wrote(Wrote::Blocked) => {
                outbox.wake();
                keeper.hasten(self, keeper.time().mark().plus(keeper.server_config().write_timeout));
                keeper.relieve();
                Ok(())
            }
            // The peer has closed its side, and a reset answered what was written since. What it said before lies in the
            // socket, a goodbye perhaps: its own task reads that, and tells the cause.
            Queued::Broke(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                outbox.wake();
                Err(Refusal::Ended)
            }
            Queued::Broke(error) => {
                let end = self.fault(&error, outbox.socket.as_deref());
                drop(outbox);
                keeper.end(self, end.into());
                Err(Refusal::Ended)
            }
            Queued::Slow => {
                drop(outbox);
                keeper.end(self, Disconnect::Slow.into());
                Err(Refusal::Full)
            }
            Queued::Refused(refusal) => Err(refusal),
        }
    }
}

impl From<io::Result<Wrote>> for Queued {
    fn from(wrote: io::Result<Wrote>) -> Self {
        wrote.map_or_else(Queued::Broke, Queued::Wrote)
    }
}
