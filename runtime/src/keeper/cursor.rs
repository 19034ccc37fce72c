//! How far a hold has got in the topics that keep a history.

use abeyance_core::words::topic::Topic;

/// How far a hold has got in the topics it follows.
pub(super) struct Cursor {
    /// The hold was given everything up to this offset.
    pub(super) cursor: u64,
    /// The last offset when the client came. Up to there, the client gets the history of some of its topics only.
    pub(super) came: u64,
    /// The position of the client before anything is written.
    pub(super) start: u64,
    /// The position of the client at the end, the last messages not counted.
    pub(super) stop: Option<u64>,
    pub(super) topics: Vec<Followed>,
    /// Whether publishers deliver to the hold.
    pub(super) is_live: bool,
    /// Whether the archive lists the hold as behind.
    pub(super) is_marked_behind: bool,
    /// Whether a message that the client missed is forgotten, so that the client must be told.
    pub(super) is_lost: bool,
}

pub(super) struct Followed {
    pub(super) topic: Topic,
    /// The hold gets only what has a later offset.
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
            is_marked_behind: false,
            is_lost: false,
        }
    }

    pub(super) fn add(&mut self, topic: Topic, since: u64) {
        self.topics.push(Followed { topic, since });
    }

    /// The topics of the hold, each with the offset behind which it wants messages.
    pub(super) fn wanted(&self) -> impl Iterator<Item = (&Topic, u64)> {
        self.topics.iter().map(|followed| (&followed.topic, followed.since.max(self.cursor)))
    }

    pub(super) fn leave(&mut self, topic: &str) {
        self.topics.retain(|followed| followed.topic.as_str() != topic);
    }

    /// Skips to `offset`, for the client as well: nothing that it can get is before that.
    pub(super) fn pass_over(&mut self, offset: u64) {
        self.cursor = offset;
        self.start = offset;
    }

    /// Whether there may be messages that the hold has not got and that no publisher delivers.
    pub(super) fn is_behind(&self) -> bool {
        !self.is_live
    }
}
