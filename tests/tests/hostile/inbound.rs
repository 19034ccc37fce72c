//! What is being sent to the server and is not whole yet, in a server with little memory.

use abeyance::Transport;
use abeyance_tests::net::{Peer, eventually};

use super::LONG;
use super::target::{Target, status};

const MEMORY: usize = 1 << 20;

/// The share of it that bodies may take, and a little for messages that are accepted and not handled yet.
const SHARE: usize = MEMORY / 4 + 4096;

#[test]
fn bodies_that_wait_for_their_last_byte_count_and_the_largest_are_refused() {
    let target = Target::start(|server| server.max_buffered(MEMORY).head_timeout(LONG));
    let mut held = Peer::connect(target.local_addr());
    held.ask("/hold", Transport::Stream);
    let token = held.head().header("abeyance-hold").expect("a token").to_owned();
    let head =
        format!("POST /hold HTTP/1.1\r\nHost: test\r\nConnection: close\r\nAbeyance-Hold: {token}\r\n");
    let post = |length: usize| format!("{head}Content-Length: {length}\r\n\r\n");
    let waiting = || target.server.hub.stats().waiting;
    let mut attackers = Vec::new();
    for _ in 0..100 {
        let mut peer = Peer::connect(target.local_addr());
        peer.try_send(post(60_000) + &"x".repeat(59_999));
        attackers.push(peer);
        assert!(waiting() <= SHARE, "{}", waiting());
    }
    eventually("most of a share to wait", || waiting() > SHARE / 2);
    // A small message finds room in any case. (On a busy machine eight may wait for `on_message`: then it is sent again.)
    for _ in 0..20 {
        eventually("a small message to be taken", || {
            let mut good = Peer::connect(target.local_addr());
            good.send(post(5) + "hello");
            let status = good.answer().status;
            assert!(matches!(status, 202 | 429), "{status}");
            assert!(waiting() <= SHARE);
            status == 202
        });
    }
    let mut refused = 0;
    for mut peer in attackers {
        // The last byte of those that still have a place.
        peer.try_send("x");
        match status(&peer.read_to_end().0) {
            Some(429) => refused += 1,
            // An RST for the rest of the body may have destroyed the answer.
            None => refused += 1,
            other => assert_eq!(other, Some(202)),
        }
    }
    assert!(refused >= 100 - SHARE / 60_000, "{refused}");
    eventually("nothing to wait", || waiting() == 0);
    drop(held);
    target.until_empty();
}
