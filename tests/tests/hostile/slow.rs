//! Heads and bodies that come a byte now and then.

use std::thread::scope;

use abeyance::Transport;
use abeyance_tests::net::{Peer, eventually};

use super::target::{Target, connect_from, status};

const ATTACKERS: usize = 100;
const GOOD: usize = 100;

/// Sends a byte to each attacker's connection again and again until the server has closed them all; meanwhile good
/// clients are served. Gives what the attackers were told.
fn drip(target: &Target, mut attackers: Vec<Peer>) -> Vec<Option<u16>> {
    let mut served = 0;
    while served < GOOD || target.connections_from(1) > 0 {
        attackers.iter_mut().for_each(|peer| peer.try_send("x"));
        drop(target.answers(2));
        served += 1;
    }
    target.serves(2);
    let told = attackers.iter_mut().map(|peer| status(&peer.read_to_end().0)).collect();
    drop(attackers);
    target.until_empty();
    told
}

#[test]
fn slow_heads_are_told_that_they_are_late() {
    let target = Target::start(|server| server);
    let attack = |_| {
        let mut peer = Peer::connect(target.local_addr());
        peer.send("GET /hold HTTP/1.1\r\nHost: test\r\nX-Slow: ");
        peer
    };
    let told = drip(&target, (0..ATTACKERS).map(attack).collect());
    // An RST for the bytes behind it may have destroyed the answer of some.
    assert!(told.iter().all(|status| status.is_none_or(|status| status == 408)), "{told:?}");
    assert!(told.contains(&Some(408)), "{told:?}");
}

#[test]
fn slow_bodies_are_refused_whomever_they_are_for() {
    let target = Target::start(|server| server);
    let mut held = Peer::connect(target.local_addr());
    held.ask("/hold", Transport::Stream);
    let token = held.head().header("abeyance-hold").expect("a token").to_owned();
    for begin in [
        String::from("GET /poll HTTP/1.1\r\nHost: test\r\nContent-Length: 60000\r\n\r\n"),
        String::from("GET /poll HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nea60\r\n"),
        format!(
            "POST /hold HTTP/1.1\r\nHost: test\r\nAbeyance-Hold: {token}\r\nContent-Length: 60000\r\n\r\n"
        ),
        String::from(
            "POST /hold HTTP/1.1\r\nHost: test\r\nAbeyance-Hold: no\r\nContent-Length: 60000\r\n\r\n",
        ),
    ] {
        let mut attackers: Vec<_> = (0..ATTACKERS / 4).map(|_| Peer::connect(target.local_addr())).collect();
        attackers.iter_mut().for_each(|peer| peer.send(&begin));
        let mut rounds = 0;
        while rounds < GOOD / 4 || target.connections_from(1) > 1 {
            attackers.iter_mut().for_each(|peer| peer.try_send("x"));
            drop(target.answers(2));
            rounds += 1;
        }
        for mut peer in attackers {
            let status = status(&peer.read_to_end().0);
            // The fallback's word, where it is for the fallback.
            assert!(matches!(status, None | Some(404 | 408)), "{begin}: {status:?}");
        }
    }
    assert_eq!(
        target.hooks.read(|calls| calls.messages.len()),
        0,
        "a message that is not whole is not handled"
    );
    assert_eq!(target.server.hub.held_count(), 1, "a hold is not evicted");
    drop(held);
    target.until_empty();
}

#[test]
fn a_body_that_stops_is_not_waited_for_for_long() {
    let target = Target::start(|server| server);
    let mut attackers: Vec<_> = (0..ATTACKERS).map(|_| Peer::connect(target.local_addr())).collect();
    for peer in &mut attackers {
        peer.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 60000\r\n\r\nx");
    }
    // While they keep their places, others are served.
    scope(|scope| {
        for from in 2..6 {
            let target = &target;
            scope.spawn(move || (0..GOOD / 4).for_each(|_| drop(target.answers(from))));
        }
    });
    for mut peer in attackers {
        assert_eq!(status(&peer.read_to_end().0), Some(400));
    }
    target.until_empty();
}

#[test]
fn one_address_with_slow_bodies_makes_room_for_itself_and_leaves_places_for_the_others() {
    let target = Target::start(|server| server.max_unheld_per_peer(10).head_timeout(super::LONG));
    let mut attackers: Vec<_> = (0..10).map(|_| connect_from(7, target.local_addr())).collect();
    for peer in &mut attackers {
        peer.send(
            "POST /echo HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 60000\r\n\r\n",
        );
        // It is waited for once it was told to go on.
        assert_eq!(peer.head().status, 100);
    }
    for turn in 0..GOOD {
        drop(target.answers(8));
        // The kernel's list changes while it is read.
        eventually("ten of that address", || target.connections_from(7) == 10);
        if turn < attackers.len() {
            let newcomer = target.answers(7);
            let refused = attackers[turn].answer();
            assert_eq!(refused.status, 503);
            assert!(refused.header("retry-after").is_some());
            attackers[turn] = newcomer;
        }
    }
    drop(attackers);
    target.until_empty();
    target.serves(7);
}
