//! Sending to one peer: messages, the replies that open a hold, and bytes that are no message.

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
use super::message_class::MessageClass;
use super::outbox::{Outbox, Pending, Wrote};
use super::outbox_guard::{OutboxGuard, wake};

/// Why a message was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Full,
    Ended,
    TooLarge,
}

/// Nothing can be written any more, because an end has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// What became of a message. [`Hold::after`] does what follows from it.
#[derive(Debug)]
#[must_use]
pub(super) enum Queued {
    /// It was written, or waits.
    Wrote(Wrote),
    /// The socket reported an error.
    Broke(io::Error),
    /// There is no room for it, and the peer is to be disconnected for that.
    Slow,
    /// It is not accepted, and nothing follows. If `when_slow` dropped it, it is counted already.
    Refused(Refusal),
}

impl Hold {
    /// Sends a message without waiting, or returns why it was not accepted.
    pub(crate) fn send(&self, message: &Encoded<'_>, class: MessageClass) -> Result<(), Refusal> {
        let mut outbox = self.outbox();
        if outbox.end_request.is_some() {
            return Err(Refusal::Ended);
        }
        if !message.message().is_for(self.id) {
            return Ok(());
        }
        if self.form == WireForm::LongPoll && outbox.pending.is_none() {
            if message.message().len() > self.config.endpoint_config.send_buffer {
                return Err(Refusal::TooLarge);
            }
            drop(outbox);
            return self.answer(vec![message.to_numbered()]);
        }
        let queued = self.enqueue(&mut outbox, message, class);
        self.after(queued, outbox)
    }

    /// Writes a message or queues it, as `when_slow` says of its class. Not for a long poll that is open: a message to
    /// it is its answer.
    pub(super) fn enqueue(
        &self,
        outbox: &mut OutboxGuard<'_>,
        message: &Encoded<'_>,
        class: MessageClass,
    ) -> Queued {
        if !message.message().is_for(self.id) {
            return Queued::Wrote(Wrote::All);
        }
        let bound = self.config.endpoint_config.send_buffer;
        let drops_oldest =
            class == MessageClass::Published && self.config.endpoint_config.when_slow == WhenSlow::DropOldest;
        if outbox.pending.is_some() && (self.form == WireForm::LongPoll || class == MessageClass::Published) {
            let length = message.message().len();
            if length > bound {
                return Queued::Refused(Refusal::TooLarge);
            }
            if !outbox.find_room_in_pending(length, bound, drops_oldest) {
                return self.refuse(outbox, class);
            }
            if let Some(pending) = &mut outbox.pending {
                pending.push(message.to_numbered(), class);
            }
            return Queued::Wrote(Wrote::Queued);
        }
        let bytes = message.form(self.form);
        if bytes.len() > bound {
            return Queued::Refused(Refusal::TooLarge);
        }
        if !outbox.find_room(bytes.len(), bound, drops_oldest) {
            return self.refuse(outbox, class);
        }
        let wrote = outbox.write(Piece { bytes, kind: class.kind() }, self.keeper().time());
        if matches!(wrote, Ok(Wrote::All)) {
            self.record_activity();
            // This message did not wait, but a message that was dropped for it may have been blocked.
            self.credit_idle(outbox);
        }
        wrote.into()
    }

    /// What becomes of a message for which there is no room.
    fn refuse(&self, outbox: &mut Outbox, class: MessageClass) -> Queued {
        match (class, self.config.endpoint_config.when_slow) {
            (MessageClass::Direct, _) => Queued::Refused(Refusal::Full),
            // Not a long poll: its answer is full, but it is still to be written.
            (MessageClass::Published, WhenSlow::Disconnect) if self.form != WireForm::LongPoll => {
                Queued::Slow
            }
            (MessageClass::Published, _) => {
                outbox.dropped += 1;
                Queued::Refused(Refusal::Full)
            }
        }
    }

    /// Writes the head of the answer, also when another thread has begun the end: an ending without a head would be no
    /// valid answer.
    pub(crate) fn write_head(&self, bytes: Bytes) -> Result<(), Closed> {
        self.write_piece(bytes, self.outbox())
    }

    /// Writes bytes that are no message and are not bounded by the send buffer, such as a heartbeat.
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

    /// Answers a ping. Of the pongs that wait only the latest stays: a peer that sends pings and never reads would fill
    /// memory otherwise.
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

    /// Opens the hold once `on_suspend` has returned: writes the replies, then what its topics had for it, then live
    /// messages.
    pub(crate) fn open(&self, replies: Vec<Message>) {
        let mut outbox = self.outbox();
        if self.form == WireForm::LongPoll && outbox.end_request.is_none() {
            return self.open_poll(outbox, replies);
        }
        let Some(pending) = outbox.pending.take() else { return };
        if outbox.end_request.is_some() {
            outbox.undelivered += (pending.direct.len() + replies.len() + pending.live.len()) as u32;
            drop(outbox);
            // Dropped with the outbox unlocked: the bytes may be the application's own.
            drop(pending);
            return;
        }
        let Pending { live, .. } = *pending;
        let mut most = Wrote::All;
        let mut fault = None;
        let mut unsent = (replies.len() + live.len()) as u32;
        let replies: Vec<_> = replies.into_iter().map(Numbered::from).collect();
        let replied = replies.iter().map(|reply| (reply, Kind::Message));
        for (Numbered { message, id }, kind) in replied.chain(live.iter().map(|live| (live, Kind::Published)))
        {
            let bytes = Encoded::numbered(message, *id).form(self.form);
            // Not bounded by the send buffer: the application wrote the replies, and the rest was bounded when it came.
            match outbox.write(Piece { bytes, kind }, self.keeper().time()) {
                Ok(wrote) => {
                    if wrote == Wrote::All {
                        self.record_activity();
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
        let queued = fault.map_or(Queued::Wrote(most), Queued::Broke);
        if self.after(queued, outbox).is_ok() && is_behind {
            self.catch_up();
        }
    }

    /// Answers a long poll with what came before it was open. If nothing came, the long poll waits.
    fn open_poll(&self, mut outbox: OutboxGuard<'_>, replies: Vec<Message>) {
        let Some(Pending { direct, live, .. }) = outbox.pending.as_deref_mut().map(std::mem::take) else {
            return;
        };
        let own = direct.into_iter().chain(replies).map(Numbered::from);
        let answers: Vec<_> = own.chain(live).collect();
        let is_lost = outbox.cursor.as_ref().is_some_and(|cursor| cursor.is_lost);
        if answers.is_empty() && !is_lost {
            outbox.pending = None;
            return;
        }
        // It does not become open. A message that is published before the end has begun must wait: as the answer, it
        // would tell the client to resume behind messages that it has not got.
        drop(outbox);
        let count = answers.len();
        if !self.keeper().end(self, EndRequest::with_last_messages(Resume::Answered, answers)) {
            self.outbox().undelivered += count as u32;
        }
    }

    /// Ends an open long poll with these messages as its answer.
    pub(super) fn answer(&self, answers: Vec<Numbered>) -> Result<(), Refusal> {
        match self.keeper().end(self, EndRequest::with_last_messages(Resume::Answered, answers)) {
            true => Ok(()),
            false => Err(Refusal::Ended),
        }
    }

    /// Unlocks the outbox and does what follows from a write. The caller must hold no other lock.
    pub(super) fn after(&self, queued: Queued, outbox: OutboxGuard<'_>) -> Result<(), Refusal> {
        let keeper = self.keeper();
        match queued {
            Queued::Wrote(Wrote::All) => Ok(()),
            Queued::Wrote(Wrote::Queued) => {
                drop(outbox);
                keeper.relieve();
                Ok(())
            }
            Queued::Wrote(Wrote::Blocked) => {
                wake(outbox);
                keeper.hasten(self, keeper.time().mark().plus(keeper.server_config().write_timeout));
                keeper.relieve();
                Ok(())
            }
            // The peer has closed its side, and answered our later bytes with a reset. What it sent before is still in
            // the socket, perhaps a close frame: the hold's own task reads that and finds the cause.
            Queued::Broke(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                wake(outbox);
                Err(Refusal::Ended)
            }
            Queued::Broke(error) => {
                let end = self.fault(&error, outbox.peer_io.as_deref());
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
