//! Scheduled messages as clients see them: in time, with their topic, and even if the application panics in them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use abeyance::{ScheduleError, Scheduled, Transport};
use abeyance_tests::test_server::{TestServer, test_server, until};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::{LATE, seconds};

fn open() -> TestServer {
    test_server().hold(|hold| hold.join("news")).start()
}

/// At the earliest `span` after `since`, and hardly later.
#[track_caller]
fn assert_in_time(since: Instant, span: std::time::Duration) {
    let late = since.elapsed().checked_sub(span).expect("never early");
    assert!(late <= LATE, "{late:?} late");
}

contract!(a_message_comes_when_its_time_has_come of all);
async fn a_message_comes_when_its_time_has_come(transport: Transport) {
    let server = open();
    let mut client = server.hold(transport).await;
    let begun = Instant::now();
    let scheduled = server.hub.publish_after(seconds(5), "news", "hello").unwrap();
    server.hub.publish_after(seconds(4), "other", "not for you").unwrap().detach();
    assert_eq!(client.message().await, "hello");
    assert_in_time(begun, seconds(5));
    assert!(!scheduled.cancel());
    assert_eq!(server.hub.scheduled(), 0);
    server.close().await;
}

contract!(a_message_comes_again_and_again_until_it_is_cancelled of lasting);
async fn a_message_comes_again_and_again_until_it_is_cancelled(transport: Transport) {
    let server = open();
    let mut client = server.hold(transport).await;
    let begun = Instant::now();
    let same = server.hub.publish_every(seconds(2), "news", "tick").unwrap();
    let mut count = 0;
    let made = server.hub.publish_every_with(seconds(3), "news", move || {
        count += 1;
        format!("{count}")
    });
    for (text, at) in [("tick", 2), ("1", 3), ("tick", 4), ("tick", 6), ("2", 6), ("tick", 8), ("3", 9)] {
        assert_eq!(client.message().await, text);
        assert_in_time(begun, seconds(at));
    }
    drop(same);
    assert_eq!(client.message().await, "4");
    assert!(made.unwrap().cancel());
    sleep(seconds(60)).await;
    server.hub.publish("news", "live");
    assert_eq!(client.message().await, "live");
    server.close().await;
}

contract!(a_schedule_waits_for_the_first_member_of_its_topic_and_ends_with_the_last of all);
async fn a_schedule_waits_for_the_first_member_of_its_topic_and_ends_with_the_last(transport: Transport) {
    let server = open();
    server.hub.publish_every(seconds(30), "news", "tick").unwrap().detach();
    server.hub.publish_every(seconds(30), "other", "tick").unwrap().detach();
    sleep(seconds(100)).await;
    assert_eq!(server.hub.scheduled(), 2);
    let (first, mut second) = (server.hold(transport).await, server.hold(transport).await);
    drop(first);
    server.nth_end(1).await;
    assert_eq!(second.message().await, "tick");
    drop(second);
    server.nth_end(2).await;
    assert_eq!(server.hub.scheduled(), 1);
    let _third = server.hold(transport).await;
    sleep(seconds(1)).await;
    assert_eq!((server.hub.scheduled(), server.hub.held_count()), (1, 1));
    server.close().await;
}

/// Something of the application's that panics when it is dropped, and is counted while it is not.
struct Grenade(Arc<AtomicUsize>);

impl Grenade {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, SeqCst);
        Grenade(count.clone())
    }
}

impl Drop for Grenade {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
        panic!("on purpose");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_the_schedule_that_panics_and_nothing_else() {
    let server = open();
    let mut client = server.hold(Transport::Sse).await;
    let every = |fail_at: usize, text: &'static str| {
        let mut count = 0;
        let make = move || {
            count += 1;
            assert_ne!(count, fail_at, "on purpose");
            text
        };
        server.hub.publish_every_with(seconds(1), "news", make).unwrap()
    };
    let (first, second, third) = (every(9, "a"), every(2, "b"), every(9, "c"));
    for text in ["a", "b", "c", "a", "c", "a", "c"] {
        assert_eq!(client.message().await, text);
    }
    assert!(!second.cancel(), "it cancelled itself");
    assert!(first.cancel() && third.cancel());
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_cancelled_while_it_is_made_is_not_published() {
    let server = open();
    let mut client = server.hold(Transport::Sse).await;
    let handle: Arc<Mutex<Option<Scheduled>>> = Arc::default();
    let own = handle.clone();
    let make = move || {
        *own.lock() = None;
        "cancelled"
    };
    *handle.lock() = Some(server.hub.publish_every_with(seconds(1), "news", make).unwrap());
    server.hub.publish_after(seconds(2), "news", "after").unwrap().detach();
    assert_eq!(client.message().await, "after");
    assert_eq!(server.hub.scheduled(), 0);
    // By a thread of its own.
    until("the closure to be dropped", || Arc::strong_count(&handle) == 1).await;
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_what_is_dropped_costs_nothing() {
    let server = open();
    let left = Arc::new(AtomicUsize::new(0));
    let every = |topic: &str, hub: &abeyance::Hub| {
        let (grenade, hub) = (Grenade::new(&left), hub.clone());
        hub.clone().publish_every_with(seconds(1), topic, move || {
            let _owned = &grenade;
            format!("{}", hub.held_count())
        })
    };
    let mut client = server.hold(Transport::Sse).await;
    every("news", &server.hub).unwrap().detach();
    every("news", &server.hub).unwrap().detach();
    assert_eq!(client.message().await, "1");
    drop(client);
    until("what ended with its topic to be dropped", || left.load(SeqCst) == 0).await;
    // The publisher is still there, and so are those that a shutdown finds.
    let mut client = server.hold(Transport::Sse).await;
    every("news", &server.hub).unwrap().detach();
    every("empty", &server.hub).unwrap().detach();
    assert_eq!(client.message().await, "1");
    drop(client);
    let hub = server.hub.clone();
    server.close().await;
    assert_eq!(hub.scheduled(), 0);
    until("what was scheduled to be dropped", || left.load(SeqCst) == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_schedules_nothing_and_keeps_nothing() {
    let server = open();
    let kept = Arc::new(());
    let keep = |hub: &abeyance::Hub| {
        let kept = kept.clone();
        hub.publish_every_with(seconds(1), "empty", move || format!("{kept:?}"))
    };
    keep(&server.hub).unwrap().detach();
    let client = server.hold(Transport::Sse).await;
    let hub = server.hub.clone();
    assert_eq!(Arc::strong_count(&kept), 2);
    drop(client);
    server.close().await;
    assert_eq!(keep(&hub).unwrap_err(), ScheduleError::Stopped);
    until("the closures to be dropped", || Arc::strong_count(&kept) == 1).await;

    let server = open();
    let hub = server.hub.clone();
    keep(&hub).unwrap().detach();
    // Without a shutdown, and without a hold.
    drop(server);
    until("the server to be gone", || Arc::strong_count(&kept) == 1).await;
    assert_eq!(keep(&hub).unwrap_err(), ScheduleError::Stopped);
}
