//! What a hold that follows topics with a history has got of it: all of it, once, in order.
//!
//! 1. A hold has a cursor. It was given everything up to there, of every such topic that it has joined.
//! 2. While it is *live*, a publisher gives it the message itself, if that is the next. If another publisher is still
//!    on its way with an earlier one, whoever comes first takes both from the archive, in order; the other finds
//!    nothing left to do.
//! 3. While it is not, because it came back and has much to get, publishers pass it by: it reads the archive itself as
//!    it has room, so that a thousand clients that come back cost a thousand cursors and not a thousand queues.
//! 4. Everything here is decided under the pen; the archive's lock is taken under it for a moment.

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
use super::outbox::{MessageClass, Outbox, Wrote};
use super::outbox_guard::OutboxGuard;
use super::send::{Queued, Refusal};

/// What came of reading from the archive.
struct ReadUp {
    most: Wrote,
    /// There is more, and room for it.
    has_more: bool,
    /// How many were not accepted: told when the pen is put down, since a subscriber of the log is user code.
    passed_over: usize,
}

/// How much is read from the archive at once, in bytes.
const STEP: usize = 64 << 10;

impl Hold {
    /// The topics are joined: from here on the hold follows those that keep a history.
    pub(crate) fn follow(&self, topics: &[(Topic, bool)], resume_point: ResumePoint) {
        let Some(archive) = self.keeper().archive() else { return };
        let mut outbox = self.outbox();
        if outbox.end_request.is_some() {
            // Its end was quicker. It follows nothing, and yet its client has to learn where it stands: without an id it
            // would come back as a newcomer, and miss what is published meanwhile.
            outbox.cursor = archive.locate(topics, resume_point).map(Box::new);
            self.stand_still(archive, &mut outbox);
            return;
        }
        let send_buffer = self.config.endpoint_config.send_buffer;
        let Some((cursor, pulled)) = archive.follow(topics, resume_point, send_buffer) else { return };
        outbox.cursor = Some(Box::new(cursor));
        // While it opens, nothing is written: what fits is put in line now, the rest is read when there is room.
        let read = self.read_up(archive, &mut outbox, pulled);
        if let Outbox { opening: Some(opening), cursor: Some(cursor), .. } = &mut *outbox
            && opening.live.is_empty()
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

    /// One more topic is joined, by a hold that may follow some already.
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

    /// Follows a topic no longer.
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

    /// Follows nothing any more, now that its end begins.
    pub(super) fn follow_no_more(&self, outbox: &mut Outbox) {
        let Some(archive) = self.keeper().archive() else { return };
        for followed in self.stand_still(archive, outbox) {
            archive.unfollow(followed.topic.as_str());
        }
    }

    /// From here on its client stands where it stands; gives back what it followed.
    fn stand_still(&self, archive: &Archive, outbox: &mut Outbox) -> Vec<Followed> {
        let Some(cursor) = &mut outbox.cursor else { return Vec::new() };
        let is_untouched = cursor.start == cursor.cursor;
        cursor.stop = match (self.form, &outbox.opening) {
            // What waits for the answer is not in it, but for what `position` is told.
            (WireForm::LongPoll, _) | (_, Some(_)) if !is_untouched => Some(cursor.start),
            _ => Some(archive.passed(cursor)),
        };
        if cursor.is_behind() {
            outbox.undelivered += u32::try_from(archive.count(cursor)).unwrap_or(u32::MAX);
        }
        std::mem::take(&mut cursor.topics)
    }

    /// Where the client stands before anything is written to it.
    pub(crate) fn first_position(&self) -> Position {
        let outbox = self.outbox();
        self.position(&outbox, |cursor| Some(cursor.start))
    }

    /// Where the client stands when its hold has ended and these were its last messages.
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

    /// Takes a message that was published to a topic with a history.
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
        let is_opening = outbox.opening.is_some();
        let Some(cursor) = &mut outbox.cursor else { return Err(Refusal::Ended) };
        let Some((_, after)) = cursor.wanted().find(|(topic, _)| **topic == in_flight.topic) else {
            return Err(Refusal::Ended);
        };
        if in_flight.recorded.offset <= after || !cursor.is_live {
            return Ok(());
        }
        // With one topic it is the next if its topic says so. With several, one of another may be on its way.
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

    /// Writes messages of the sequence, one after the other, the one that is landing among them or alone; says what became
    /// of that one. `encoded` is shared with all others that get it.
    fn pass_on(
        &self,
        archive: &Archive,
        mut outbox: OutboxGuard<'_>,
        in_flight: &InFlight<'_>,
        encoded: &Encoded<'_>,
        entries: &[Entry],
    ) -> Result<(), Refusal> {
        let landed = in_flight.recorded.offset;
        let alone = entries.is_empty().then_some(None);
        let others = entries.iter().map(|entry| (entry.offset != landed).then_some(entry));
        let (mut outcome, mut most) = (Ok(()), Wrote::All);
        for entry in alone.into_iter().chain(others) {
            let offset = entry.map_or(landed, |entry| entry.offset);
            if self.is_answer_full(&outbox, entry.map_or(encoded.message(), |entry| &entry.message)) {
                if let Some(cursor) = &mut outbox.cursor {
                    cursor.is_live = false;
                }
                break;
            }
            let placed = match entry {
                None => self.place(&mut outbox, encoded, MessageClass::Published),
                Some(entry) => {
                    let id = Some(archive.id(offset));
                    self.place(&mut outbox, &Encoded::numbered(&entry.message, id), MessageClass::Published)
                }
            };
            if let Some(cursor) = &mut outbox.cursor {
                cursor.cursor = offset;
            }
            match placed {
                Queued::Wrote(wrote) => most = most.max(wrote),
                Queued::Broke(_) | Queued::Slow => return self.after(placed, outbox),
                Queued::Refused(refusal) if offset == landed => outcome = Err(refusal),
                Queued::Refused(_) => {}
            }
        }
        self.after(Queued::Wrote(most), outbox).and(outcome)
    }

    /// Whether a long poll that opens has so much in its answer that this message is for its client's next request.
    fn is_answer_full(&self, outbox: &Outbox, message: &Message) -> bool {
        let (length, bound) = (message.len(), self.config.endpoint_config.send_buffer);
        let opening = outbox.opening.as_ref().filter(|_| self.form == WireForm::LongPoll && length <= bound);
        opening.is_some_and(|opening| opening.cost() + length > bound)
    }

    /// Reads from the archive what the hold has not got yet, as far as there is room, and writes it.
    pub(super) fn catch_up(&self) {
        let Some(archive) = self.keeper().archive() else { return };
        let mut outbox = self.outbox();
        // What comes to an open long poll is its answer: it would have been, had there been anything to read.
        if !outbox.is_behind() || self.form == WireForm::LongPoll {
            return;
        }
        let (mut most, mut has_more, mut passed_over) = (Wrote::All, true, 0);
        while has_more {
            let Some(cursor) = &outbox.cursor else { break };
            let pulled = archive.pull(cursor, STEP, self.config.endpoint_config.send_buffer);
            if pulled.is_overtaken {
                drop(outbox);
                // What it had yet to read is forgotten: it reads more slowly than its topics move on.
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

    /// Gives the hold what was read from the archive, as far as there is room; `true` if there is room for more.
    fn read_up(&self, archive: &Archive, outbox: &mut OutboxGuard<'_>, pulled: Pulled) -> io::Result<ReadUp> {
        let mut read = ReadUp { most: Wrote::All, has_more: !pulled.is_all, passed_over: 0 };
        for entry in pulled.entries {
            let Some(cursor) = &outbox.cursor else { break };
            let Numbered { message, id } = archive.numbered(cursor, &entry);
            let encoded = Encoded::numbered(&message, id);
            if !self.has_room(outbox, &encoded) {
                self.note_behind(archive, outbox);
                return Ok(ReadUp { has_more: false, ..read });
            }
            let placed = self.place(outbox, &encoded, MessageClass::Published);
            if let Some(cursor) = &mut outbox.cursor {
                cursor.cursor = entry.offset;
            }
            match placed {
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

    fn note_behind(&self, archive: &Archive, outbox: &mut Outbox) {
        if outbox.opening.is_none()
            && let Some(cursor) = &mut outbox.cursor
            && !std::mem::replace(&mut cursor.is_noted, true)
        {
            archive.note_behind(self.id);
        }
    }

    /// Whether a kept message may be written now, or never.
    fn has_room(&self, outbox: &mut OutboxGuard<'_>, message: &Encoded<'_>) -> bool {
        let bound = self.config.endpoint_config.send_buffer;
        if outbox.opening.is_some() {
            let length = message.message().len();
            return length > bound || outbox.find_room_in_opening(length, bound, false);
        }
        let length = message.form(self.form).len();
        length > bound || outbox.find_room(length, bound, false)
    }

    /// There may be room by now: has the hold's own task look.
    pub(super) fn retry(&self) {
        let mut outbox = self.outbox();
        if let Some(cursor) = &mut outbox.cursor {
            cursor.is_noted = false;
        }
        outbox.wake();
    }
}
