//! How far one hold has got in the topics it follows that keep a history.

use abeyance_core::words::topic::Topic;

/// How far a hold has got in the topics it follows.
pub(super) struct Cursor {
    /// It was given everything up to here.
    pub(super) cursor: u64,
    /// Where the sequence was when its client came: up to there it gets the past of some of its topics only.
    pub(super) came: u64,
    /// Where its client stands before anything is written.
    pub(super) start: u64,
    /// Where its client stands at the end, what is written last not counted.
    pub(super) stop: Option<u64>,
    pub(super) topics: Vec<Followed>,
    pub(super) is_live: bool,
    /// Whether it is noted as being behind.
    pub(super) is_noted: bool,
    /// Whether something its client missed is gone, and it must be told.
    pub(super) is_lost: bool,
}

/// A topic that is followed.
pub(super) struct Followed {
    pub(super) topic: Topic,
    /// What came before this offset is not for the hold.
    pub(super) since: u64,
}

impl Cursor {
    pub(super) fn new(cursor: u64) -> Self {
        Cursor {
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
    pub(super) fn pass_over(&mut self, offset: u64) {
        self.cursor = offset;
        self.start = offset;
    }

    /// Whether there is something that it has not got and that no publisher will bring.
    pub(super) fn is_behind(&self) -> bool {
        !self.is_live
    }
}
