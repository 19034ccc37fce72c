//! What is kept, for how long, and what is given of it.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::words::retention::{Pattern, Retention, Rule};

const TINY: usize = Entry::COST + 1;

/// The largest message that a pull can have.
const MOST: usize = 10_000;

fn rules(keeps: &[(&str, Retention)]) -> Rules {
    let rule = |(text, keep): &(&str, Retention)| Rule { pattern: Pattern::read(text).unwrap(), keep: *keep };
    Rules::new(keeps.iter().map(rule).collect())
}

fn last(count: usize) -> Retention {
    Retention::new().count(count)
}

/// Histories and their rules, at a time.
struct Store {
    rules: Rules,
    histories: Histories,
    now: Tick,
}

impl Store {
    fn new(keeps: &[(&str, Retention)], bound: usize) -> Self {
        let rules = rules(keeps);
        Store { histories: Histories::new(&rules, bound), rules, now: Tick(0) }
    }

    fn record(&mut self, topic: &str, text: &str) -> Recorded {
        let rule = self.rules.of(topic).unwrap();
        self.histories.record(rule, topic, text.into(), self.now).1
    }

    fn complete(&mut self, topic: &str, recorded: Recorded) -> Vec<Topic> {
        self.histories.complete(&self.rules, &Topic::from(topic), recorded.offset, self.now)
    }

    fn publish(&mut self, topic: &str, text: &str) -> u64 {
        let recorded = self.record(topic, text);
        self.complete(topic, recorded);
        recorded.offset
    }

    fn pull(&self, wanted: &[(&str, u64)], room: usize) -> Pulled {
        let wanted: Vec<_> = wanted.iter().map(|(topic, after)| (Topic::from(*topic), *after)).collect();
        self.histories.pull(wanted.iter().map(|(topic, after)| (topic, *after)), room, MOST)
    }

    fn offsets(&self, wanted: &[(&str, u64)]) -> Vec<u64> {
        self.pull(wanted, usize::MAX).entries.iter().map(|entry| entry.offset).collect()
    }

    fn follow(&mut self, topic: &str) {
        let rule = self.rules.of(topic).unwrap();
        self.histories.follow(rule, &Topic::from(topic));
    }

    fn advance(&mut self, secs: u64) -> Vec<Topic> {
        self.now = self.now.plus(Duration::from_secs(secs));
        self.histories.expire(&self.rules, self.now)
    }
}

#[test]
fn what_was_missed_comes_in_the_order_of_the_sequence_across_topics() {
    let mut store = Store::new(&[("*", last(10))], usize::MAX);
    for topic in ["a", "b", "a", "c", "b"] {
        store.publish(topic, topic);
    }
    assert_eq!(store.offsets(&[("a", 0), ("b", 0)]), [1, 2, 3, 5]);
    assert_eq!(store.offsets(&[("b", 2), ("a", 1)]), [3, 5]);
    assert_eq!(store.offsets(&[("nothing", 0)]), [0; 0]);
}

#[test]
fn no_more_is_pulled_than_there_is_room_for_but_one_at_least() {
    let mut store = Store::new(&[("*", last(10))], usize::MAX);
    for _ in 0..3 {
        store.publish("a", "x");
    }
    for (room, count, is_all) in
        [(0, 1, false), (2 * TINY, 2, false), (3 * TINY - 1, 2, false), (3 * TINY, 3, true)]
    {
        let pulled = store.pull(&[("a", 0)], room);
        assert_eq!((pulled.entries.len(), pulled.is_all), (count, is_all), "{room}");
    }
    assert!(store.pull(&[("a", 3)], 0).is_all);
}

#[test]
fn what_is_too_large_to_have_takes_no_room() {
    let mut store = Store::new(&[("*", last(10))], usize::MAX);
    for text in [&"x".repeat(MOST + 1), "x", &"x".repeat(MOST + 1), "x", "x"] {
        store.publish("a", text);
    }
    let pulled = store.pull(&[("a", 0)], TINY);
    assert_eq!((pulled.entries.len(), pulled.is_all), (3, false));
}

#[test]
fn every_bound_of_a_topic_lets_the_oldest_go() {
    let age = Duration::from_secs(10);
    let keeps =
        [("count", last(2)), ("bytes", Retention::new().bytes(2 * TINY)), ("age", Retention::new().age(age))];
    let mut store = Store::new(&keeps, usize::MAX);
    for topic in ["count", "bytes"] {
        let first = (0..3).map(|_| store.publish(topic, "x")).min().unwrap();
        assert_eq!(store.offsets(&[(topic, 0)]), [first + 1, first + 2], "{topic}");
        assert_eq!(store.histories.floor(store.rules.of(topic).unwrap(), topic), first);
    }
    let first = store.publish("age", "x");
    store.advance(9);
    let second = store.publish("age", "x");
    assert_eq!(store.offsets(&[("age", 0)]), [first, second]);
    store.advance(1);
    assert_eq!(store.offsets(&[("age", 0)]), [second]);
}

#[test]
fn over_all_topics_together_the_oldest_goes_whosever_it_is() {
    let bound = 2 * (History::COST + 1) + 3 * TINY;
    let mut store = Store::new(&[("a", last(9)), ("*", last(9))], bound);
    store.publish("a", "x");
    store.publish("b", "x");
    store.publish("b", "x");
    assert_eq!(store.offsets(&[("a", 0), ("b", 0)]), [1, 2, 3]);
    store.publish("b", "x");
    assert_eq!(store.offsets(&[("a", 0), ("b", 0)]), [2, 3, 4]);
    assert!(store.histories.bytes() <= bound);
}

#[test]
fn a_message_larger_than_its_bound_is_not_kept_and_said_to_be_gone() {
    let mut store = Store::new(&[("*", Retention::new().bytes(100))], usize::MAX);
    store.follow("a");
    store.publish("a", "x");
    let pulled = store.pull(&[("a", 0)], usize::MAX);
    assert!(pulled.entries.is_empty() && pulled.is_overtaken);
}

#[test]
fn a_message_that_is_landing_is_there_to_be_looked_up() {
    let mut store = Store::new(&[("*", last(1))], 0);
    let first = store.record("a", "first");
    let second = store.record("a", "second");
    assert_eq!(second.previous, first.offset);
    store.complete("a", second);
    store.advance(10_000);
    assert_eq!(store.offsets(&[("a", 0)]), [1, 2], "in spite of the bounds");
    store.complete("a", first);
    assert_eq!(store.offsets(&[("a", 0)]), [0; 0]);
    assert!(store.histories.is_empty());
}

#[test]
fn a_topic_without_followers_and_messages_leaves_nothing_but_how_far_it_had_come() {
    let mut store = Store::new(&[("*", Retention::new().age(Duration::from_secs(1)))], usize::MAX);
    store.publish("a", "x");
    assert_eq!(store.histories.floor(0, "a"), 0);
    assert_eq!(store.advance(1), [Topic::from("a")]);
    assert!(store.histories.is_empty());
    assert_eq!(store.histories.floor(0, "a"), 1, "what was there is known to be gone");
    assert_eq!(store.histories.floor(0, "b"), 0, "and nothing is gone of others");

    store.follow("b");
    store.publish("b", "x");
    assert_eq!(store.advance(1), [], "it is followed");
    store.histories.unfollow("b");
    assert!(!store.histories.remembers("b"));
    assert!(store.histories.is_empty());
}

#[test]
fn of_topics_that_were_pushed_out_the_rule_remembers_how_far_any_had_come() {
    let keep = Retention::new().age(Duration::from_secs(1));
    let mut store = Store::new(&[("other/*", keep), ("*", keep), ("one", keep)], usize::MAX);
    store.histories.floors = Floors::new(1);
    store.publish("one", "x");
    store.publish("a", "x");
    store.advance(1);
    store.publish("b", "x");
    assert_eq!((store.histories.floor(1, "a"), store.histories.floor(1, "c")), (2, 0));
    store.advance(1);
    assert_eq!(store.histories.floor(1, "a"), 2, "of which this is known now");
    assert_eq!(store.histories.floor(1, "b"), 3);
    assert_eq!(store.histories.floor(1, "c"), 2, "and more is not known of any other");
    assert_eq!(store.histories.floor(0, "other/a"), 0, "under that rule");
    assert_eq!(store.histories.floor(2, "one"), 1, "a rule of one topic knows all of it");
    store.follow("b");
    assert_eq!((store.histories.floor(1, "b"), store.histories.floors.len()), (3, 0));
}

#[test]
fn ten_thousand_topics_that_passed_leave_no_memory() {
    let mut store = Store::new(&[("*", last(1))], usize::MAX);
    for n in 0..10_000 {
        store.publish(&n.to_string(), "x");
    }
    store.advance(10_000);
    assert!(store.histories.is_empty());
    assert!(store.histories.topics.capacity() <= 64);
}

#[test]
fn what_forgotten_topics_leave_is_within_a_part_of_the_bound() {
    let mut store = Store::new(&[("*", last(1))], 1 << 20);
    for n in 0..10_000 {
        store.publish(&n.to_string(), "x");
    }
    store.advance(10_000);
    assert_eq!(store.histories.floors.len(), (1 << 20) / 64 / 128);
}

#[derive(Clone, Debug)]
enum Step {
    Record(usize, usize),
    Land(usize),
    Pass(u64),
    Follow(usize),
    Unfollow(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4usize, 0..60usize).prop_map(|(topic, length)| Step::Record(topic, length)),
        4 => (0..3usize).prop_map(Step::Land),
        1 => (0..15u64).prop_map(Step::Pass),
        1 => (0..4usize).prop_map(Step::Follow),
        1 => (0..4usize).prop_map(Step::Unfollow),
    ]
}

proptest! {
    #[test]
    fn the_bounds_hold_and_a_follower_that_is_not_overtaken_misses_nothing(steps in prop::collection::vec(step(), 1..120)) {
        const TOPICS: [&str; 4] = ["a", "b1", "b2", "c"];
        let b = Retention::new().bytes(500).age(Duration::from_secs(20));
        let bound = 2_000;
        let mut store = Store::new(&[("a", last(3)), ("b*", b), ("*", Retention::default())], bound);
        let mut in_flight: Vec<(&str, Recorded)> = Vec::new();
        let mut followers = [0; 4];
        let mut all: Vec<(&str, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Record(topic, length) => {
                    let recorded = store.record(TOPICS[topic], &"x".repeat(length));
                    prop_assert_eq!(recorded.offset, all.len() as u64 + 1);
                    in_flight.push((TOPICS[topic], recorded));
                    all.push((TOPICS[topic], recorded.offset));
                }
                Step::Land(at) if at < in_flight.len() => {
                    let (topic, recorded) = in_flight.remove(at);
                    store.complete(topic, recorded);
                }
                Step::Land(_) => {}
                Step::Pass(secs) => {
                    store.advance(secs);
                }
                Step::Follow(topic) => {
                    store.follow(TOPICS[topic]);
                    followers[topic] += 1;
                }
                Step::Unfollow(topic) if followers[topic] > 0 => {
                    store.histories.unfollow(TOPICS[topic]);
                    followers[topic] -= 1;
                }
                Step::Unfollow(_) => {}
            }
            let costs: usize = TOPICS
                .iter()
                .filter_map(|topic| Some((topic, store.histories.topics.get(*topic).filter(|history| !history.is_empty())?)))
                .map(|(topic, history)| History::COST + topic.len() + history.after(0).map(Entry::cost).sum::<usize>())
                .sum();
            prop_assert_eq!(store.histories.bytes(), costs);
            for topic in TOPICS {
                let rule = store.rules.of(topic).unwrap();
                let floor = store.histories.floor(rule, topic);
                // From the floor on, everything is there.
                let expected: Vec<u64> =
                    all.iter().filter(|(of, offset)| *of == topic && *offset > floor).map(|(_, offset)| *offset).collect();
                prop_assert_eq!(store.offsets(&[(topic, floor)]), expected);
                for (_, recorded) in in_flight.iter().filter(|(of, _)| *of == topic) {
                    prop_assert!(recorded.offset > floor, "a message in flight was forgotten");
                }
            }
        }
        for (topic, recorded) in std::mem::take(&mut in_flight) {
            store.complete(topic, recorded);
        }
        store.advance(0);
        prop_assert!(store.offsets(&[("a", 0)]).len() <= 3);
        prop_assert!(store.histories.bytes() <= bound);
        for (topic, count) in TOPICS.iter().zip(followers) {
            (0..count).for_each(|_| { store.histories.unfollow(topic); });
        }
        store.advance(100_000);
        prop_assert!(store.histories.is_empty());
    }
}

/// A client of one topic that comes, gets what there is, goes, and comes back.
#[derive(Clone, Copy, Default)]
struct Client {
    is_here: bool,
    /// What it has seen; `None` before it came for the first time.
    seen: Option<u64>,
    /// How many topics had been forgotten when it went.
    forgotten: usize,
}

#[derive(Clone, Debug)]
enum Coming {
    Publish(usize),
    Come(usize),
    Go(usize),
    Pass(u64),
}

fn coming(topics: usize) -> impl Strategy<Value = Coming> {
    prop_oneof![
        3 => (0..topics).prop_map(Coming::Publish),
        3 => (0..topics).prop_map(Coming::Come),
        3 => (0..topics).prop_map(Coming::Go),
        1 => (0..15u64).prop_map(Coming::Pass),
    ]
}

proptest! {
    /// The oracle is a log of everything, with unbounded memory.
    #[test]
    fn a_client_that_missed_something_is_told_and_no_other_while_its_topic_is_known(
        steps in prop::collection::vec(coming(8), 1..200),
        most in 0..6usize,
    ) {
        const TOPICS: [&str; 8] = ["a1", "a2", "a3", "a4", "b1", "b2", "b3", "c"];
        let a = Retention::new().count(2).age(Duration::from_secs(10));
        let b = Retention::new().bytes(3 * TINY).age(Duration::from_secs(20));
        let mut store = Store::new(&[("a*", a), ("b*", b), ("c", a)], 3 * History::COST + 8 * TINY);
        store.histories.floors = Floors::new(most);
        let mut log: Vec<&str> = Vec::new();
        let mut clients = [Client::default(); 8];
        let mut forgotten = 0;
        for step in steps {
            let before = TOPICS.map(|topic| store.histories.remembers(topic));
            match step {
                Coming::Publish(at) => {
                    store.publish(TOPICS[at], "x");
                    log.push(TOPICS[at]);
                }
                Coming::Pass(secs) => {
                    store.advance(secs);
                }
                Coming::Come(at) if !clients[at].is_here => {
                    let topic = TOPICS[at];
                    let rule = store.rules.of(topic).unwrap();
                    let floor = store.histories.floor(rule, topic);
                    store.follow(topic);
                    prop_assert_eq!(store.histories.floor(rule, topic), floor, "following changes nothing");
                    if let Some(seen) = clients[at].seen {
                        let is_told = floor > seen;
                        let missed = log.iter().zip(1..).filter(|(of, offset)| **of == topic && *offset > seen);
                        let has_lost = missed.count() > store.offsets(&[(topic, seen)]).len();
                        prop_assert!(is_told || !has_lost, "{topic}: a silent gap behind {seen}");
                        let is_known = forgotten - clients[at].forgotten <= most;
                        prop_assert!(!is_told || has_lost || !is_known, "{topic}: nothing was missed since {seen}");
                    }
                    clients[at].is_here = true;
                    // Its id is that of the sequence now; of the last message of its own later.
                    clients[at].seen = Some(store.histories.last());
                }
                Coming::Go(at) if clients[at].is_here => {
                    clients[at].is_here = false;
                    let own = log.iter().zip(1..).filter(|(of, _)| **of == TOPICS[at]).map(|(_, offset)| offset);
                    clients[at].seen = clients[at].seen.max(own.max());
                    clients[at].forgotten = forgotten;
                    store.histories.unfollow(TOPICS[at]);
                }
                Coming::Come(_) | Coming::Go(_) => {}
            }
            let is_gone = |(topic, was): (&&str, bool)| was && !store.histories.remembers(topic);
            forgotten += TOPICS.iter().zip(before).filter(|pair| is_gone(*pair)).count();
            prop_assert!(store.histories.floors.len() <= most);
        }
    }
}
