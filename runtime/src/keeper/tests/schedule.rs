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

impl TestServer {
    fn hub(&self) -> Hub {
        Hub::new(self.keeper.clone())
    }

    /// A hold that joined.
    fn join(&self, topic: &str) -> TestHold {
        let test_hold = self.suspend(SSE);
        self.keeper.join(&test_hold.hold, topic.into()).unwrap();
        test_hold
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
    let server = TestServer::of(STILL);
    let test_hold = server.join("news");
    let scheduled = server.hub().publish_after(millis(100), "news", "hello").unwrap();
    assert!(server.pass(millis(100)).await.is_empty(), "not early by a part of a millisecond");
    assert!(!is_told(&server.keeper));
    advance(millis(25)).await;
    server.keeper.sweep();
    assert_eq!(test_hold.peer_io.text(), "");
    assert_eq!(server.publish_due(), ["hello"]);
    assert_eq!(test_hold.peer_io.text(), "data: hello\n\n");
    assert!(!scheduled.cancel(), "it is over");
    assert_eq!(server.hub().scheduled(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_due_at_one_sweep_comes_in_the_order_of_due_times_then_of_scheduling() {
    let server = TestServer::of(STILL);
    for (delay, text) in [(20, "d"), (5, "a"), (10, "b"), (10, "c"), (0, "now")] {
        server.hub().publish_after(millis(delay), "news", text).unwrap().detach();
    }
    assert_eq!(server.pass(millis(25)).await, ["now", "a", "b", "c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn what_comes_again_is_published_once_for_all_that_was_missed_and_keeps_its_phase() {
    let server = TestServer::of(STILL);
    server.hub().publish_every(millis(100), "news", "tick").unwrap().detach();
    let mut counts = Vec::new();
    for step in [90, 20, 350, 30, 20, 100] {
        advance(millis(step)).await;
        server.keeper.sweep();
        counts.push(server.publish_due().len());
    }
    assert_eq!(counts, [0, 1, 1, 0, 1, 1], "at 90, 110, 460, 490, 510 and 610 ms");
}

#[tokio::test(start_paused = true)]
async fn a_stall_of_the_server_is_not_waited_for_and_brings_nothing_early() {
    let server = TestServer::of(STILL);
    server.hub().publish_after(secs(2), "news", "once").unwrap().detach();
    server.hub().publish_every(secs(1), "news", "tick").unwrap().detach();
    server.hub().publish_after(millis(490), "news", "before").unwrap().detach();
    assert!(server.pass(millis(475)).await.is_empty());
    advance(millis(25)).await;
    server.keeper.sweep();
    advance(secs(600)).await;
    // The publisher is told, and runs before the sweep that notices the stall.
    assert_eq!(server.publish_due(), ["before"]);
    server.keeper.sweep();
    assert!(server.publish_due().is_empty());
    assert_eq!(server.pass(millis(500)).await, ["tick"]);
    assert_eq!(server.pass(secs(1)).await, ["once", "tick"]);
}

#[tokio::test(start_paused = true)]
async fn before_the_server_starts_time_stands_still() {
    let keeper = Keeper::new();
    let hub = Hub::new(keeper.clone());
    advance(secs(30)).await;
    hub.publish_after(secs(10), "news", "hello").unwrap().detach();
    advance(secs(30)).await;
    keeper.configure(ServerConfig::default(), Vec::new());
    let server = TestServer { keeper, configs: Vec::new() };
    assert!(server.pass(secs(10)).await.is_empty());
    assert_eq!(server.pass(millis(50)).await, ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn a_handle_cancels_when_it_is_dropped_and_lets_be_what_is_detached() {
    let server = TestServer::of(STILL);
    let every = |text: &'static str| server.hub().publish_every(millis(50), "news", text).unwrap();
    let (kept, cancelled) = (every("kept"), every("cancelled"));
    drop(every("dropped"));
    every("detached").detach();
    assert!(cancelled.cancel());
    assert_eq!(server.hub().scheduled(), 2);
    assert_eq!(server.pass(millis(75)).await, ["kept", "detached"]);
    drop(kept);
    assert_eq!(server.pass(millis(50)).await, ["detached"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_cancelled_while_others_are_published_is_not() {
    let server = TestServer::of(STILL);
    let later: Arc<parking_lot::Mutex<Option<Scheduled>>> = Arc::default();
    let cancels = later.clone();
    let first = server.hub().publish_every_with(millis(50), "news", move || {
        drop(cancels.lock().take());
        "first"
    });
    *later.lock() = Some(server.hub().publish_after(millis(50), "news", "second").unwrap());
    assert_eq!(server.pass(millis(100)).await, ["first"]);
    drop(first);
    assert!(server.keeper.is_empty());
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_last_member_of_its_topic_and_not_before_the_first() {
    let server = TestServer::of(STILL);
    let every = |topic: &str, text: &'static str| {
        server.hub().publish_every(millis(50), topic, text).unwrap().detach();
    };
    every("news", "news");
    every("other", "other");
    server.hub().publish_after(secs(9), "news", "late").unwrap().detach();
    assert_eq!(server.pass(millis(75)).await, ["news", "other"], "without members");
    let (first, second) = (server.join("news"), server.join("news"));
    server.keeper.leave(&first.hold, "news");
    assert_eq!(server.pass(millis(50)).await, ["news", "other"]);
    assert!(second.peer_io.text().contains("news"));
    server.keeper.end(&second.hold, Resume::Released.into());
    assert_eq!(server.hub().scheduled(), 1);
    let third = server.join("news");
    assert_eq!(server.pass(secs(10)).await.iter().filter(|text| *text != "other").count(), 0);
    assert_eq!(third.peer_io.text(), "", "the topic it joined is another one");
    every("news", "again");
    server.keeper.leave(&third.hold, "news");
    assert_eq!(server.hub().scheduled(), 1, "a topic can end more than once");
}

#[tokio::test(start_paused = true)]
async fn where_the_past_is_kept_it_ends_when_that_is_forgotten() {
    let rule = Rule { pattern: Pattern::Name("news".into()), keep: Retention::new().age(secs(10)) };
    let server = TestServer::new(ServerConfig { topics: vec![rule], ..ServerConfig::default() }, &[STILL]);
    let later = |text: &'static str| server.hub().publish_after(secs(60), "news", text).unwrap();
    let before = later("before");
    server.keeper.publish("news", &"old".into());
    server.pass(secs(11)).await;
    assert_eq!(server.hub().scheduled(), 1, "no member yet");
    let test_hold = server.join("news");
    server.keeper.publish("news", &"hello".into());
    server.pass(secs(11)).await;
    assert_eq!(server.hub().scheduled(), 1, "a member is there");
    server.keeper.publish("news", &"bye".into());
    server.keeper.leave(&test_hold.hold, "news");
    assert_eq!(server.hub().scheduled(), 1, "what was said can still be asked for");
    let after = later("after");
    server.pass(secs(11)).await;
    assert!(!before.cancel());
    assert!(after.cancel());
    // With nothing kept at that moment, it ends at once.
    let test_hold = server.join("news");
    later("late").detach();
    server.keeper.end(&test_hold.hold, Resume::Released.into());
    assert_eq!(server.hub().scheduled(), 0);
}

#[test]
fn a_topic_that_was_joined_meanwhile_has_not_ended() {
    let server = TestServer::of(STILL);
    let scheduled = server.hub().publish_every(secs(1), "news", "tick").unwrap();
    let test_hold = server.join("news");
    server.keeper.last_left("news");
    server.keeper.past_forgotten("news");
    assert!(scheduled.cancel());
    drop(test_hold);
}

#[test]
fn no_more_is_scheduled_than_may_be_and_what_was_cancelled_counts_until_it_is_dropped() {
    let server = TestServer::of(STILL);
    let schedule = |topic: &str| server.hub().publish_after(secs(1), topic, "x");
    let test_hold = server.join("a");
    let mut handles: Vec<_> = (0..30_000).map(|_| schedule("a").unwrap()).collect();
    handles.extend((30_000..65_536).map(|_| schedule("b").unwrap()));
    let full = ScheduleError::TooMany(65_536);
    assert_eq!(schedule("b").unwrap_err(), full);
    assert!(handles.pop().unwrap().cancel());
    handles.push(schedule("b").unwrap());
    server.keeper.leave(&test_hold.hold, "a");
    assert_eq!((server.hub().scheduled(), schedule("b").unwrap_err()), (35_536, full));
    assert!(is_told(&server.keeper));
    assert_eq!(server.keeper.take_cancelled().len(), 30_000);
    handles.push(schedule("b").unwrap());
    handles.clear();
    server.keeper.end(&test_hold.hold, Resume::Released.into());
    server.keeper.settle(&test_hold.hold);
    assert!(server.keeper.is_empty());
}

#[test]
fn what_cannot_be_meant_is_told() {
    let hub = TestServer::of(STILL).hub();
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
    let server = TestServer::of(STILL);
    let every = server.hub().publish_every(millis(50), "news", "tick").unwrap();
    server.hub().publish_after(millis(50), "news", "once").unwrap().detach();
    assert_eq!(server.keeper.close_schedule().len(), 2);
    assert_eq!(server.hub().publish_after(secs(1), "news", "x").unwrap_err(), ScheduleError::Stopped);
    assert!(server.pass(secs(1)).await.is_empty());
    assert!(!every.cancel());
    assert!(server.keeper.is_empty());
}

#[test]
fn what_makes_messages_is_never_dropped_under_a_lock() {
    let server = TestServer::of(STILL);
    let dropped = Arc::new(AtomicBool::new(false));
    let every = || {
        let (keeper, dropped) = (server.keeper.clone(), dropped.clone());
        let guard = OnDrop(move || {
            assert!(keeper.registry.try_lock().is_some(), "dropped under the registry");
            assert!(!keeper.schedule.is_locked(), "dropped under the schedule");
            assert!(!keeper.topics.is_locked("news"), "dropped under its topic");
            dropped.store(true, SeqCst);
        });
        server.hub().publish_every_with(millis(50), "news", move || {
            let _owned = &guard;
            Message::from("tick")
        })
    };
    let test_hold = server.join("news");
    let was_dropped = || dropped.swap(false, SeqCst);
    drop(every().unwrap());
    assert!(was_dropped());
    every().unwrap().detach();
    server.keeper.leave(&test_hold.hold, "news");
    assert!(!was_dropped(), "leaving a topic runs no user code");
    drop(server.keeper.take_cancelled());
    assert!(was_dropped());
    every().unwrap().detach();
    drop(server.keeper.close_schedule());
    assert!(was_dropped());
    assert_eq!(every().unwrap_err(), ScheduleError::Stopped);
    assert!(was_dropped());
}

#[test]
fn racing_members_keep_what_they_scheduled_and_the_last_leaves_nothing() {
    let server = TestServer::of(STILL);
    let test_holds: Vec<TestHold> = (0..4).map(|_| server.suspend(SSE)).collect();
    std::thread::scope(|scope| {
        for test_hold in &test_holds {
            let (keeper, hub) = (&server.keeper, server.hub());
            scope.spawn(move || {
                for _ in 0..2_000 {
                    keeper.join(&test_hold.hold, "news".into()).unwrap();
                    let scheduled = hub.publish_every(secs(1), "news", "tick").unwrap();
                    std::thread::yield_now();
                    assert!(scheduled.cancel(), "cancelled although a member was there");
                    hub.publish_every(secs(1), "news", "tick").unwrap().detach();
                    keeper.leave(&test_hold.hold, "news");
                    drop(keeper.take_cancelled());
                }
            });
        }
    });
    assert_eq!(server.hub().scheduled(), 0);
    assert!(server.keeper.schedule.is_empty());
}
