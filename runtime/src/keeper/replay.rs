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
use abeyance_core::mechanisms::wire::{Encoded, Form};
use abeyance_core::words::cause::Disconnect;
use abeyance_core::words::event_id::{Numbered, Position};
use abeyance_core::words::message::Message;
use abeyance_core::words::topic::Topic;

use super::archive::{Archive, Arrival, Landing};
use super::hand::InHand;
use super::hold::Hold;
use super::pen::{Pen, Wrote, wake};
use super::send::{Origin, Placed, Refusal};

/// How far a hold has got in the topics it follows.
pub(super) struct Following {
    /// It was given everything up to here.
    pub(super) cursor: u64,
    /// Where the sequence was when its client came: up to there it gets the past of some of its topics only.
    pub(super) came: u64,
    /// Where its client stands before anything is written.
    pub(super) start: u64,
    /// Where its client stands at the end, what is written last not counted.
    stop: Option<u64>,
    topics: Vec<Followed>,
    is_live: bool,
    /// Whether it is noted as being behind.
    is_noted: bool,
    /// Whether something its client missed is gone, and it must be told.
    pub(super) is_lost: bool,
}

struct Followed {
    topic: Topic,
    /// What came before is none of its business.
    since: u64,
}

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

impl Following {
    pub(super) fn new(cursor: u64) -> Self {
        Following {
            cursor,
            came: cursor,
            start: cursor,
            stop: None,
            topics: Vec::new(),
            is_live: false,
            is_noted: false,
            is_lost: false,
        }
    }

    pub(super) fn add(&mut self, topic: Topic, since: u64) {
        self.topics.push(Followed { topic, since });
    }

    /// What it wants to have, from where on.
    pub(super) fn wanted(&self) -> impl Iterator<Item = (&Topic, u64)> {
        self.topics.iter().map(|followed| (&followed.topic, followed.since.max(self.cursor)))
    }

    pub(super) fn leave(&mut self, topic: &str) {
        self.topics.retain(|followed| followed.topic.as_str() != topic);
    }

    /// Goes on behind what is too large for it, though nothing is on its way to it: its client stands there as well.
    fn pass_over(&mut self, offset: u64) {
        self.cursor = offset;
        self.start = offset;
    }

    /// Whether there is something that it has not got and that no publisher will bring.
    pub(super) fn is_behind(&self) -> bool {
        !self.is_live
    }
}

impl Hold {
    /// The topics are joined: from here on the hold follows those that keep a history.
    pub(crate) fn follow(&self, topics: &[(Topic, bool)], arrival: Arrival) {
        let Some(archive) = self.keeper().archive() else { return };
        let mut pen = self.pen();
        if pen.note.is_some() {
            // Its end was quicker. It follows nothing, and yet its client has to learn where it stands: without an id it
            // would come back as a newcomer, and miss what is published meanwhile.
            pen.following = archive.stand(topics, arrival).map(Box::new);
            self.stand_still(archive, &mut pen);
            return;
        }
        let send_buffer = self.post.terms.send_buffer;
        let Some((following, pulled)) = archive.follow(topics, arrival, send_buffer) else { return };
        pen.following = Some(Box::new(following));
        // While it opens, nothing is written: what fits is put in line now, the rest is read when there is room.
        let read = self.read_up(archive, &mut pen, pulled);
        if let Pen { opening: Some(opening), following: Some(following), .. } = &mut *pen
            && opening.live.is_empty()
        {
            following.pass_over(following.cursor);
        }
        drop(pen);
        self.tell_passed_over(read.map_or(0, |read| read.passed_over));
        self.keeper().relieve();
    }

    fn tell_passed_over(&self, messages: usize) {
        if messages > 0 {
            tracing::warn!(hold = %self.id, messages, "kept messages were passed over");
        }
    }

    /// One more topic is joined, by a hold that may follow some already.
    pub(super) fn follow_too(&self, pen: &mut Pen, topic: &Topic) {
        let Some(archive) = self.keeper().archive() else { return };
        let Some(rule) = archive.rule(topic.as_str()) else { return };
        match &mut pen.following {
            Some(following) => archive.follow_too(following, topic, rule),
            None => {
                let mut following = Following { is_live: true, ..Following::new(archive.last()) };
                archive.follow_too(&mut following, topic, rule);
                pen.following = Some(Box::new(following));
            }
        }
    }

    /// Follows a topic no longer.
    pub(super) fn unfollow(&self, pen: &mut Pen, topic: &str) {
        let (Some(archive), Some(following)) = (self.keeper().archive(), &mut pen.following) else {
            return;
        };
        let is_followed = following.topics.iter().any(|followed| followed.topic.as_str() == topic);
        following.leave(topic);
        if is_followed {
            archive.unfollow(topic);
        }
    }

    /// Follows nothing any more, now that its end begins.
    pub(super) fn follow_no_more(&self, pen: &mut Pen) {
        let Some(archive) = self.keeper().archive() else { return };
        for followed in self.stand_still(archive, pen) {
            archive.unfollow(followed.topic.as_str());
        }
    }

    /// From here on its client stands where it stands; gives back what it followed.
    fn stand_still(&self, archive: &Archive, pen: &mut Pen) -> Vec<Followed> {
        let Some(following) = &mut pen.following else { return Vec::new() };
        let is_untouched = following.start == following.cursor;
        following.stop = match (self.form, &pen.opening) {
            // What waits for the answer is not in it, but for what `position` is told.
            (Form::LongPoll, _) | (_, Some(_)) if !is_untouched => Some(following.start),
            _ => Some(archive.passed(following)),
        };
        if following.is_behind() {
            pen.undelivered += u32::try_from(archive.count(following)).unwrap_or(u32::MAX);
        }
        std::mem::take(&mut following.topics)
    }

    /// Where the client stands before anything is written to it.
    pub(crate) fn first_position(&self) -> Position {
        let pen = self.pen();
        self.position(&pen, |following| Some(following.start))
    }

    /// Where the client stands when its hold has ended and these were its last messages.
    pub(crate) fn last_position(&self, farewell: &[Numbered]) -> Position {
        let last = farewell.iter().rev().find_map(|numbered| numbered.id);
        let pen = self.pen();
        let position = self.position(&pen, |following| following.stop);
        Position { id: last.or(position.id), ..position }
    }

    fn position(&self, pen: &Pen, offset: impl FnOnce(&Following) -> Option<u64>) -> Position {
        let (Some(archive), Some(following)) = (self.keeper().archive(), &pen.following) else {
            return Position::default();
        };
        let id = offset(following).map(|offset| archive.id_of(following, offset));
        Position { id, is_lost: following.is_lost }
    }

    /// Takes a message that was published to a topic with a history.
    pub(super) fn deliver(
        &self,
        archive: &Archive,
        landing: &Landing<'_>,
        encoded: &Encoded<'_>,
    ) -> Result<(), Refusal> {
        let mut pen = self.pen();
        if pen.note.is_some() {
            return Err(Refusal::Ended);
        }
        let is_opening = pen.opening.is_some();
        let Some(following) = &mut pen.following else { return Err(Refusal::Ended) };
        let Some((_, after)) = following.wanted().find(|(topic, _)| **topic == landing.topic) else {
            return Err(Refusal::Ended);
        };
        if landing.recorded.offset <= after || !following.is_live {
            return Ok(());
        }
        // With one topic it is the next if its topic says so. With several, one of another may be on its way.
        let is_next = following.topics.len() == 1 && landing.recorded.previous <= after;
        let entries =
            if is_next { Vec::new() } else { archive.pull(following, usize::MAX, usize::MAX).entries };
        if self.form != Form::LongPoll || is_opening {
            return self.pass_on(archive, pen, landing, encoded, &entries);
        }
        let mut answers: Vec<_> = entries.iter().map(|entry| archive.numbered(following, entry)).collect();
        if is_next {
            answers.push(encoded.to_numbered());
        }
        let bound = self.post.terms.send_buffer;
        let is_for = encoded.message().is_for(self.id);
        answers.retain(|answer| answer.message.len() <= bound && answer.message.is_for(self.id));
        if answers.is_empty() {
            following.pass_over(landing.recorded.offset);
            return if is_for { Err(Refusal::TooLarge) } else { Ok(()) };
        }
        drop(pen);
        self.answer(answers)
    }

    /// Writes messages of the sequence, one after the other, the one that is landing among them or alone; says what became
    /// of that one. `encoded` is shared with all others that get it.
    fn pass_on(
        &self,
        archive: &Archive,
        mut pen: InHand<'_>,
        landing: &Landing<'_>,
        encoded: &Encoded<'_>,
        entries: &[Entry],
    ) -> Result<(), Refusal> {
        let landed = landing.recorded.offset;
        let alone = entries.is_empty().then_some(None);
        let others = entries.iter().map(|entry| (entry.offset != landed).then_some(entry));
        let (mut outcome, mut most) = (Ok(()), Wrote::All);
        for entry in alone.into_iter().chain(others) {
            let offset = entry.map_or(landed, |entry| entry.offset);
            if self.is_answer_full(&pen, entry.map_or(encoded.message(), |entry| &entry.message)) {
                if let Some(following) = &mut pen.following {
                    following.is_live = false;
                }
                break;
            }
            let placed = match entry {
                None => self.place(&mut pen, encoded, Origin::Published),
                Some(entry) => {
                    let id = Some(archive.id(offset));
                    self.place(&mut pen, &Encoded::numbered(&entry.message, id), Origin::Published)
                }
            };
            if let Some(following) = &mut pen.following {
                following.cursor = offset;
            }
            match placed {
                Placed::Wrote(wrote) => most = most.max(wrote),
                Placed::Broke(_) | Placed::Slow => return self.after(placed, pen),
                Placed::Refused(refusal) if offset == landed => outcome = Err(refusal),
                Placed::Refused(_) => {}
            }
        }
        self.after(Placed::Wrote(most), pen).and(outcome)
    }

    /// Whether a long poll that opens has so much in its answer that this message is for its client's next request.
    fn is_answer_full(&self, pen: &Pen, message: &Message) -> bool {
        let (length, bound) = (message.len(), self.post.terms.send_buffer);
        let opening = pen.opening.as_ref().filter(|_| self.form == Form::LongPoll && length <= bound);
        opening.is_some_and(|opening| opening.cost() + length > bound)
    }

    /// Reads from the archive what the hold has not got yet, as far as there is room, and writes it.
    pub(super) fn catch_up(&self) {
        let Some(archive) = self.keeper().archive() else { return };
        let mut pen = self.pen();
        // What comes to an open long poll is its answer: it would have been, had there been anything to read.
        if !pen.is_behind() || self.form == Form::LongPoll {
            return;
        }
        let (mut most, mut has_more, mut passed_over) = (Wrote::All, true, 0);
        while has_more {
            let Some(following) = &pen.following else { break };
            let pulled = archive.pull(following, STEP, self.post.terms.send_buffer);
            if pulled.is_overtaken {
                drop(pen);
                // What it had yet to read is forgotten: it reads more slowly than its topics move on.
                self.keeper().end(self, Disconnect::Slow.into());
                return;
            }
            match self.read_up(archive, &mut pen, pulled) {
                Ok(read) => {
                    (most, has_more) = (most.max(read.most), read.has_more);
                    passed_over += read.passed_over;
                }
                Err(error) => {
                    let _ = self.after(Placed::Broke(error), pen);
                    return;
                }
            }
        }
        let _ = self.after(Placed::Wrote(most), pen);
        self.tell_passed_over(passed_over);
    }

    /// Gives the hold what was read from the archive, as far as there is room; `true` if there is room for more.
    fn read_up(&self, archive: &Archive, pen: &mut InHand<'_>, pulled: Pulled) -> io::Result<ReadUp> {
        let mut read = ReadUp { most: Wrote::All, has_more: !pulled.is_all, passed_over: 0 };
        for entry in pulled.entries {
            let Some(following) = &pen.following else { break };
            let Numbered { message, id } = archive.numbered(following, &entry);
            let encoded = Encoded::numbered(&message, id);
            if !self.has_room(pen, &encoded) {
                self.note_behind(archive, pen);
                return Ok(ReadUp { has_more: false, ..read });
            }
            let placed = self.place(pen, &encoded, Origin::Published);
            if let Some(following) = &mut pen.following {
                following.cursor = entry.offset;
            }
            match placed {
                Placed::Wrote(wrote) => read.most = read.most.max(wrote),
                Placed::Broke(error) => return Err(error),
                Placed::Slow | Placed::Refused(_) => read.passed_over += 1,
            }
        }
        if let Some(following) = &mut pen.following {
            following.is_live = pulled.is_all;
        }
        Ok(read)
    }

    fn note_behind(&self, archive: &Archive, pen: &mut Pen) {
        if pen.opening.is_none()
            && let Some(following) = &mut pen.following
            && !std::mem::replace(&mut following.is_noted, true)
        {
            archive.note_behind(self.id);
        }
    }

    /// Whether a kept message may be written now, or never.
    fn has_room(&self, pen: &mut InHand<'_>, message: &Encoded<'_>) -> bool {
        let bound = self.post.terms.send_buffer;
        if pen.opening.is_some() {
            let length = message.message().len();
            return length > bound || pen.find_room_in_opening(length, bound, false);
        }
        let length = message.form(self.form).len();
        length > bound || pen.find_room(length, bound, false)
    }

    /// There may be room by now: has the hold's own task look.
    pub(super) fn stir(&self) {
        let mut pen = self.pen();
        if let Some(following) = &mut pen.following {
            following.is_noted = false;
        }
        wake(pen);
    }
}
