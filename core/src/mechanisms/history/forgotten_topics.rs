//! How far topics had come of which nothing is left, so that a client of a quiet topic is not taken for one that
//! missed something.
//!
//! So many are known, those that were forgotten last. Of a topic that is pushed out, its rule's memory is all that is
//! left, and that says more than was lost: never less.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

/// Where topics stand that were forgotten whole.
///
/// Trees, because what they cost follows what is in them: a hash table whose entries come and go may keep four times that.
#[derive(Debug)]
pub(super) struct Floors {
    known: BTreeMap<Print, Known>,
    /// Who was forgotten when, the first to go first.
    order: BTreeMap<u64, Print>,
    turn: u64,
    most: usize,
    seeds: [RandomState; 2],
}

/// Stands for a topic's name, which may be long. The seeds are secret, so that no client can find two names that share
/// one; by chance, 128 bits do not.
type Print = [u64; 2];

#[derive(Debug)]
struct Known {
    rule: usize,
    floor: u64,
    turn: u64,
}

/// What is known no longer of one topic, and now counts for all of its rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ForgottenTopic {
    pub(super) rule: usize,
    pub(super) floor: u64,
}

impl Floors {
    /// About what one costs: its places in the two trees.
    const COST: usize = 128;

    /// As many as cost so many bytes.
    pub(super) fn within(bytes: usize) -> Self {
        Floors::new(bytes / Floors::COST)
    }

    pub(super) fn new(most: usize) -> Self {
        let (known, order, seeds) = (BTreeMap::new(), BTreeMap::new(), Default::default());
        Floors { known, order, turn: 0, most, seeds }
    }

    /// Up to where a topic had come, if that is known.
    pub(super) fn get(&self, topic: &str) -> Option<u64> {
        self.known.get(&self.print(topic)).map(|known| known.floor)
    }

    /// The topic is remembered again, and need not be known here.
    pub(super) fn take(&mut self, topic: &str) -> Option<u64> {
        let known = self.known.remove(&self.print(topic))?;
        self.order.remove(&known.turn);
        Some(known.floor)
    }

    /// A topic is forgotten. Gives back who is known no longer for that, perhaps the topic itself.
    pub(super) fn add(&mut self, rule: usize, topic: &str, floor: u64) -> Option<ForgottenTopic> {
        let print = self.print(topic);
        self.turn += 1;
        self.order.insert(self.turn, print);
        if let Some(before) = self.known.insert(print, Known { rule, floor, turn: self.turn }) {
            self.order.remove(&before.turn);
        }
        if self.known.len() <= self.most {
            return None;
        }
        let (_, first) = self.order.pop_first()?;
        self.known.remove(&first).map(|known| ForgottenTopic { rule: known.rule, floor: known.floor })
    }

    fn print(&self, topic: &str) -> Print {
        [self.seeds[0].hash_one(topic), self.seeds[1].hash_one(topic)]
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.known.len(), self.order.len());
        self.known.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_were_forgotten_last_are_known() {
        let mut floors = Floors::new(2);
        assert_eq!(floors.add(0, "a", 7), None);
        assert_eq!(floors.add(1, "b", 3), None);
        assert_eq!(floors.add(0, "a", 8), None, "again: it is the last now");
        assert_eq!((floors.get("a"), floors.get("b"), floors.get("c")), (Some(8), Some(3), None));
        assert_eq!(floors.add(0, "c", 9), Some(ForgottenTopic { rule: 1, floor: 3 }));
        assert_eq!((floors.get("a"), floors.get("b"), floors.get("c")), (Some(8), None, Some(9)));
        assert_eq!((floors.take("a"), floors.take("a"), floors.len()), (Some(8), None, 1));
    }

    #[test]
    fn without_room_a_topic_is_known_no_longer_at_once() {
        let mut floors = Floors::new(0);
        assert_eq!(floors.add(2, "a", 7), Some(ForgottenTopic { rule: 2, floor: 7 }));
        assert_eq!((floors.get("a"), floors.len()), (None, 0));
    }
}
