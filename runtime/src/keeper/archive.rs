//! The histories of topics, behind one lock that is held for a moment only and under which no other is taken.

use abeyance_core::mechanisms::history::{Entry, Histories, Pulled, Recorded, Rules};
use abeyance_core::sync::Mutex;
use abeyance_core::words::event_id::{EventId, Numbered};
use abeyance_core::words::hold_id::HoldId;
use abeyance_core::words::message::Message;
use abeyance_core::words::retention::Rule;
use abeyance_core::words::topic::Topic;

use super::Keeper;
use super::cursor::Cursor;

/// What a server keeps of what was published.
pub(super) struct Archive {
    rules: Rules,
    epoch: u64,
    histories: Mutex<Histories>,
    /// Holds that have not got everything yet, and had no room for more.
    behind: Mutex<Vec<HoldId>>,
}

/// How somebody comes, as far as what was published before is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResumePoint {
    /// It has seen nothing.
    New,
    /// It has seen everything up to this offset.
    Back(u64),
    /// It came when the sequence was at `came`, and has seen of the past, which it got first, what stands up to `seen`.
    Midway { seen: u64, came: u64 },
    /// It has seen something of another start of the server, or of another server at the same URL: an `EventSource`
    /// brings back whatever text that one gave.
    OtherEpoch,
}

/// A `Last-Event-ID` that no honest client can have: one of this start of the server, of a message that is yet to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forged;

/// A kept message on its way to the members of its topic. Dropped when it has arrived, whatever happened.
pub(super) struct InFlight<'a> {
    keeper: &'a Keeper,
    archive: &'a Archive,
    pub(super) topic: Topic,
    pub(super) recorded: Recorded,
}

impl Archive {
    pub(super) fn new(rules: Vec<Rule>, bound: usize) -> Option<Self> {
        let rules = Rules::new(rules);
        if rules.is_empty() {
            return None;
        }
        let mut epoch = [0; 8];
        // Ids are no secrets; what counts is that two starts do not draw the same.
        if getrandom::fill(&mut epoch).is_err() {
            epoch = fastrand::u64(..).to_ne_bytes();
        }
        Some(Archive {
            epoch: u64::from_ne_bytes(epoch) & EventId::EPOCH,
            histories: Mutex::new(Histories::new(&rules, bound)),
            behind: Mutex::default(),
            rules,
        })
    }

    /// The rule by which a topic keeps its past, if it does.
    pub(super) fn rule(&self, topic: &str) -> Option<usize> {
        self.rules.of(topic)
    }

    pub(super) fn id(&self, offset: u64) -> EventId {
        EventId::new(self.epoch, offset)
    }

    /// The id of who has got so far of what it follows.
    pub(super) fn id_of(&self, cursor: &Cursor, offset: u64) -> EventId {
        EventId::midway(self.epoch, offset, cursor.came)
    }

    /// What a client brings back.
    pub(super) fn resume_point(&self, last_event_id: Option<&str>) -> Result<ResumePoint, Forged> {
        let Some(text) = last_event_id else { return Ok(ResumePoint::New) };
        let Some(id) = EventId::read(text).ok().filter(|id| id.epoch == self.epoch) else {
            return Ok(ResumePoint::OtherEpoch);
        };
        if id.came > self.histories.lock().last() {
            return Err(Forged);
        }
        Ok(match id.came > id.offset {
            true => ResumePoint::Midway { seen: id.offset, came: id.came },
            false => ResumePoint::Back(id.offset),
        })
    }

    /// The latest offset.
    pub(super) fn last(&self) -> u64 {
        self.histories.lock().last()
    }

    pub(super) fn numbered(&self, cursor: &Cursor, entry: &Entry) -> Numbered {
        Numbered { message: entry.message.clone(), id: Some(self.id_of(cursor, entry.offset)) }
    }

    /// What somebody has not got yet who can have messages of `most` bytes, as much as costs `room`.
    pub(super) fn pull(&self, cursor: &Cursor, room: usize, most: usize) -> Pulled {
        self.histories.lock().pull(cursor.wanted(), room, most)
    }

    /// How much of it there is.
    pub(super) fn count(&self, cursor: &Cursor) -> usize {
        self.histories.lock().count(cursor.wanted())
    }

    /// Begins to follow those of the topics that keep a history, from where somebody comes; `true` stands with topics
    /// whose whole past a newcomer wants. Gives what it is to get first, as much as costs its `send_buffer`, read in the same
    /// moment, so that nothing is forgotten in between.
    pub(super) fn follow(
        &self,
        topics: &[(Topic, bool)],
        resume_point: ResumePoint,
        send_buffer: usize,
    ) -> Option<(Cursor, Pulled)> {
        let kept = self.kept(topics)?;
        let mut histories = self.histories.lock();
        for (topic, _, rule) in &kept {
            histories.follow(*rule, topic);
        }
        let cursor = locate(&histories, kept, resume_point);
        let pulled = histories.pull(cursor.wanted(), send_buffer, send_buffer);
        Some((cursor, pulled))
    }

    /// Where somebody stands who comes, and does not stay to follow anything.
    pub(super) fn locate(&self, topics: &[(Topic, bool)], resume_point: ResumePoint) -> Option<Cursor> {
        let kept = self.kept(topics)?;
        Some(locate(&self.histories.lock(), kept, resume_point))
    }

    /// Those of the topics that keep a history, if there are any.
    fn kept<'t>(&self, topics: &'t [(Topic, bool)]) -> Option<Vec<(&'t Topic, bool, usize)>> {
        let rule =
            |(topic, with_past): &'t (Topic, bool)| Some((topic, *with_past, self.rule(topic.as_str())?));
        let kept: Vec<_> = topics.iter().filter_map(rule).collect();
        (!kept.is_empty()).then_some(kept)
    }

    /// Begins to follow one more topic, from now on.
    pub(super) fn follow_too(&self, cursor: &mut Cursor, topic: &Topic, rule: usize) {
        let mut histories = self.histories.lock();
        histories.follow(rule, topic);
        cursor.add(topic.clone(), histories.last());
    }

    /// Follows a topic no longer.
    pub(super) fn unfollow(&self, topic: &str) {
        self.histories.lock().unfollow(topic);
    }

    /// The latest offset that somebody has passed who has everything up to its cursor: of all topics together where
    /// nothing is on its way to it.
    pub(super) fn passed(&self, cursor: &Cursor) -> u64 {
        let histories = self.histories.lock();
        let has_all = cursor.wanted().all(|(topic, after)| {
            self.rule(topic.as_str()).is_none_or(|rule| histories.last_of(rule, topic.as_str()) <= after)
        });
        if has_all { histories.last() } else { cursor.cursor }
    }

    /// Whether somebody follows a topic, or something of its past is kept.
    pub(super) fn remembers(&self, topic: &str) -> bool {
        self.histories.lock().remembers(topic)
    }

    /// Notes that a hold is to be woken to get more.
    pub(super) fn note_behind(&self, id: HoldId) {
        self.behind.lock().push(id);
    }
}

/// Where somebody stands who comes so and follows these topics, each with its rule; `true` stands with those whose whole
/// past a newcomer wants.
fn locate(histories: &Histories, kept: Vec<(&Topic, bool, usize)>, resume_point: ResumePoint) -> Cursor {
    let last = histories.last();
    let floor = |rule, topic: &Topic| histories.floor(rule, topic.as_str());
    let (seen, came) = match resume_point {
        ResumePoint::Back(seen) => (Some(seen), seen),
        ResumePoint::Midway { seen, came } => (Some(seen), came),
        ResumePoint::New | ResumePoint::OtherEpoch => (None, last),
    };
    // What was forgotten before it came it has not missed.
    let seen = seen.filter(|_| kept.iter().all(|(topic, _, rule)| floor(*rule, topic) <= came));
    let mut cursor = Cursor::new(seen.unwrap_or_default());
    cursor.came = if seen.is_some() { came } else { last };
    let mut has_past = false;
    for (topic, with_past, rule) in kept {
        let since = if with_past { floor(rule, topic) } else { cursor.came };
        has_past |= with_past && since.max(cursor.cursor) < histories.last_of(rule, topic.as_str());
        cursor.add(topic.clone(), since);
    }
    if seen.is_none() && !has_past {
        cursor.cursor = last;
    }
    cursor.start = cursor.cursor;
    cursor.is_lost = resume_point != ResumePoint::New && seen.is_none();
    cursor
}

#[cfg(test)]
impl Archive {
    pub(super) fn is_empty(&self) -> bool {
        self.histories.lock().is_empty()
    }

    pub(super) fn follows_nothing(&self) -> bool {
        self.histories.lock().follows_nothing()
    }
}

impl Keeper {
    pub(super) fn archive(&self) -> Option<&Archive> {
        self.archive.get()?.as_ref()
    }

    /// What a client that follows these topics brings back with `Last-Event-ID`; nothing is said of clients that
    /// follow none that keeps a history.
    pub(crate) fn resume_point<'a>(
        &self,
        mut topics: impl Iterator<Item = &'a Topic>,
        last_event_id: Option<&str>,
    ) -> Result<ResumePoint, Forged> {
        match self.archive() {
            Some(archive) if topics.any(|topic| archive.rule(topic.as_str()).is_some()) => {
                archive.resume_point(last_event_id)
            }
            _ => Ok(ResumePoint::New),
        }
    }

    /// Records a message of a topic that keeps a history.
    pub(super) fn record<'a>(
        &'a self,
        archive: &'a Archive,
        rule: usize,
        topic: &str,
        message: &Message,
    ) -> InFlight<'a> {
        let now = self.time().now();
        let (topic, recorded) = archive.histories.lock().record(rule, topic, message.clone(), now);
        InFlight { keeper: self, archive, topic, recorded }
    }

    /// Forgets what is too old, and wakes whoever may have room for more by now.
    pub(super) fn expire(&self) {
        let Some(archive) = self.archive() else { return };
        let ended = archive.histories.lock().expire(&archive.rules, self.time().now());
        self.topics_ended(ended);
        let behind = std::mem::take(&mut *archive.behind.lock());
        for id in behind {
            if let Some(hold) = self.find(id) {
                hold.retry();
            }
        }
    }

    /// Topics that nobody follows have nothing left.
    pub(super) fn topics_ended(&self, topics: Vec<Topic>) {
        topics.iter().for_each(|topic| self.past_forgotten(topic.as_str()));
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let (now, offset) = (self.keeper.time().now(), self.recorded.offset);
        let ended = self.archive.histories.lock().complete(&self.archive.rules, &self.topic, offset, now);
        self.keeper.topics_ended(ended);
    }
}
