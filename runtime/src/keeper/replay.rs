//! How a hold gets the messages of topics with a history: all of them, once, in order.
//!
//! 1. A hold has a cursor. The hold was given everything up to the cursor, of every such topic that it has joined.
//! 2. While the hold is *live*, a publisher writes its message to the hold, if that message is the next. If another
//!    publisher is still in flight with an earlier message, the first publisher to come takes both from the archive, in
//!    order. The other publisher finds nothing left to do.
//! 3. While the hold is not live, because its client came back and missed much, publishers skip it. The hold reads the
//!    archive itself as it has room. So a thousand clients that come back cost a thousand cursors, not a thousand
//!    queues.
//! 4. Everything here is decided under the lock of the outbox. The lock of the archive is taken briefly under it.

use std::io;

use abeyance_core::mechanisms::history::{Entry, Pulled};
use abeyance_core::mechanisms::wire::{Encoded, WireForm};
use abeyance_core::words::cause::Disconnect;
use abeyance_core::words::event_id::{Numbered, Position};
use abeyance_core::words::message::Message;
use abeyance_core::words::topic::Topic;

use super::archive::{Archive, InFlight, ResumePoint};
use super::cursor::{Cursor, Followed};
use super::hold::Hold;
use super::message_class::MessageClass;
use super::outbox::{Outbox, Wrote};
use super::outbox_guard::{OutboxGuard, wake};
use super::send::{Queued, Refusal};

/// What came of reading from the archive.
struct ReadUp {
    most: Wrote,
    /// Whether there is more, and room for it.
    has_more: bool,
    /// How many messages were not accepted. Logged once the outbox is unlocked, since a subscriber of the log is user
    /// code.
    passed_over: usize,
}

/// How much is read from the archive at once, in bytes.
const STEP: usize = 64 << 10;

impl Hold {
    /// Follows those of the joined topics that keep a history.
    pub(crate) fn follow(&self, topics: &[(Topic, bool)], resume_point: ResumePoint) {
        let Some(archive) = self.keeper().archive() else { return };
        let mut outbox = self.outbox();
        if outbox.end_request.is_some() {
            // The end came first, so the hold follows nothing. Its client must still get an id: without one it would
            // come back as a new client, and miss what is published meanwhile.
            outbox.cursor = archive.locate(topics, resume_point).map(Box::new);
            self.stand_still(archive, &mut outbox);
            return;
        }
        let send_buffer = self.config.endpoint_config.send_buffer;
        let Some((cursor, pulled)) = archive.follow(topics, resume_point, send_buffer) else { return };
        outbox.cursor = Some(Box::new(cursor));
        // Nothing is written before the hold is open: what fits is queued now, the rest is read when there is room.
        let read = self.read_up(archive, &mut outbox, pulled);
        if let Outbox { pending: Some(pending), cursor: Some(cursor), .. } = &mut *outbox
            && pending.live.is_empty()
        {
            cursor.pass_over(cursor.cursor);
        }
        drop(outbox);
        self.tell_passed_over(read.map_or(0, |read| read.passed_over));
        self.keeper().relieve();
    }

    fn tell_passed_over(&self, messages: usize) {
        if messages > 0 {
            tracing::warn!(hold = %self.id, messages, "kept messages were passed over");
        }
    }

    /// Follows one more topic, if that keeps a history.
    pub(super) fn follow_too(&self, outbox: &mut Outbox, topic: &Topic) {
        let Some(archive) = self.keeper().archive() else { return };
        let Some(rule) = archive.rule(topic.as_str()) else { return };
        match &mut outbox.cursor {
            Some(cursor) => archive.follow_too(cursor, topic, rule),
            None => {
                let mut cursor = Cursor { is_live: true, ..Cursor::new(archive.last()) };
                archive.follow_too(&mut cursor, topic, rule);
                outbox.cursor = Some(Box::new(cursor));
            }
        }
    }

    /// Stops following a topic.
    pub(super) fn unfollow(&self, outbox: &mut Outbox, topic: &str) {
        let (Some(archive), Some(cursor)) = (self.keeper().archive(), &mut outbox.cursor) else {
            return;
        };
        let is_followed = cursor.topics.iter().any(|followed| followed.topic.as_str() == topic);
        cursor.leave(topic);
        if is_followed {
            archive.unfollow(topic);
        }
    }

    /// Stops following all topics, because the end begins.
    pub(super) fn follow_no_more(&self, outbox: &mut Outbox) {
        let Some(archive) = self.keeper().archive() else { return };
        for followed in self.stand_still(archive, outbox) {
            archive.unfollow(followed.topic.as_str());
        }
    }

    /// Fixes the position of the client, and returns the topics that the hold followed.
    fn stand_still(&self, archive: &Archive, outbox: &mut Outbox) -> Vec<Followed> {
        let Some(cursor) = &mut outbox.cursor else { return Vec::new() };
        let is_untouched = cursor.start == cursor.cursor;
        cursor.stop = match (self.form, &outbox.pending) {
            // What waits is not in the answer, except the messages that `last_position` is given.
            (WireForm::LongPoll, _) | (_, Some(_)) if !is_untouched => Some(cursor.start),
            _ => Some(archive.passed(cursor)),
        };
        if cursor.is_behind() {
            outbox.undelivered += u32::try_from(archive.count(cursor)).unwrap_or(u32::MAX);
        }
        std::mem::take(&mut cursor.topics)
    }

    /// The position of the client before anything is written to it.
    pub(crate) fn first_position(&self) -> Position {
        let outbox = self.outbox();
        self.position(&outbox, |cursor| Some(cursor.start))
    }

    /// The position of the client when its hold has ended with these last messages.
    pub(crate) fn last_position(&self, last_messages: &[Numbered]) -> Position {
        let last = last_messages.iter().rev().find_map(|numbered| numbered.id);
        let outbox = self.outbox();
        let position = self.position(&outbox, |cursor| cursor.stop);
        Position { id: last.or(position.id), ..position }
    }

    fn position(&self, outbox: &Outbox, offset: impl FnOnce(&Cursor) -> Option<u64>) -> Position {
        let (Some(archive), Some(cursor)) = (self.keeper().archive(), &outbox.cursor) else {
            return Position::default();
        };
        let id = offset(cursor).map(|offset| archive.id_of(cursor, offset));
        Position { id, is_lost: cursor.is_lost }
    }

    /// Delivers a message that was published to a topic with a history.
    pub(super) fn deliver(
        &self,
        archive: &Archive,
        in_flight: &InFlight<'_>,
        encoded: &Encoded<'_>,
    ) -> Result<(), Refusal> {
        let mut outbox = self.outbox();
        if outbox.end_request.is_some() {
            return Err(Refusal::Ended);
        }
        let is_opening = outbox.pending.is_some();
        let Some(cursor) = &mut outbox.cursor else { return Err(Refusal::Ended) };
        let Some((_, after)) = cursor.wanted().find(|(topic, _)| **topic == in_flight.topic) else {
            return Err(Refusal::Ended);
        };
        if in_flight.recorded.offset <= after || !cursor.is_live {
            return Ok(());
        }
        // With one topic, the topic tells whether the message is the next. With several, a message of another topic may
        // be in flight.
        let is_next = cursor.topics.len() == 1 && in_flight.recorded.previous <= after;
        let entries = if is_next { Vec::new() } else { archive.pull(cursor, usize::MAX, usize::MAX).entries };
        if self.form != WireForm::LongPoll || is_opening {
            return self.pass_on(archive, outbox, in_flight, encoded, &entries);
        }
        let mut answers: Vec<_> = entries.iter().map(|entry| archive.numbered(cursor, entry)).collect();
        if is_next {
            answers.push(encoded.to_numbered());
        }
        let bound = self.config.endpoint_config.send_buffer;
        let is_for = encoded.message().is_for(self.id);
        answers.retain(|answer| answer.message.len() <= bound && answer.message.is_for(self.id));
        if answers.is_empty() {
            cursor.pass_over(in_flight.recorded.offset);
            return if is_for { Err(Refusal::TooLarge) } else { Ok(()) };
        }
        drop(outbox);
        self.answer(answers)
    }

    /// Writes `entries` in order, or the message in flight alone if there are none. Returns what became of the message
    /// in flight. `encoded` is shared with all other holds that get it.
    fn pass_on(
        &self,
        archive: &Archive,
        mut outbox: OutboxGuard<'_>,
        in_flight: &InFlight<'_>,
        encoded: &Encoded<'_>,
        entries: &[Entry],
    ) -> Result<(), Refusal> {
        let own_offset = in_flight.recorded.offset;
        let alone = entries.is_empty().then_some(None);
        let others = entries.iter().map(|entry| (entry.offset != own_offset).then_some(entry));
        let (mut outcome, mut most) = (Ok(()), Wrote::All);
        for entry in alone.into_iter().chain(others) {
            let offset = entry.map_or(own_offset, |entry| entry.offset);
            if self.is_answer_full(&outbox, entry.map_or(encoded.message(), |entry| &entry.message)) {
                if let Some(cursor) = &mut outbox.cursor {
                    cursor.is_live = false;
                }
                break;
            }
            let queued = match entry {
                None => self.enqueue(&mut outbox, encoded, MessageClass::Published),
                Some(entry) => {
                    let id = Some(archive.id(offset));
                    self.enqueue(&mut outbox, &Encoded::numbered(&entry.message, id), MessageClass::Published)
                }
            };
            if let Some(cursor) = &mut outbox.cursor {
                cursor.cursor = offset;
            }
            match queued {
                Queued::Wrote(wrote) => most = most.max(wrote),
                Queued::Broke(_) | Queued::Slow => return self.after(queued, outbox),
                Queued::Refused(refusal) if offset == own_offset => outcome = Err(refusal),
                Queued::Refused(_) => {}
            }
        }
        self.after(Queued::Wrote(most), outbox).and(outcome)
    }

    /// Whether the answer of a long poll that is not open yet is so full that this message must wait for the next
    /// request.
    fn is_answer_full(&self, outbox: &Outbox, message: &Message) -> bool {
        let (length, bound) = (message.len(), self.config.endpoint_config.send_buffer);
        let pending = outbox.pending.as_ref().filter(|_| self.form == WireForm::LongPoll && length <= bound);
        pending.is_some_and(|pending| pending.cost() + length > bound)
    }

    /// Reads from the archive what the hold has not got yet, as far as there is room, and writes it.
    pub(super) fn catch_up(&self) {
        let Some(archive) = self.keeper().archive() else { return };
        let mut outbox = self.outbox();
        // An open long poll has nothing to read: the first message would have been its answer.
        if !outbox.is_behind() || self.form == WireForm::LongPoll {
            return;
        }
        let (mut most, mut has_more, mut passed_over) = (Wrote::All, true, 0);
        while has_more {
            let Some(cursor) = &outbox.cursor else { break };
            let pulled = archive.pull(cursor, STEP, self.config.endpoint_config.send_buffer);
            if pulled.is_overtaken {
                drop(outbox);
                // Messages that it had yet to read are forgotten: the peer reads more slowly than its topics publish.
                self.keeper().end(self, Disconnect::Slow.into());
                return;
            }
            match self.read_up(archive, &mut outbox, pulled) {
                Ok(read) => {
                    (most, has_more) = (most.max(read.most), read.has_more);
                    passed_over += read.passed_over;
                }
                Err(error) => {
                    let _ = self.after(Queued::Broke(error), outbox);
                    return;
                }
            }
        }
        let _ = self.after(Queued::Wrote(most), outbox);
        self.tell_passed_over(passed_over);
    }

    /// Writes what was read from the archive, as far as there is room.
    fn read_up(&self, archive: &Archive, outbox: &mut OutboxGuard<'_>, pulled: Pulled) -> io::Result<ReadUp> {
        let mut read = ReadUp { most: Wrote::All, has_more: !pulled.is_all, passed_over: 0 };
        for entry in pulled.entries {
            let Some(cursor) = &outbox.cursor else { break };
            let Numbered { message, id } = archive.numbered(cursor, &entry);
            let encoded = Encoded::numbered(&message, id);
            if !self.has_room(outbox, &encoded) {
                self.mark_behind(archive, outbox);
                return Ok(ReadUp { has_more: false, ..read });
            }
            let queued = self.enqueue(outbox, &encoded, MessageClass::Published);
            if let Some(cursor) = &mut outbox.cursor {
                cursor.cursor = entry.offset;
            }
            match queued {
                Queued::Wrote(wrote) => read.most = read.most.max(wrote),
                Queued::Broke(error) => return Err(error),
                Queued::Slow | Queued::Refused(_) => read.passed_over += 1,
            }
        }
        if let Some(cursor) = &mut outbox.cursor {
            cursor.is_live = pulled.is_all;
        }
        Ok(read)
    }

    fn mark_behind(&self, archive: &Archive, outbox: &mut Outbox) {
        if outbox.pending.is_none()
            && let Some(cursor) = &mut outbox.cursor
            && !std::mem::replace(&mut cursor.is_marked_behind, true)
        {
            archive.mark_behind(self.id);
        }
    }

    /// Whether a recorded message fits now. Also `true` if it can never fit: then it is skipped.
    fn has_room(&self, outbox: &mut OutboxGuard<'_>, message: &Encoded<'_>) -> bool {
        let bound = self.config.endpoint_config.send_buffer;
        if outbox.pending.is_some() {
            let length = message.message().len();
            return length > bound || outbox.find_room_in_pending(length, bound, false);
        }
        let length = message.form(self.form).len();
        length > bound || outbox.find_room(length, bound, false)
    }

    /// Wakes the hold's own task to read on, because there may be room by now.
    pub(super) fn retry(&self) {
        let mut outbox = self.outbox();
        if let Some(cursor) = &mut outbox.cursor {
            cursor.is_marked_behind = false;
        }
        wake(outbox);
    }
}
