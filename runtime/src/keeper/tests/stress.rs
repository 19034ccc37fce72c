//! Many threads at once: in every interleaving, no limit is exceeded, each hold has one end, and nothing is left.

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
    let server = TestServer::new(server_config, &[rejecting, evicting]);
    let (begun, firsts) = (AtomicU64::new(0), AtomicU64::new(0));
    let running = AtomicUsize::new(THREADS.into());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (server, begun, firsts, running) = (&server, &begun, &firsts, &running);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    live(server, thread, round, begun, firsts);
                }
                running.fetch_sub(1, SeqCst);
            });
        }
        scope.spawn(|| {
            while running.load(SeqCst) > 0 {
                server.keeper.sweep();
                server.keeper.publish("all", &"x".into());
                let counts = server.keeper.counts();
                assert!(counts.is_lawful());
                assert!(counts.held <= 7 && counts.peak <= 7);
                firsts.fetch_add(server.keeper.end_key("key", &End::from(Resume::Released)) as u64, SeqCst);
                firsts.fetch_add(server.keeper.end_all(&End::from(Resume::Drained)) as u64, SeqCst);
            }
        });
    });
    assert!(server.keeper.is_empty());
    let counts = server.keeper.counts();
    assert_eq!(counts.suspended, begun.load(SeqCst));
    assert_eq!(counts.ended.iter().sum::<u64>(), begun.load(SeqCst));
    // Evictions are not counted. There are some only if a thread was stopped for a second.
    let evicted = counts.ended[End::from(Resume::Evicted).index()];
    assert_eq!(firsts.load(SeqCst) + evicted, begun.load(SeqCst), "each end had one first cause");
}

#[test]
fn racing_publishers_keep_the_bound_over_all_that_waits() {
    const MEMORY: usize = 200_000;
    const PIECE: usize = 4_000;
    let endpoint = |rule| EndpointOptions { when_slow: Some(rule), ..STILL };
    let rules = [WhenSlow::Disconnect, WhenSlow::DropOldest, WhenSlow::DropNewest];
    let server = TestServer::new(
        ServerConfig { max_buffered: MEMORY, ..ServerConfig::default() },
        &rules.map(endpoint),
    );
    let most = AtomicUsize::new(0);
    let look = || most.fetch_max(server.keeper.budget.waiting(), SeqCst);
    std::thread::scope(|scope| {
        let starve = |thread| (0..ROUNDS / 8).for_each(|round| starve(&server, thread, round, PIECE));
        let publishers: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || starve(thread))).collect();
        while publishers.iter().any(|publisher| !publisher.is_finished()) {
            look();
        }
    });
    assert!(server.keeper.is_empty(), "{} bytes wait", server.keeper.budget.waiting());
    // Each thread may have queued one piece before it asks for room; framing and overhead are in it.
    let most = most.load(SeqCst);
    assert!(MEMORY / 2 < most && most <= MEMORY + usize::from(THREADS) * (PIECE + 100), "{most}");
    let dropped: u64 = server.keeper.dropped().iter().map(|count| count.load(SeqCst)).sum();
    assert!(dropped > 0 && server.keeper.counts().ended[End::from(Disconnect::Slow).index()] > 0);
}

/// Some holds that read nothing or little while all threads publish to them.
fn starve(server: &TestServer, thread: u8, round: usize, length: usize) {
    let test_holds: Vec<_> = (0..6)
        .map(|endpoint| {
            let test_hold =
                server.seat(server.admit(endpoint % 3, thread).unwrap(), endpoint % 3, SSE, None).unwrap();
            server.keeper.join(&test_hold.hold, "all".into()).unwrap();
            test_hold.peer_io.window(0);
            test_hold.hold.open(vec!["x".repeat(length).into()]);
            test_hold
        })
        .collect();
    for number in 0..20 {
        server.keeper.publish("all", &"y".repeat(length).into());
        let test_hold = &test_holds[(number + round) % test_holds.len()];
        let _ = Held::new(test_hold.hold.clone()).send("z".repeat(length));
        test_hold.peer_io.window(if number % 2 == 0 { usize::MAX } else { 0 });
        let _ = test_hold.flush();
    }
    for test_hold in &test_holds {
        server.keeper.end(&test_hold.hold, Resume::Released.into());
        server.keeper.settle(&test_hold.hold);
    }
}

/// One hold's life, ended by itself and by others at the same time.
fn live(server: &TestServer, thread: u8, round: usize, begun: &AtomicU64, firsts: &AtomicU64) {
    let endpoint = u32::from(round.is_multiple_of(2));
    let Ok(admission) = server.admit(endpoint, thread / 2) else { return };
    if round.is_multiple_of(7) {
        return;
    }
    let Ok(test_hold) = server.seat(admission, endpoint, SSE, Some("key")) else { return };
    begun.fetch_add(1, SeqCst);
    let _ = server.keeper.join(&test_hold.hold, "all".into());
    test_hold.hold.open(vec!["welcome".into()]);
    server.keeper.publish("all", &"y".into());
    server.keeper.leave(&test_hold.hold, "all");
    let _ = server.keeper.join(&test_hold.hold, "all".into());
    let ends =
        |cause: Disconnect| firsts.fetch_add(server.keeper.end(&test_hold.hold, cause.into()).into(), SeqCst);
    std::thread::scope(|scope| {
        scope.spawn(|| ends(Disconnect::Gone));
        ends(Disconnect::Reset);
    });
    assert!(test_hold.hold.end_request().is_some());
    server.keeper.settle(&test_hold.hold);
    server.keeper.settle(&test_hold.hold);
}
