//! Thousands of connections that send nothing.

use abeyance_tests::net::{Peer, eventually};
use nix::sys::resource::{Resource, getrlimit};

use super::LONG;
use super::target::{Target, connect_from};

/// How many both ends of which fit into this process, beside the other tests.
fn many() -> usize {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    (soft as usize / 4).min(5_000)
}

#[test]
fn thousands_that_say_nothing_are_closed_and_others_served_meanwhile() {
    let target = Target::start(|server| server);
    let silent: Vec<_> = (0..many()).map(|_| Peer::connect(target.local_addr()).idle()).collect();
    for _ in 0..20 {
        target.serves(2);
    }
    eventually("the head deadline of all", || target.connections() == 0);
    drop(silent);
    target.until_empty();
}

#[test]
fn thousands_from_one_address_have_no_more_places_than_it_may_have() {
    let target = Target::start(|server| server.max_unheld_per_peer(50).head_timeout(LONG));
    let mut other = connect_from(9, target.local_addr());
    let mut silent = Vec::new();
    for turn in 0..many() {
        silent.push(connect_from(7, target.local_addr()).idle());
        if turn % 100 == 0 {
            drop(target.answers(8));
            // Also a good client of the same address: it only has to say something before fifty others come.
            drop(target.answers(7));
        }
    }
    eventually("the others to be cut", || target.connections() <= 51);
    let turned_away = target.server.hub.stats().turned_away;
    assert!(turned_away >= many() as u64 - 51, "{turned_away}");
    // An earlier connection from another address was not evicted.
    other.send("GET /plain HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(other.answer().text(), "plain");
    drop((silent, other));
    target.until_empty();
}

#[test]
fn one_address_that_comes_too_often_is_told_so_and_no_other() {
    let target = Target::start(|server| server.max_connects_per_peer(5));
    let statuses: Vec<_> = (0..500)
        .map(|_| {
            let mut peer = connect_from(7, target.local_addr());
            peer.send("GET /plain HTTP/1.1\r\nHost: test\r\n\r\n");
            peer.answer().status
        })
        .collect();
    assert!(statuses.iter().all(|status| matches!(status, 200 | 429)), "{statuses:?}");
    assert!(statuses[..5].iter().all(|status| *status == 200));
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert!(refused > 0);
    assert_eq!(target.server.hub.stats().turned_away, refused as u64);
    target.serves(8);
    target.until_empty();
}
