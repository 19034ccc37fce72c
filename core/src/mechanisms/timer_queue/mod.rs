//! What is to be published later, once or again and again: what is next, and what ends with its topic.
//!
//! 1. An entry is in the queue, or *out*: [`take_due`](TimerQueue::take_due) has handed over its job. Of those that come once
//!    nothing stays; one that comes again waits for [`put_back`](TimerQueue::put_back), so it is never taken twice at once.
//! 2. What is due together is taken in the order of due times, then of [`add`](TimerQueue::add).
//! 3. An entry that comes again is due at its first time and at whole periods after that, however late it was taken. Of
//!    several times that have passed meanwhile it is taken for one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::words::tick::Tick;
use crate::words::topic::Topic;

/// All entries, of which there are at most so many. `J` is what is to be done.
#[derive(Debug)]
pub struct TimerQueue<J> {
    most: usize,
    count: u64,
    /// Trees, since they give their memory back by themselves.
    entries: BTreeMap<Number, Entry<J>>,
    queue: BTreeSet<(Tick, Number)>,
    topics: BTreeSet<(Topic, Number)>,
}

/// The name of an entry; later ones are greater, and none is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Number(u64);

/// One entry.
#[derive(Debug)]
pub struct Entry<J> {
    topic: Topic,
    due: Tick,
    period: Option<Duration>,
    /// Whether its topic has had members, and the last has left.
    was_left: bool,
    /// None while it is out.
    job: Option<J>,
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub struct Due<J> {
    pub number: Number,
    pub topic: Topic,
    pub job: J,
    /// Whether it is to be put back.
    pub comes_again: bool,
}

impl<J> TimerQueue<J> {
    pub fn new(most: usize) -> Self {
        TimerQueue {
            most,
            count: 0,
            entries: BTreeMap::new(),
            queue: BTreeSet::new(),
            topics: BTreeSet::new(),
        }
    }

    /// Enters a job that is due at `due`, and every `period` of whole milliseconds after it.
    ///
    /// # Errors
    /// Gives the job back when there are as many entries as there may be.
    pub fn add(&mut self, topic: Topic, due: Tick, period: Option<Duration>, job: J) -> Result<Number, J> {
        if self.entries.len() >= self.most {
            return Err(job);
        }
        let number = Number(self.count);
        self.count += 1;
        self.queue.insert((due, number));
        self.topics.insert((topic.clone(), number));
        self.entries.insert(number, Entry { topic, due, period, was_left: false, job: Some(job) });
        Ok(number)
    }

    /// The next job that is due by `now`.
    pub fn take_due(&mut self, now: Tick) -> Option<Due<J>> {
        let (_, number) = *self.queue.first().filter(|(due, _)| *due <= now)?;
        self.queue.pop_first();
        let entry = self.entries.get_mut(&number)?;
        let (topic, comes_again) = (entry.topic.clone(), entry.period.is_some());
        let job = entry.job.take()?;
        if !comes_again {
            self.cancel(number);
        }
        Some(Due { number, topic, job, comes_again })
    }

    /// Puts a job back that was taken by `now` and comes again.
    ///
    /// # Errors
    /// Gives the job back when it was cancelled meanwhile.
    pub fn put_back(&mut self, number: Number, job: J, now: Tick) -> Result<(), J> {
        let Some(entry) = self.entries.get_mut(&number) else { return Err(job) };
        let period = entry.period.unwrap_or_default().as_millis().max(1) as u64;
        let passed = now.since(entry.due).as_millis() as u64 / period;
        entry.due = Tick(entry.due.0.saturating_add(period.saturating_mul(passed + 1)));
        entry.job = Some(job);
        self.queue.insert((entry.due, number));
        Ok(())
    }

    /// Whether it is entered, be it out.
    pub fn is_entered(&self, number: Number) -> bool {
        self.entries.contains_key(&number)
    }

    /// Removes an entry; `None` if it is over.
    pub fn cancel(&mut self, number: Number) -> Option<Entry<J>> {
        let entry = self.entries.remove(&number)?;
        self.queue.remove(&(entry.due, number));
        self.topics.remove(&(entry.topic.clone(), number));
        Some(entry)
    }

    /// Removes all entries of a topic.
    pub fn cancel_topic(&mut self, topic: &str) -> Vec<Entry<J>> {
        self.of_topic(topic).into_iter().filter_map(|number| self.cancel(number)).collect()
    }

    /// A topic's last member has left, though it has not ended yet: what is entered by now ends with it.
    pub fn leave_topic(&mut self, topic: &str) {
        for number in self.of_topic(topic) {
            if let Some(entry) = self.entries.get_mut(&number) {
                entry.was_left = true;
            }
        }
    }

    /// Removes those entries of a topic that its last member [left](TimerQueue::leave_topic). The others wait for the first.
    pub fn cancel_left(&mut self, topic: &str) -> Vec<Entry<J>> {
        let mut numbers = self.of_topic(topic);
        numbers.retain(|number| self.entries.get(number).is_some_and(|entry| entry.was_left));
        numbers.into_iter().filter_map(|number| self.cancel(number)).collect()
    }

    fn of_topic(&self, topic: &str) -> Vec<Number> {
        let from = (Topic::from(topic), Number(0));
        let theirs = self.topics.range(from..).take_while(|(name, _)| name.as_str() == topic);
        theirs.map(|(_, number)| *number).collect()
    }

    /// Removes everything, and takes nothing any more.
    pub fn close(&mut self) -> Vec<Entry<J>> {
        let TimerQueue { entries, .. } = std::mem::replace(self, TimerQueue::new(0));
        entries.into_values().collect()
    }

    /// When something is due next; what is out does not count.
    pub fn next(&self) -> Option<Tick> {
        self.queue.first().map(|(due, _)| *due)
    }

    /// How many entries there are, those that are out among them.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests;
