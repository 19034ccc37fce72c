//! Many threads at once: whatever the interleaving, no limit is exceeded, each hold has one end, and nothing is left.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

use super::*;
use crate::words::cause::{Disconnect, End, Resume};
use crate::words::terms::WhenFull;

const THREADS: u8 = 4;
const ROUNDS: usize = 400;

#[test]
fn racing_threads_exceed_no_limit_and_leave_nothing() {
    let rejecting = Settings { max_suspended: Some(5), max_per_peer: Some(3), ..STILL };
    let evicting = Settings { max_per_key: Some(2), when_full: Some(WhenFull::ResumeOldest), ..STILL };
    let policy = Policy { max_suspended: 7, max_per_peer: Some(4), ..Policy::default() };
    let house = House::new(policy, &[rejecting, evicting]);
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

/// One hold's life, ended by itself and by others at the same time.
fn live(house: &House, thread: u8, round: usize, begun: &AtomicU64, firsts: &AtomicU64) {
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
    assert!(guest.hold.note().is_some());
    house.keeper.settle(&guest.hold);
    house.keeper.settle(&guest.hold);
}
