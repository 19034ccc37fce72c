//! More than may wait for a peer: it is read as there is room, without spinning, or it is too late.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::*;

/// A server whose topic has kept four times as much as may wait for one peer.
fn long_past() -> (TestServer, usize) {
    let settings = EndpointOptions { send_buffer: Some(BOUND), ..STILL };
    let server = keeping(settings, &[("*", Retention::new().count(128))]);
    for number in 0..128 {
        server.publish("a", &[&format!("{number}{}", "x".repeat(1024))]);
    }
    (server, 128)
}

fn numbers(events: &[String]) -> Vec<usize> {
    let number = |event: &String| event.split_once(':').unwrap().1.trim_end_matches('x').parse().unwrap();
    events.iter().map(number).collect()
}

#[test]
fn a_replay_larger_than_the_backlog_is_read_as_there_is_room() {
    let (server, count) = long_past();
    let test_hold = server.arrive(SSE, &["a"], ResumePoint::Back(0));
    test_hold.peer_io.window(0);
    test_hold.hold.open(Vec::new());
    let mut published = count;
    for _ in 0..200 {
        assert!(test_hold.hold.outbox().send_buffer.messages() * 1024 <= BOUND, "no more waits than may");
        if published < count + 50 {
            // What is live while it reads comes behind.
            server.publish("a", &[&format!("{published}{}", "x".repeat(1024))]);
            published += 1;
        }
        test_hold.peer_io.window(3_000);
        let _ = test_hold.flush();
        server.keeper.sweep();
    }
    assert_eq!(test_hold.cause(), None);
    assert_eq!(numbers(&test_hold.events()), (0..published).collect::<Vec<_>>());
    assert!(!test_hold.hold.outbox().is_behind());
    server.publish("a", &["999"]);
    test_hold.peer_io.window(usize::MAX);
    assert!(test_hold.flush().is_ready());
    assert_eq!(numbers(&test_hold.events()).last(), Some(&999), "and now it is live");
}

#[test]
fn a_replay_waits_for_the_kernel_without_spinning() {
    let (server, count) = long_past();
    let test_hold = server.arrive(SSE, &["a"], ResumePoint::Back(0));
    test_hold.peer_io.keep(BOUND);
    let woken = Arc::new(Woken(AtomicBool::new(false)));
    test_hold.hold.open(Vec::new());
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    assert!(test_hold.hold.poll_flush(&mut cx).is_ready(), "nothing waits here");
    let written = test_hold.events().len();
    assert!(written < count, "the kernel holds as much as may wait");
    assert!(!woken.0.swap(false, SeqCst));
    server.keeper.sweep();
    assert!(woken.0.swap(false, SeqCst), "the sweep has it look again");
    assert!(test_hold.hold.poll_flush(&mut cx).is_ready());
    assert_eq!(test_hold.events().len(), written);
    test_hold.peer_io.keep(0);
    server.keeper.sweep();
    assert!(woken.0.swap(false, SeqCst));
    while test_hold.hold.outbox().is_behind() {
        assert!(test_hold.hold.poll_flush(&mut cx).is_ready());
    }
    assert_eq!(numbers(&test_hold.events()), (0..count).collect::<Vec<_>>());
    server.keeper.sweep();
    assert!(!woken.0.load(SeqCst), "and is not looked after any more");
}

struct Woken(AtomicBool);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn a_replay_that_the_topic_overtakes_ends_as_slow() {
    let (server, count) = long_past();
    let test_hold = server.arrive(SSE, &["a"], ResumePoint::Back(0));
    test_hold.peer_io.window(0);
    test_hold.hold.open(Vec::new());
    let mut number = count;
    while test_hold.cause().is_none() {
        server.publish("a", &[&format!("{number}{}", "x".repeat(1024))]);
        number += 1;
        let _ = test_hold.flush();
        test_hold.hold.catch_up();
        assert!(number < 3 * count);
    }
    assert_eq!(test_hold.cause(), Some("slow"));
}
