//! The histories of topics, behind one lock that is held briefly. No other lock is taken under it.

use abeyance_core::mechanisms::history::{Entry, Histories, Pulled, Recorded, Rules};
use abeyance_core::sync::Mutex;
use abeyance_core::words::event_id::{EventId, Numbered};
use abeyance_core::words::hold_id::HoldId;
use abeyance_core::words::message::Message;
use abeyance_core::words::retention::Rule;
use abeyance_core::words::topic::Topic;

use super::Keeper;
use super::cursor::Cursor;

/// The messages that a server keeps for clients that come back.
pub(super) struct Archive {
    rules: Rules,
    epoch: u64,
    histories: Mutex<Histories>,
    /// Holds that have more to read, and had no room for it.
    behind: Mutex<Vec<HoldId>>,
}

/// Where a client resumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResumePoint {
    /// The client has seen nothing.
    New,
    /// The client has seen everything up to this offset.
    Back(u64),
    /// The client came when the last offset was `came`, and has seen the history up to `seen`.
    Midway { seen: u64, came: u64 },
    /// The client has an id from before a restart, or of another server at the same URL. An `EventSource` sends back
    /// any text that it was given.
    OtherEpoch,
}

/// A `Last-Event-ID` that no honest client can have: it has the epoch of this server and an offset that is yet to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forged;

/// A recorded message that is being delivered to the members of its topic. Dropping it completes the delivery.
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
        // Ids are no secrets. They must only differ between two starts of the server.
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

    /// The rule by which a topic keeps its history, if it keeps one.
    pub(super) fn rule(&self, topic: &str) -> Option<usize> {
        self.rules.of(topic)
    }

    pub(super) fn id(&self, offset: u64) -> EventId {
        EventId::new(self.epoch, offset)
    }

    /// The id of a client with this cursor that has got everything up to `offset`.
    pub(super) fn id_of(&self, cursor: &Cursor, offset: u64) -> EventId {
        EventId::midway(self.epoch, offset, cursor.came)
    }

    /// Reads the `Last-Event-ID` of a client.
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

    /// Messages behind the cursor, of at most `most` bytes each and `room` bytes together.
    pub(super) fn pull(&self, cursor: &Cursor, room: usize, most: usize) -> Pulled {
        self.histories.lock().pull(cursor.wanted(), room, most)
    }

    /// How many messages there are behind the cursor.
    pub(super) fn count(&self, cursor: &Cursor) -> usize {
        self.histories.lock().count(cursor.wanted())
    }

    /// Begins to follow those of the topics that keep a history, from `resume_point`. `true` marks topics whose whole
    /// history a new client wants. Returns the first messages too, up to `send_buffer` bytes, read under the same lock
    /// so that nothing is forgotten in between.
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

    /// The cursor of a client that resumes here but follows nothing.
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

    /// Begins to follow one more topic, from the last offset on.
    pub(super) fn follow_too(&self, cursor: &mut Cursor, topic: &Topic, rule: usize) {
        let mut histories = self.histories.lock();
        histories.follow(rule, topic);
        cursor.add(topic.clone(), histories.last());
    }

    /// Stops following a topic.
    pub(super) fn unfollow(&self, topic: &str) {
        self.histories.lock().unfollow(topic);
    }

    /// The last offset that a client with this cursor has passed. If nothing is in flight to it, that is the last of
    /// all topics together.
    pub(super) fn passed(&self, cursor: &Cursor) -> u64 {
        let histories = self.histories.lock();
        let has_all = cursor.wanted().all(|(topic, after)| {
            self.rule(topic.as_str()).is_none_or(|rule| histories.last_of(rule, topic.as_str()) <= after)
        });
        if has_all { histories.last() } else { cursor.cursor }
    }

    /// Whether a hold follows the topic, or some of its history is kept.
    pub(super) fn remembers(&self, topic: &str) -> bool {
        self.histories.lock().remembers(topic)
    }

    /// Lists a hold to be woken by the sweep, to read on.
    pub(super) fn mark_behind(&self, id: HoldId) {
        self.behind.lock().push(id);
    }
}

/// The cursor of a client that resumes here and follows these topics, each with its rule. `true` marks topics whose
/// whole history a new client wants.
fn locate(histories: &Histories, kept: Vec<(&Topic, bool, usize)>, resume_point: ResumePoint) -> Cursor {
    let last = histories.last();
    let floor = |rule, topic: &Topic| histories.floor(rule, topic.as_str());
    let (seen, came) = match resume_point {
        ResumePoint::Back(seen) => (Some(seen), seen),
        ResumePoint::Midway { seen, came } => (Some(seen), came),
        ResumePoint::New | ResumePoint::OtherEpoch => (None, last),
    };
    // A client has not missed what was forgotten before it came.
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

    /// Reads the `Last-Event-ID` of a client that follows these topics. If none of them keeps a history, the id is
    /// ignored.
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

    /// Forgets what is too old, and wakes holds that had no room for more.
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

    /// These topics have no members and no history any more.
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
