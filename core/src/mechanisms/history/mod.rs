//! What topics keep of their past, for clients that come back.
//!
//! 1. One sequence for all topics: offsets count up, and a client that has got so far has everything up to there, of
//!    every topic it follows. So one number is all that it must bring back.
//! 2. Every topic's history is bounded by its [`Retention`](crate::words::retention::Retention), and all of them together by bytes; the
//!    oldest message goes first.
//! 3. A message that is *in flight* is not forgotten: its publisher is still handing it to members, and a member that
//!    another publisher has reached first looks it up here.
//! 4. A topic without followers that has nothing left is forgotten whole. How far it had come is known for a while
//!    longer: until so many others are forgotten as there is room for (`Floors`). After that its rule remembers only
//!    how far any of those had come. A client that comes back from before is then told to start anew, although it may
//!    have missed nothing.

mod forgotten_topics;
mod rules;
mod topic;

use std::collections::{BTreeMap, HashMap};

use crate::words::message::Message;
use crate::words::tick::Tick;
use crate::words::topic::Topic;

use forgotten_topics::{Floors, ForgottenTopic};
pub use rules::Rules;
pub use topic::Entry;
use topic::History;

/// The histories of all topics that keep one.
#[derive(Debug)]
pub struct Histories {
    topics: HashMap<Topic, History>,
    /// For each rule.
    ranks: Vec<Rank>,
    floors: Floors,
    last: u64,
    bytes: usize,
    bound: usize,
}

/// The topics of one rule.
#[derive(Debug, Default)]
struct Rank {
    /// The oldest message of each topic, oldest first.
    oldest: BTreeMap<u64, Topic>,
    /// Up to where topics had come of which nothing is known any more.
    forgotten: u64,
    /// Whether there is but one, of which that says all.
    is_one: bool,
}

/// Which part of the bound on all histories there is beside it for topics that were forgotten whole.
const FLOORS: usize = 64;

/// A message that was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub offset: u64,
    /// The topic's message before it: a follower that has that one needs nothing in between.
    pub previous: u64,
}

/// What a follower has not got yet.
#[derive(Debug, Default)]
pub struct Pulled {
    /// In the order of the sequence, over all topics.
    pub entries: Vec<Entry>,
    /// Whether that is all there is.
    pub is_all: bool,
    /// Whether something it has not got is forgotten.
    pub is_overtaken: bool,
}

impl Histories {
    pub fn new(rules: &Rules, bound: usize) -> Self {
        let rank = |rule| Rank { is_one: rules.is_of_one(rule), ..Rank::default() };
        let ranks = (0..rules.keeps().len()).map(rank).collect();
        let floors = Floors::within(bound / FLOORS);
        Histories { topics: HashMap::new(), ranks, floors, last: 0, bytes: 0, bound }
    }

    /// The latest offset of all.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The latest offset of a topic, or one behind it.
    pub fn last_of(&self, rule: usize, topic: &str) -> u64 {
        self.topics.get(topic).map_or_else(|| self.forgotten(rule, topic), |history| history.last)
    }

    /// Up to where a topic has forgotten everything.
    pub fn floor(&self, rule: usize, topic: &str) -> u64 {
        self.topics.get(topic).map_or_else(|| self.forgotten(rule, topic), |history| history.floor)
    }

    /// The topic has a follower more: it is remembered from now on, though it may keep nothing.
    pub fn follow(&mut self, rule: usize, topic: &Topic) {
        self.remembered(rule, topic).followers += 1;
    }

    /// The topic has a follower less.
    pub fn unfollow(&mut self, topic: &str) {
        let Some(history) = self.topics.get_mut(topic) else { return };
        history.followers -= 1;
        self.forget_if_ended(topic);
    }

    /// Whether the topic has followers, or something of it is left.
    pub fn remembers(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    /// Records a message. Until it has [`land`](Histories::complete)ed, it is not forgotten.
    /// Gives back the topic's name as everybody shares it.
    pub fn record(&mut self, rule: usize, topic: &str, message: Message, now: Tick) -> (Topic, Recorded) {
        self.last += 1;
        let offset = self.last;
        let topic = self.topics.get_key_value(topic).map_or_else(|| topic.into(), |(topic, _)| topic.clone());
        let history = self.remembered(rule, &topic);
        let recorded = Recorded { offset, previous: history.last };
        let is_first = history.is_empty();
        let cost = history.push(offset, message, now);
        self.bytes += cost;
        if is_first {
            self.bytes += charge(&topic);
            self.ranks[rule].oldest.insert(offset, topic.clone());
        }
        (topic, recorded)
    }

    /// A message was handed to all members: from now on the bounds apply to it. Gives back the topics that have ended.
    pub fn complete(&mut self, rules: &Rules, topic: &Topic, offset: u64, now: Tick) -> Vec<Topic> {
        let mut ended = Vec::new();
        if let Some(history) = self.topics.get_mut(topic) {
            history.complete(offset);
            let keep = &rules.keeps()[history.rule];
            while self.topics.get(topic).is_some_and(|history| history.is_over(keep, now)) {
                if !self.pop(topic, &mut ended) {
                    break;
                }
            }
        }
        while self.bytes > self.bound {
            let Some(oldest) = self.oldest() else { break };
            if !self.pop(&oldest, &mut ended) {
                break;
            }
        }
        ended
    }

    /// Forgets what is too old. Gives back the topics that have ended.
    pub fn expire(&mut self, rules: &Rules, now: Tick) -> Vec<Topic> {
        let mut ended = Vec::new();
        for (rule, keep) in rules.keeps().iter().enumerate() {
            while let Some((_, topic)) = self.ranks[rule].oldest.first_key_value() {
                let topic = topic.clone();
                let is_aged = self.topics.get(&topic).is_some_and(|history| history.is_aged(keep.age, now));
                if !is_aged || !self.pop(&topic, &mut ended) {
                    break;
                }
            }
        }
        ended
    }

    /// What came after the given offset of each topic, in order: as much as costs `room`, and one message at least.
    /// Messages of more than `most` bytes cost nothing: the follower passes over them, and must not stop at them.
    pub fn pull<'a>(
        &self,
        wanted: impl Iterator<Item = (&'a Topic, u64)>,
        room: usize,
        most: usize,
    ) -> Pulled {
        let mut pulled = Pulled::default();
        let mut sources = Vec::new();
        for (topic, after) in wanted {
            let Some(history) = self.topics.get(topic) else { continue };
            pulled.is_overtaken |= history.floor > after;
            let mut rest = history.after(after);
            sources.push((rest.next(), rest));
        }
        let mut cost = 0;
        while let Some(source) = sources
            .iter_mut()
            .filter(|source| source.0.is_some())
            .min_by_key(|source| source.0.map(|entry| entry.offset))
        {
            let (Some(entry), rest) = source else { break };
            let more = if entry.message.len() > most { 0 } else { entry.cost() };
            if cost > 0 && cost + more > room {
                return pulled;
            }
            cost += more;
            pulled.entries.push(entry.clone());
            source.0 = rest.next();
        }
        pulled.is_all = true;
        pulled
    }

    /// How many messages came after the given offset of each topic.
    pub fn count<'a>(&self, wanted: impl Iterator<Item = (&'a Topic, u64)>) -> usize {
        let histories = wanted.filter_map(|(topic, after)| Some((self.topics.get(topic)?, after)));
        histories.map(|(history, after)| history.after(after).len()).sum()
    }

    fn remembered(&mut self, rule: usize, topic: &Topic) -> &mut History {
        let (floors, ranks) = (&mut self.floors, &self.ranks);
        self.topics.entry(topic.clone()).or_insert_with(|| {
            let floor = floors.take(topic.as_str()).unwrap_or(ranks[rule].forgotten);
            History::new(rule, floor)
        })
    }

    /// How far a topic had come that is forgotten, or was never there; at least.
    fn forgotten(&self, rule: usize, topic: &str) -> u64 {
        self.floors.get(topic).unwrap_or(self.ranks[rule].forgotten)
    }

    /// The topic with the oldest message that may go.
    fn oldest(&self) -> Option<Topic> {
        let fronts = self.ranks.iter().filter_map(|rank| rank.oldest.first_key_value());
        fronts.min_by_key(|(offset, _)| **offset).map(|(_, topic)| topic.clone())
    }

    /// Forgets a topic's oldest message; `false` if it must not go yet.
    fn pop(&mut self, topic: &Topic, ended: &mut Vec<Topic>) -> bool {
        let Some(history) = self.topics.get_mut(topic) else { return false };
        let rule = history.rule;
        let Some(cost) = history.pop() else { return false };
        self.bytes -= cost;
        let oldest = &mut self.ranks[rule].oldest;
        oldest.remove(&history.floor);
        match history.first() {
            Some(first) => {
                oldest.insert(first, topic.clone());
            }
            None => {
                self.bytes -= charge(topic);
                if self.forget_if_ended(topic.as_str()) {
                    ended.push(topic.clone());
                }
            }
        }
        true
    }

    fn forget_if_ended(&mut self, topic: &str) -> bool {
        let Some(history) = self.topics.get(topic) else { return false };
        if history.followers > 0 || !history.is_empty() {
            return false;
        }
        let (rule, last) = (history.rule, history.last);
        let sunk = match self.ranks[rule].is_one {
            true => Some(ForgottenTopic { rule, floor: last }),
            false => self.floors.add(rule, topic, last),
        };
        if let Some(ForgottenTopic { rule, floor }) = sunk {
            let forgotten = &mut self.ranks[rule].forgotten;
            *forgotten = floor.max(*forgotten);
        }
        self.topics.remove(topic);
        if self.topics.capacity() > 64 && self.topics.len() < self.topics.capacity() / 8 {
            self.topics.shrink_to_fit();
        }
        true
    }

    /// What all histories cost now.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn follows_nothing(&self) -> bool {
        self.topics.values().all(|history| history.followers == 0)
    }

    pub fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.bytes == 0 && self.ranks.iter().all(|rank| rank.oldest.is_empty())
    }
}

/// What a topic costs beside its messages, while it has any: one that is only followed is a cost of its holds.
fn charge(topic: &Topic) -> usize {
    History::COST + topic.as_str().len()
}

#[cfg(test)]
mod tests;
