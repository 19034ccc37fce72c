//! Heads that are malformed, or do not end.

use abeyance_tests::net::Peer;

use super::target::{Target, status};

/// Sends this again and again until the server closes; what it said.
fn flood(target: &Target, begin: &[u8], again: &[u8]) -> Option<u16> {
    let mut peer = Peer::connect(target.local_addr());
    peer.send(begin);
    // Far more than the server reads of a head, and less than fits into the sockets, so no write blocks.
    for _ in 0..64 * 1024 / again.len() {
        peer.try_send(again);
    }
    status(&peer.read_to_end().0)
}

#[test]
fn a_head_that_does_not_end_is_told_that_it_is_too_large() {
    let target = Target::start(|server| server);
    for (begin, again) in [
        ("GET /hold HTTP/1.1\r\nHost: test\r\n", "X-More: and more\r\n"),
        ("GET /hold HTTP/1.1\r\nHost: test\r\nCookie: ", "more"),
        ("GET /", "more"),
        ("", "GET"),
        // Not one of them is long.
        ("GET /hold HTTP/1.1\r\nHost: test\r\n", "a:\r\n"),
    ] {
        let status = flood(&target, begin.as_bytes(), again.as_bytes());
        assert!(matches!(status, Some(400 | 414 | 431)), "{begin:?}: {status:?}");
        target.serves(2);
    }
    // Line ends before a request are skipped, but not without end.
    let status = flood(&target, b"\r\n", b"\r\n");
    assert!(matches!(status, None | Some(400 | 408 | 431)), "{status:?}");
    target.until_empty();
}

#[test]
fn too_many_fields_are_refused_although_they_are_short() {
    let target = Target::start(|server| server);
    let fields: String = (0..200).map(|number| format!("x{number}: y\r\n")).collect();
    let mut peer = Peer::connect(target.local_addr());
    peer.send(format!("GET /plain HTTP/1.1\r\nHost: test\r\n{fields}\r\n"));
    assert_eq!(peer.answer().status, 431);
    drop(peer);
    target.serves(2);
    target.until_empty();
}

#[test]
fn what_is_no_http_1_is_refused_or_cut() {
    let target = Target::start(|server| server);
    // A TLS client's hello, as it begins.
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0x41, 0x0a, 0x0d, 0x0a, 0x99, 0, 0xff];
    let mut dice = abeyance_tests::dice::Dice::new(20);
    let noise: Vec<u8> = (0..4096).map(|_| dice.roll(256) as u8).collect();
    for garbage in [
        &hello[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        b"GET /marker HTTP/3.0\r\nHost: test\r\n\r\n",
        b"GET  /marker  HTTP/1.1\r\nHost: test\r\n\r\n",
        b"GET /marker\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        &noise,
        &noise[100..200],
    ] {
        let mut peer = Peer::connect(target.local_addr());
        peer.try_send(garbage);
        // It may be the beginning of something, so it has the time of a head.
        let status = status(&peer.read_to_end().0);
        assert!(matches!(status, None | Some(400 | 408 | 505)), "{:?}: {status:?}", &garbage[..8]);
        target.serves(2);
    }
    assert_eq!(target.marks(), 0);
    target.until_empty();
}

#[test]
fn a_client_that_closes_its_side_behind_its_request_leaves_nothing() {
    let target = Target::start(|server| server);
    for request in [
        "GET /plain HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET /hold HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET /hold?transport=sse HTTP/1.1\r\nHost: test\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhel",
        "GET /hold HTTP/1.1\r\nHost: te",
        "",
    ] {
        for _ in 0..20 {
            let mut peer = Peer::connect(target.local_addr());
            peer.send(request);
            peer.fin();
            peer.read_to_end();
        }
        target.serves(2);
    }
    target.until_empty();
    let stats = target.server.hub.stats();
    assert_eq!(stats.suspended, stats.ended("gone") + stats.ended("timeout"), "{stats:?}");
}
