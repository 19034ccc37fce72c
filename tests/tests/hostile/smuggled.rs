//! Request smuggling: no request hides in another that a proxy in front of us may read differently.

use abeyance::Transport;
use abeyance_tests::net::{Peer, eventually};

use super::target::{Target, status};

const MARKER: &str = "GET /marker HTTP/1.1\r\nHost: test\r\n\r\n";

/// What is said behind `Host`, and what is said behind the head; and whether it must be refused. What need not be is
/// read in one way, after which the connection is closed.
fn shapes() -> Vec<(String, String, bool)> {
    let length = MARKER.len();
    let chunked = |body: &str| format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let shape = |fields: &str, behind: &str, is_refused| (fields.to_owned(), behind.to_owned(), is_refused);
    vec![
        // The chunks end before the marker; or the length does.
        shape(
            &format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", 5 + length),
            &format!("0\r\n\r\n{MARKER}"),
            false,
        ),
        shape(
            &format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n", 5 + length),
            &format!("0\r\n\r\n{MARKER}"),
            false,
        ),
        shape("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", &chunked(MARKER), false),
        shape("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", &chunked(MARKER), false),
        // Two lengths.
        shape(&format!("Content-Length: 0\r\nContent-Length: {length}\r\n"), MARKER, true),
        shape(&format!("Content-Length: {length}\r\nContent-Length: 0\r\n"), MARKER, true),
        shape(&format!("Content-Length: 0, {length}\r\n"), MARKER, true),
        // Lengths that are no numbers, or that some take for one.
        shape("Content-Length: +0\r\n", MARKER, true),
        shape(&format!("Content-Length: +{length}\r\n"), MARKER, true),
        shape("Content-Length: -1\r\n", MARKER, true),
        shape("Content-Length: 0x0\r\n", MARKER, true),
        shape("Content-Length: \r\n", MARKER, true),
        shape("Content-Length: 18446744073709551616\r\n", MARKER, true),
        // Codings that some know and others do not.
        shape("Transfer-Encoding: chunked, identity\r\n", &format!("0\r\n\r\n{MARKER}"), true),
        shape("Transfer-Encoding: identity, chunked\r\n", &format!("0\r\n\r\n{MARKER}"), true),
        shape("Transfer-Encoding: identity\r\nContent-Length: 0\r\n", MARKER, true),
        shape("Transfer-Encoding: xchunked\r\n", &format!("0\r\n\r\n{MARKER}"), true),
        shape(
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            &format!("0\r\n\r\n{MARKER}"),
            true,
        ),
        shape("Transfer-Encoding: \x0bchunked\r\n", &format!("0\r\n\r\n{MARKER}"), true),
        // Names and lines that are none.
        shape(&format!("Content-Length : {length}\r\n"), MARKER, true),
        shape("Transfer-Encoding : chunked\r\n", &format!("0\r\n\r\n{MARKER}"), true),
        shape(&format!("X: y\r\n Content-Length: {length}\r\n"), MARKER, true),
        shape(&format!("X: y\r\n\tContent-Length: {length}\r\n"), MARKER, true),
        shape(&format!("X: y\nContent-Length: {length}\r\n"), MARKER, true),
        shape("X: y\n\n", MARKER, true),
        shape(&format!("X: y\rContent-Length: {length}\r\n"), MARKER, true),
        shape("X: y\0\r\n", MARKER, true),
        shape("X\0: y\r\n", MARKER, true),
        shape(": y\r\n", MARKER, true),
        shape("Host: other\r\n", MARKER, true),
        // Chunks of which it is not clear how long they are.
        shape("Transfer-Encoding: chunked\r\n", &format!("10000000000000000\r\n\r\n{MARKER}"), true),
        shape("Transfer-Encoding: chunked\r\n", &format!("fffffffffffffffff\r\n\r\n{MARKER}"), true),
        shape("Transfer-Encoding: chunked\r\n", &format!("-1\r\n\r\n{MARKER}"), true),
        shape("Transfer-Encoding: chunked\r\n", &format!("0x0\r\n\r\n{MARKER}"), true),
        shape("Transfer-Encoding: chunked\r\n", &format!("3\r\nabcXX0\r\n\r\n{MARKER}"), true),
        shape("Transfer-Encoding: chunked\r\n", &format!("0;a\nb\r\n\r\n{MARKER}"), true),
    ]
}

/// A request for each kind of receiver: an endpoint, a hold, the fallback.
fn requests(token: &str) -> [String; 4] {
    [
        String::from("GET /poll HTTP/1.1\r\nHost: test\r\n"),
        String::from("GET /hold?transport=long_poll HTTP/1.1\r\nHost: test\r\n"),
        format!("POST /hold?hold={token} HTTP/1.1\r\nHost: test\r\n"),
        String::from("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Type: text/plain\r\n"),
    ]
}

/// Another held connection, for its token.
fn held(target: &Target) -> (Peer, String) {
    let mut held = Peer::connect(target.local_addr());
    held.ask("/hold", Transport::Stream);
    let token = held.head().header("abeyance-hold").expect("a token").to_owned();
    (held, token)
}

#[test]
fn a_second_request_that_is_one_is_answered() {
    // Otherwise the tests below could not fail.
    let target = Target::start(|server| server);
    let (held, token) = held(&target);
    for (turn, request) in requests(&token).into_iter().enumerate().filter(|(turn, _)| *turn != 1) {
        let mut peer = Peer::connect(target.local_addr());
        let length = if request.starts_with("POST") { "Content-Length: 0\r\n" } else { "" };
        peer.send(format!("{request}{length}\r\n{MARKER}"));
        peer.answer();
        assert_eq!(peer.answer().text(), "marked", "{turn}: {request}");
    }
    assert_eq!(target.marks(), 3);
    drop(held);
    target.until_empty();
}

fn try_all(after_a_hold: bool) {
    let target = Target::start(|server| server);
    let (held, token) = held(&target);
    for (fields, behind, is_refused) in shapes() {
        for request in requests(&token) {
            let what = format!("{request}{fields}\r\n{behind}");
            let mut peer = Peer::connect(target.local_addr());
            if after_a_hold {
                peer.ask("/poll", Transport::LongPoll);
                assert_eq!(peer.answer().status, 204);
            }
            peer.try_send(&what);
            if !is_refused && request.contains("/hold?transport") {
                // The other is the hold with the token. A new hold may not have joined yet.
                eventually("both to hear it", || target.server.hub.publish("all", "an answer") == 2);
            }
            // To its end: that comes by itself, and not because the client left.
            let (said, _) = peer.read_to_end();
            let status = status(&said);
            let is_right = match is_refused {
                true => matches!(status, Some(400 | 413 | 501)),
                false => matches!(status, Some(200..=299 | 400)),
            };
            assert!(is_right, "{what:?}: {:?}", String::from_utf8_lossy(&said));
            assert_eq!(String::from_utf8_lossy(&said).matches("HTTP/1.1 ").count(), 1, "{what:?}");
            assert_eq!(target.marks(), 0, "{what:?}");
        }
    }
    target.serves(2);
    drop(held);
    target.until_empty();
}

#[test]
fn no_request_hides_in_another_on_a_new_connection() {
    try_all(false);
}

#[test]
fn no_request_hides_in_another_on_a_connection_that_was_held() {
    try_all(true);
}
