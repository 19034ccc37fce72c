//! What one topic keeps of its past.

use std::collections::VecDeque;
use std::time::Duration;

use crate::words::message::Message;
use crate::words::retention::Retention;
use crate::words::tick::Tick;

/// One kept message.
#[derive(Clone, Debug)]
pub struct Entry {
    pub offset: u64,
    pub message: Message,
    at: Tick,
    /// Whether its publisher is still handing it to the topic's members.
    is_landing: bool,
}

impl Entry {
    /// What keeping a message costs beside its bytes: its place here, and the bytes' own header.
    pub(super) const COST: usize = 128;

    pub fn cost(&self) -> usize {
        self.message.len() + self.message.name().map_or(0, str::len) + Entry::COST
    }
}

/// The kept messages of one topic, oldest first.
#[derive(Debug)]
pub(super) struct History {
    pub(super) rule: usize,
    entries: VecDeque<Entry>,
    bytes: usize,
    /// The latest that was ever recorded; of a topic that is new here, the latest that its rule forgot before.
    pub(super) last: u64,
    /// The latest that is gone: a client that has not got so far has missed something for good.
    pub(super) floor: u64,
    pub(super) followers: usize,
}

impl History {
    /// What a topic costs beside its messages: its places in the tables, and room for the first few.
    pub(super) const COST: usize = 512;

    pub(super) fn new(rule: usize, forgotten: u64) -> Self {
        History { rule, entries: VecDeque::new(), bytes: 0, last: forgotten, floor: forgotten, followers: 0 }
    }

    /// Records a message; says what it costs.
    pub(super) fn push(&mut self, offset: u64, message: Message, at: Tick) -> usize {
        let entry = Entry { offset, message, at, is_landing: true };
        let cost = entry.cost();
        self.bytes += cost;
        self.last = offset;
        self.entries.push_back(entry);
        cost
    }

    /// Its publisher is done with it.
    pub(super) fn complete(&mut self, offset: u64) {
        let at = self.entries.partition_point(|entry| entry.offset < offset);
        if let Some(entry) = self.entries.get_mut(at).filter(|entry| entry.offset == offset) {
            entry.is_landing = false;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The offset of the oldest.
    pub(super) fn first(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.offset)
    }

    /// Whether the oldest has to go, and may.
    pub(super) fn is_over(&self, keep: &Retention, now: Tick) -> bool {
        self.entries.len() > keep.count || self.bytes > keep.bytes || self.is_aged(keep.age, now)
    }

    pub(super) fn is_aged(&self, age: Duration, now: Tick) -> bool {
        self.entries.front().is_some_and(|entry| entry.at.plus(age) <= now)
    }

    /// Forgets the oldest; says what it cost. `None` while it is in flight: a member may still need to look it up.
    pub(super) fn pop(&mut self) -> Option<usize> {
        if self.entries.front()?.is_landing {
            return None;
        }
        let entry = self.entries.pop_front()?;
        self.floor = entry.offset;
        self.bytes -= entry.cost();
        if self.entries.capacity() > 64 && self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.len() * 2);
        }
        Some(entry.cost())
    }

    /// What came after that offset.
    pub(super) fn after(&self, offset: u64) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.range(self.entries.partition_point(|entry| entry.offset <= offset)..)
    }
}
