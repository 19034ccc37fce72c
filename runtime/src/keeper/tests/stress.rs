//! Many threads at once: whatever the interleaving, no limit is exceeded, each hold has one end, and nothing is left.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

use super::*;
use crate::keeper::held::Held;
use abeyance_core::words::cause::{Disconnect, End, Resume};
use abeyance_settings::endpoint::{WhenFull, WhenSlow};

const THREADS: u8 = 4;
const ROUNDS: usize = 400;

#[test]
fn racing_threads_exceed_no_limit_and_leave_nothing() {
    let rejecting = EndpointOptions { max_suspended: Some(5), max_per_peer: Some(3), ..STILL };
    let evicting = EndpointOptions { max_per_key: Some(2), when_full: Some(WhenFull::ResumeOldest), ..STILL };
    let server_config = ServerConfig { max_suspended: 7, max_per_peer: Some(4), ..ServerConfig::default() };
    let house = TestKeeper::new(server_config, &[rejecting, evicting]);
    let (begun, firsts) = (AtomicU64::new(0), AtomicU64::new(0));
    let running = AtomicUsize::new(THREADS.into());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (house, begun, firsts, running) = (&house, &begun, &firsts, &running);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    live(house, thread, round, begun, firsts);
                }
                running.fetch_sub(1, SeqCst);
            });
        }
        scope.spawn(|| {
            while running.load(SeqCst) > 0 {
                house.keeper.sweep();
                house.keeper.publish("all", &"x".into());
                let counts = house.keeper.counts();
                assert!(counts.is_lawful());
                assert!(counts.held <= 7 && counts.peak <= 7);
                firsts.fetch_add(house.keeper.end_key("key", &End::from(Resume::Released)) as u64, SeqCst);
                firsts.fetch_add(house.keeper.end_all(&End::from(Resume::Drained)) as u64, SeqCst);
            }
        });
    });
    assert!(house.keeper.is_empty());
    let counts = house.keeper.counts();
    assert_eq!(counts.suspended, begun.load(SeqCst));
    assert_eq!(counts.ended.iter().sum::<u64>(), begun.load(SeqCst));
    // Nobody counts evictions; there are some only if a thread was away for a second.
    let evicted = counts.ended[End::from(Resume::Evicted).index()];
    assert_eq!(firsts.load(SeqCst) + evicted, begun.load(SeqCst), "each end had one first cause");
}

#[test]
fn racing_publishers_keep_the_bound_over_all_that_waits() {
    const MEMORY: usize = 200_000;
    const PIECE: usize = 4_000;
    let endpoint = |rule| EndpointOptions { when_slow: Some(rule), ..STILL };
    let rules = [WhenSlow::Disconnect, WhenSlow::DropOldest, WhenSlow::DropNewest];
    let house = TestKeeper::new(
        ServerConfig { max_buffered: MEMORY, ..ServerConfig::default() },
        &rules.map(endpoint),
    );
    let most = AtomicUsize::new(0);
    let look = || most.fetch_max(house.keeper.memory.waiting(), SeqCst);
    std::thread::scope(|scope| {
        let starve = |thread| (0..ROUNDS / 8).for_each(|round| starve(&house, thread, round, PIECE));
        let publishers: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || starve(thread))).collect();
        while publishers.iter().any(|publisher| !publisher.is_finished()) {
            look();
        }
    });
    assert!(house.keeper.is_empty(), "{} bytes wait", house.keeper.memory.waiting());
    // Each thread may have queued one piece before it asks for room; framing and place are in it.
    let most = most.load(SeqCst);
    assert!(MEMORY / 2 < most && most <= MEMORY + usize::from(THREADS) * (PIECE + 100), "{most}");
    let dropped: u64 = house.keeper.dropped().iter().map(|count| count.load(SeqCst)).sum();
    assert!(dropped > 0 && house.keeper.counts().ended[End::from(Disconnect::Slow).index()] > 0);
}

/// Some holds that read nothing or little while everybody publishes to them.
fn starve(house: &TestKeeper, thread: u8, round: usize, length: usize) {
    let guests: Vec<_> = (0..6)
        .map(|endpoint| {
            let guest =
                house.seat(house.admit(endpoint % 3, thread).unwrap(), endpoint % 3, SSE, None).unwrap();
            house.keeper.join(&guest.hold, "all".into()).unwrap();
            guest.line.window(0);
            guest.hold.open(vec!["x".repeat(length).into()]);
            guest
        })
        .collect();
    for number in 0..20 {
        house.keeper.publish("all", &"y".repeat(length).into());
        let guest = &guests[(number + round) % guests.len()];
        let _ = Held::new(guest.hold.clone()).send("z".repeat(length));
        guest.line.window(if number % 2 == 0 { usize::MAX } else { 0 });
        let _ = guest.flush();
    }
    for guest in &guests {
        house.keeper.end(&guest.hold, Resume::Released.into());
        house.keeper.settle(&guest.hold);
    }
}

/// One hold's life, ended by itself and by others at the same time.
fn live(house: &TestKeeper, thread: u8, round: usize, begun: &AtomicU64, firsts: &AtomicU64) {
    let endpoint = u32::from(round.is_multiple_of(2));
    let Ok(admission) = house.admit(endpoint, thread / 2) else { return };
    if round.is_multiple_of(7) {
        return;
    }
    let Ok(guest) = house.seat(admission, endpoint, SSE, Some("key")) else { return };
    begun.fetch_add(1, SeqCst);
    let _ = house.keeper.join(&guest.hold, "all".into());
    guest.hold.open(vec!["welcome".into()]);
    house.keeper.publish("all", &"y".into());
    house.keeper.leave(&guest.hold, "all");
    let _ = house.keeper.join(&guest.hold, "all".into());
    let ends =
        |cause: Disconnect| firsts.fetch_add(house.keeper.end(&guest.hold, cause.into()).into(), SeqCst);
    std::thread::scope(|scope| {
        scope.spawn(|| ends(Disconnect::Gone));
        ends(Disconnect::Reset);
    });
    assert!(guest.hold.end_request().is_some());
    house.keeper.settle(&guest.hold);
    house.keeper.settle(&guest.hold);
}
