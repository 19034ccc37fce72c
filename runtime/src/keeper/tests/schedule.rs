//! What is published later: when, in which order, what cancels it, and that nothing is left of it.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use tokio::time::advance;

use super::*;
use crate::keeper::hub::Hub;
use crate::keeper::schedule::Job;
use crate::keeper::schedule::ScheduleError;
use crate::keeper::scheduled::Scheduled;
use abeyance_core::words::cause::Resume;
use abeyance_core::words::message::Message;
use abeyance_core::words::retention::{Pattern, Retention, Rule};

/// What its owner does when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl TestKeeper {
    fn hub(&self) -> Hub {
        Hub::new(self.keeper.clone())
    }

    /// A guest that joined.
    fn join(&self, topic: &str) -> TestHold {
        let guest = self.suspend(SSE);
        self.keeper.join(&guest.hold, topic.into()).unwrap();
        guest
    }

    /// Does what the publisher does, if it was told; gives what it published.
    fn publish_due(&self) -> Vec<String> {
        let due = std::pin::pin!(self.keeper.due());
        let Poll::Ready(now) = poll_once(|cx| due.poll(cx)) else { return Vec::new() };
        let mut published = Vec::new();
        while let Some(due) = self.keeper.take_due(now) {
            let (message, job) = match due.job {
                Job::Message(message) => (message.clone(), Job::Message(message)),
                Job::Maker(mut make) => (make(), Job::Maker(make)),
            };
            if due.comes_again && self.keeper.put_back(due.number, job, now).is_err() {
                continue;
            }
            self.keeper.publish(due.topic.as_str(), &message);
            published.push(message.as_text().unwrap().to_owned());
        }
        drop(self.keeper.take_cancelled());
        published
    }

    /// Lets time pass in steps that are no stall; gives what was published meanwhile.
    async fn pass(&self, span: Duration) -> Vec<String> {
        let (mut left, mut published) = (span, Vec::new());
        while !left.is_zero() {
            let step = left.min(millis(25));
            advance(step).await;
            left -= step;
            self.keeper.sweep();
            published.extend(self.publish_due());
        }
        published
    }
}

/// Whether the publisher would be told.
fn is_told(keeper: &Keeper) -> bool {
    let due = std::pin::pin!(keeper.due());
    poll_once(|cx| due.poll(cx)).is_ready()
}

#[tokio::test(start_paused = true)]
async fn a_message_is_published_in_time_and_not_by_the_sweep_itself() {
    let house = TestKeeper::of(STILL);
    let guest = house.join("news");
    let scheduled = house.hub().publish_after(millis(100), "news", "hello").unwrap();
    assert!(house.pass(millis(100)).await.is_empty(), "not early by a part of a millisecond");
    assert!(!is_told(&house.keeper));
    advance(millis(25)).await;
    house.keeper.sweep();
    assert_eq!(guest.line.text(), "");
    assert_eq!(house.publish_due(), ["hello"]);
    assert_eq!(guest.line.text(), "data: hello\n\n");
    assert!(!scheduled.cancel(), "it is over");
    assert_eq!(house.hub().scheduled(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_due_at_one_sweep_comes_in_the_order_of_due_times_then_of_scheduling() {
    let house = TestKeeper::of(STILL);
    for (delay, text) in [(20, "d"), (5, "a"), (10, "b"), (10, "c"), (0, "now")] {
        house.hub().publish_after(millis(delay), "news", text).unwrap().detach();
    }
    assert_eq!(house.pass(millis(25)).await, ["now", "a", "b", "c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn what_comes_again_is_published_once_for_all_that_was_missed_and_keeps_its_phase() {
    let house = TestKeeper::of(STILL);
    house.hub().publish_every(millis(100), "news", "tick").unwrap().detach();
    let mut counts = Vec::new();
    for step in [90, 20, 350, 30, 20, 100] {
        advance(millis(step)).await;
        house.keeper.sweep();
        counts.push(house.publish_due().len());
    }
    assert_eq!(counts, [0, 1, 1, 0, 1, 1], "at 90, 110, 460, 490, 510 and 610 ms");
}

#[tokio::test(start_paused = true)]
async fn a_stall_of_the_server_is_not_waited_for_and_brings_nothing_early() {
    let house = TestKeeper::of(STILL);
    house.hub().publish_after(secs(2), "news", "once").unwrap().detach();
    house.hub().publish_every(secs(1), "news", "tick").unwrap().detach();
    house.hub().publish_after(millis(490), "news", "before").unwrap().detach();
    assert!(house.pass(millis(475)).await.is_empty());
    advance(millis(25)).await;
    house.keeper.sweep();
    advance(secs(600)).await;
    // The publisher is told, and runs before the sweep that notices the stall.
    assert_eq!(house.publish_due(), ["before"]);
    house.keeper.sweep();
    assert!(house.publish_due().is_empty());
    assert_eq!(house.pass(millis(500)).await, ["tick"]);
    assert_eq!(house.pass(secs(1)).await, ["once", "tick"]);
}

#[tokio::test(start_paused = true)]
async fn before_the_server_starts_time_stands_still() {
    let keeper = Keeper::new();
    let hub = Hub::new(keeper.clone());
    advance(secs(30)).await;
    hub.publish_after(secs(10), "news", "hello").unwrap().detach();
    advance(secs(30)).await;
    keeper.configure(ServerConfig::default(), Vec::new());
    let house = TestKeeper { keeper, posts: Vec::new() };
    assert!(house.pass(secs(10)).await.is_empty());
    assert_eq!(house.pass(millis(50)).await, ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn a_handle_cancels_when_it_is_dropped_and_lets_be_what_is_detached() {
    let house = TestKeeper::of(STILL);
    let every = |text: &'static str| house.hub().publish_every(millis(50), "news", text).unwrap();
    let (kept, cancelled) = (every("kept"), every("cancelled"));
    drop(every("dropped"));
    every("detached").detach();
    assert!(cancelled.cancel());
    assert_eq!(house.hub().scheduled(), 2);
    assert_eq!(house.pass(millis(75)).await, ["kept", "detached"]);
    drop(kept);
    assert_eq!(house.pass(millis(50)).await, ["detached"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_cancelled_while_others_are_published_is_not() {
    let house = TestKeeper::of(STILL);
    let later: Arc<parking_lot::Mutex<Option<Scheduled>>> = Arc::default();
    let cancels = later.clone();
    let first = house.hub().publish_every_with(millis(50), "news", move || {
        drop(cancels.lock().take());
        "first"
    });
    *later.lock() = Some(house.hub().publish_after(millis(50), "news", "second").unwrap());
    assert_eq!(house.pass(millis(100)).await, ["first"]);
    drop(first);
    assert!(house.keeper.is_empty());
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_last_member_of_its_topic_and_not_before_the_first() {
    let house = TestKeeper::of(STILL);
    let every = |topic: &str, text: &'static str| {
        house.hub().publish_every(millis(50), topic, text).unwrap().detach();
    };
    every("news", "news");
    every("other", "other");
    house.hub().publish_after(secs(9), "news", "late").unwrap().detach();
    assert_eq!(house.pass(millis(75)).await, ["news", "other"], "to nobody");
    let (first, second) = (house.join("news"), house.join("news"));
    house.keeper.leave(&first.hold, "news");
    assert_eq!(house.pass(millis(50)).await, ["news", "other"]);
    assert!(second.line.text().contains("news"));
    house.keeper.end(&second.hold, Resume::Released.into());
    assert_eq!(house.hub().scheduled(), 1);
    let third = house.join("news");
    assert_eq!(house.pass(secs(10)).await.iter().filter(|text| *text != "other").count(), 0);
    assert_eq!(third.line.text(), "", "the topic it joined is another one");
    every("news", "again");
    house.keeper.leave(&third.hold, "news");
    assert_eq!(house.hub().scheduled(), 1, "a topic can end more than once");
}

#[tokio::test(start_paused = true)]
async fn where_the_past_is_kept_it_ends_when_that_is_forgotten() {
    let rule = Rule { pattern: Pattern::Name("news".into()), keep: Retention::new().age(secs(10)) };
    let house = TestKeeper::new(ServerConfig { topics: vec![rule], ..ServerConfig::default() }, &[STILL]);
    let later = |text: &'static str| house.hub().publish_after(secs(60), "news", text).unwrap();
    let before = later("before");
    house.keeper.publish("news", &"old".into());
    house.pass(secs(11)).await;
    assert_eq!(house.hub().scheduled(), 1, "nobody has been there yet");
    let guest = house.join("news");
    house.keeper.publish("news", &"hello".into());
    house.pass(secs(11)).await;
    assert_eq!(house.hub().scheduled(), 1, "somebody is there");
    house.keeper.publish("news", &"bye".into());
    house.keeper.leave(&guest.hold, "news");
    assert_eq!(house.hub().scheduled(), 1, "what was said can still be asked for");
    let after = later("after");
    house.pass(secs(11)).await;
    assert!(!before.cancel());
    assert!(after.cancel());
    // With nothing kept at that moment, it ends at once.
    let guest = house.join("news");
    later("late").detach();
    house.keeper.end(&guest.hold, Resume::Released.into());
    assert_eq!(house.hub().scheduled(), 0);
}

#[test]
fn a_topic_that_somebody_joined_meanwhile_has_not_ended() {
    let house = TestKeeper::of(STILL);
    let scheduled = house.hub().publish_every(secs(1), "news", "tick").unwrap();
    let guest = house.join("news");
    house.keeper.last_left("news");
    house.keeper.past_forgotten("news");
    assert!(scheduled.cancel());
    drop(guest);
}

#[test]
fn no_more_is_scheduled_than_may_be_and_what_was_cancelled_counts_until_it_is_dropped() {
    let house = TestKeeper::of(STILL);
    let schedule = |topic: &str| house.hub().publish_after(secs(1), topic, "x");
    let guest = house.join("a");
    let mut handles: Vec<_> = (0..30_000).map(|_| schedule("a").unwrap()).collect();
    handles.extend((30_000..65_536).map(|_| schedule("b").unwrap()));
    let full = ScheduleError::TooMany(65_536);
    assert_eq!(schedule("b").unwrap_err(), full);
    assert!(handles.pop().unwrap().cancel());
    handles.push(schedule("b").unwrap());
    house.keeper.leave(&guest.hold, "a");
    assert_eq!((house.hub().scheduled(), schedule("b").unwrap_err()), (35_536, full));
    assert!(is_told(&house.keeper));
    assert_eq!(house.keeper.take_cancelled().len(), 30_000);
    handles.push(schedule("b").unwrap());
    handles.clear();
    house.keeper.end(&guest.hold, Resume::Released.into());
    house.keeper.settle(&guest.hold);
    assert!(house.keeper.is_empty());
}

#[test]
fn what_cannot_be_meant_is_told() {
    let hub = TestKeeper::of(STILL).hub();
    let year = secs(365 * 24 * 60 * 60);
    for period in [Duration::ZERO, Duration::from_nanos(1), Duration::from_micros(24_999)] {
        assert_eq!(hub.publish_every(period, "a", "x").unwrap_err(), ScheduleError::TooOften(period));
    }
    for span in [year + Duration::from_nanos(1), Duration::MAX] {
        assert_eq!(hub.publish_every(span, "a", "x").unwrap_err(), ScheduleError::TooLong(span));
        assert_eq!(hub.publish_after(span, "a", "x").unwrap_err(), ScheduleError::TooLong(span));
    }
    assert!(hub.publish_every(millis(25), "a", "x").unwrap().cancel());
    assert!(hub.publish_every(year, "a", "x").unwrap().cancel());
    assert!(hub.publish_after(Duration::ZERO, "a", "x").unwrap().cancel());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_publishes_and_schedules_nothing_more() {
    let house = TestKeeper::of(STILL);
    let every = house.hub().publish_every(millis(50), "news", "tick").unwrap();
    house.hub().publish_after(millis(50), "news", "once").unwrap().detach();
    assert_eq!(house.keeper.close_schedule().len(), 2);
    assert_eq!(house.hub().publish_after(secs(1), "news", "x").unwrap_err(), ScheduleError::Stopped);
    assert!(house.pass(secs(1)).await.is_empty());
    assert!(!every.cancel());
    assert!(house.keeper.is_empty());
}

#[test]
fn what_makes_messages_is_never_dropped_under_a_lock() {
    let house = TestKeeper::of(STILL);
    let dropped = Arc::new(AtomicBool::new(false));
    let every = || {
        let (keeper, dropped) = (house.keeper.clone(), dropped.clone());
        let guard = OnDrop(move || {
            assert!(keeper.registry.try_lock().is_some(), "dropped under the books");
            assert!(!keeper.schedule.is_locked(), "dropped under the schedule");
            assert!(!keeper.topics.is_locked("news"), "dropped under its topic");
            dropped.store(true, SeqCst);
        });
        house.hub().publish_every_with(millis(50), "news", move || {
            let _owned = &guard;
            Message::from("tick")
        })
    };
    let guest = house.join("news");
    let was_dropped = || dropped.swap(false, SeqCst);
    drop(every().unwrap());
    assert!(was_dropped());
    every().unwrap().detach();
    house.keeper.leave(&guest.hold, "news");
    assert!(!was_dropped(), "whoever leaves a topic runs no user code");
    drop(house.keeper.take_cancelled());
    assert!(was_dropped());
    every().unwrap().detach();
    drop(house.keeper.close_schedule());
    assert!(was_dropped());
    assert_eq!(every().unwrap_err(), ScheduleError::Stopped);
    assert!(was_dropped());
}

#[test]
fn racing_members_keep_what_they_scheduled_and_the_last_leaves_nothing() {
    let house = TestKeeper::of(STILL);
    let guests: Vec<TestHold> = (0..4).map(|_| house.suspend(SSE)).collect();
    std::thread::scope(|scope| {
        for guest in &guests {
            let (keeper, hub) = (&house.keeper, house.hub());
            scope.spawn(move || {
                for _ in 0..2_000 {
                    keeper.join(&guest.hold, "news".into()).unwrap();
                    let scheduled = hub.publish_every(secs(1), "news", "tick").unwrap();
                    std::thread::yield_now();
                    assert!(scheduled.cancel(), "cancelled although a member was there");
                    hub.publish_every(secs(1), "news", "tick").unwrap().detach();
                    keeper.leave(&guest.hold, "news");
                    drop(keeper.take_cancelled());
                }
            });
        }
    });
    assert_eq!(house.hub().scheduled(), 0);
    assert!(house.keeper.schedule.is_empty());
}
