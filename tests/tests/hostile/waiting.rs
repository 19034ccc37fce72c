//! Connections that wait for their own peer: for a body that does not come or trickles, or for an answer to be taken. The
//! server evicts them when another client needs a connection or a parser.

use abeyance::{Server, Transport};
use abeyance_tests::net::{Peer, eventually, narrow};

use super::LONG;
use super::target::{Target, connect_from, status};

const ATTACKERS: usize = 60;
const GOOD: usize = 30;

/// Half a request, for each point at which the server waits for the rest.
fn halves(token: &str) -> [String; 6] {
    [
        "GET /plain HTTP/1.1\r\nHost: test\r\nX-Slow: ".into(),
        "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 9000000\r\n\r\n".into(),
        "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nea60\r\n".into(),
        "GET /poll HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\n".into(),
        format!(
            "POST /hold HTTP/1.1\r\nHost: test\r\nAbeyance-Hold: {token}\r\nContent-Length: 6000\r\n\r\n"
        ),
        "GET /large HTTP/1.1\r\nHost: test\r\n\r\n".into(),
    ]
}

/// Well-behaved clients connect while attackers keep their connections busy byte by byte, and reconnect when evicted.
fn besiege(set_up: impl Fn(Server) -> Server) {
    let target = Target::start(|server| set_up(server).head_timeout(LONG).write_timeout(LONG));
    let mut held = Peer::connect(target.local_addr());
    held.ask("/hold", Transport::Stream);
    let token = held.head().header("abeyance-hold").expect("a token").to_owned();
    for half in halves(&token) {
        let attack = || {
            let mut peer = narrow(target.local_addr());
            peer.send(&half);
            peer
        };
        let mut attackers: Vec<_> = (0..ATTACKERS).map(|_| attack()).collect();
        for turn in 0..GOOD {
            attackers.iter_mut().for_each(|peer| peer.try_send("x"));
            attackers.push(attack());
            let good = target.answers(2);
            if turn == 0 {
                // It is served on, though others wait.
                drop(good);
                target.serves(2);
            }
        }
        // Each that made room was told so, if nothing had been said before and no RST destroyed it.
        for mut peer in attackers.drain(..10) {
            let told = status(&peer.read_to_end().0);
            assert!(matches!(told, None | Some(200 | 503)), "{half}: {told:?}");
        }
        drop(attackers);
        eventually("the attackers to be gone", || target.connections_from(1) == 1);
    }
    assert_eq!(target.server.hub.held_count(), 1, "a hold is not evicted");
    assert_eq!(target.hooks.read(|calls| calls.messages.len()), 0);
    drop(held);
    target.until_empty();
}

#[test]
fn half_requests_on_every_connection_make_room_for_others() {
    besiege(|server| server.max_connections(40));
}

#[test]
fn half_requests_in_every_parser_make_room_for_others() {
    besiege(|server| server.max_requests(20));
}

#[test]
fn requests_that_are_being_answered_make_no_room_and_newcomers_are_told_so() {
    let target = Target::start(|server| server.max_requests(4).head_timeout(LONG));
    let mut busy: Vec<_> = (0..4).map(|_| Peer::connect(target.local_addr())).collect();
    for peer in &mut busy {
        peer.send("POST /never HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody");
    }
    eventually("all to be asked", || target.marks() == 4);
    for _ in 0..20 {
        let mut newcomer = connect_from(2, target.local_addr());
        newcomer.send("GET /plain HTTP/1.1\r\nHost: test\r\n\r\n");
        let answer = newcomer.answer();
        assert!(answer.status == 503 && answer.header("retry-after").is_some(), "{answer:?}");
    }
    assert_eq!(target.connections_from(1), 4);
    drop(busy);
    eventually("them to be gone", || target.connections_from(1) == 0);
    target.serves(2);
    target.until_empty();
}

#[test]
fn websockets_of_the_fallback_leave_places_for_other_addresses() {
    let target = Target::start(|server| server.max_connections(40).max_unheld_per_peer(10));
    let upgrade = || {
        let mut peer = connect_from(7, target.local_addr());
        peer.ask("/socket", Transport::WebSocket);
        let status = peer.head().status;
        (peer, status)
    };
    let upgraded: Vec<_> = (0..60).map(|_| upgrade()).collect();
    let taken = upgraded.iter().filter(|(_, status)| *status == 101).count();
    assert_eq!(taken, 10);
    assert!(upgraded[10..].iter().all(|(_, status)| *status == 429));
    for _ in 0..GOOD {
        drop(target.answers(8));
    }
    target.serves(8);
    drop(upgraded);
    eventually("them to be gone", || target.connections_from(7) == 0);
    assert_eq!(upgrade().1, 101);
    target.until_empty();
}
