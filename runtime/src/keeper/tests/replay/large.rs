//! More than may wait for a peer: it is read as there is room, without spinning, or it is too late.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::*;

/// A house whose topic has kept four times as much as may wait for one peer.
fn long_past() -> (TestKeeper, usize) {
    let settings = EndpointOptions { send_buffer: Some(BOUND), ..STILL };
    let house = keeping(settings, &[("*", Retention::new().count(128))]);
    for number in 0..128 {
        house.publish("a", &[&format!("{number}{}", "x".repeat(1024))]);
    }
    (house, 128)
}

fn numbers(events: &[String]) -> Vec<usize> {
    let number = |event: &String| event.split_once(':').unwrap().1.trim_end_matches('x').parse().unwrap();
    events.iter().map(number).collect()
}

#[test]
fn a_replay_larger_than_the_backlog_is_read_as_there_is_room() {
    let (house, count) = long_past();
    let guest = house.arrive(SSE, &["a"], ResumePoint::Back(0));
    guest.line.window(0);
    guest.hold.open(Vec::new());
    let mut published = count;
    for _ in 0..200 {
        assert!(guest.hold.outbox().send_buffer.messages() * 1024 <= BOUND, "no more waits than may");
        if published < count + 50 {
            // What is live while it reads comes behind.
            house.publish("a", &[&format!("{published}{}", "x".repeat(1024))]);
            published += 1;
        }
        guest.line.window(3_000);
        let _ = guest.flush();
        house.keeper.sweep();
    }
    assert_eq!(guest.cause(), None);
    assert_eq!(numbers(&guest.events()), (0..published).collect::<Vec<_>>());
    assert!(!guest.hold.outbox().is_behind());
    house.publish("a", &["999"]);
    guest.line.window(usize::MAX);
    assert!(guest.flush().is_ready());
    assert_eq!(numbers(&guest.events()).last(), Some(&999), "and now it is live");
}

#[test]
fn a_replay_waits_for_the_kernel_without_spinning() {
    let (house, count) = long_past();
    let guest = house.arrive(SSE, &["a"], ResumePoint::Back(0));
    guest.line.keep(BOUND);
    let woken = Arc::new(Woken(AtomicBool::new(false)));
    guest.hold.open(Vec::new());
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    assert!(guest.hold.poll_flush(&mut cx).is_ready(), "nothing waits here");
    let written = guest.events().len();
    assert!(written < count, "the kernel holds as much as may wait");
    assert!(!woken.0.swap(false, SeqCst));
    house.keeper.sweep();
    assert!(woken.0.swap(false, SeqCst), "the sweep has it look again");
    assert!(guest.hold.poll_flush(&mut cx).is_ready());
    assert_eq!(guest.events().len(), written);
    guest.line.keep(0);
    house.keeper.sweep();
    assert!(woken.0.swap(false, SeqCst));
    while guest.hold.outbox().is_behind() {
        assert!(guest.hold.poll_flush(&mut cx).is_ready());
    }
    assert_eq!(numbers(&guest.events()), (0..count).collect::<Vec<_>>());
    house.keeper.sweep();
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
    let (house, count) = long_past();
    let guest = house.arrive(SSE, &["a"], ResumePoint::Back(0));
    guest.line.window(0);
    guest.hold.open(Vec::new());
    let mut number = count;
    while guest.cause().is_none() {
        house.publish("a", &[&format!("{number}{}", "x".repeat(1024))]);
        number += 1;
        let _ = guest.flush();
        guest.hold.catch_up();
        assert!(number < 3 * count);
    }
    assert_eq!(guest.cause(), Some("slow"));
}
