//! Over real sockets, whose kernels keep bytes that are never read.

use std::thread::{park_timeout, scope};
use std::time::Duration;

use abeyance::{Server, Suspend, suspend};
use abeyance_tests::dice::Dice;
use abeyance_tests::event_reader::EventReader;
use abeyance_tests::net::{Peer, TcpTestServer};

use super::{EVERYTHING, Numbers};

const MESSAGES: usize = 1_000;

#[suspend(path = "/socket", timeout = "30m", max_idle = "1h", heartbeat = "1s")]
async fn socket() -> Suspend {
    Suspend::new().join("news")
}

/// Asks, bringing this id.
fn ask(peer: &mut Peer, transport: &str, id: Option<&str>) {
    let line = id.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
    peer.send(format!("GET /socket?transport={transport} HTTP/1.1\r\nHost: test\r\n{line}\r\n"));
}

/// Publishes at an uneven pace, while the client does what it does.
fn publish_beside(server: &TcpTestServer, client: impl FnOnce()) {
    scope(|scope| {
        scope.spawn(|| {
            let mut dice = Dice::new(7);
            for number in 0..MESSAGES {
                server.hub.publish("news", Numbers::text(0, number, dice.roll(400)));
                if dice.one_in(3) {
                    park_timeout(Duration::from_micros(500));
                }
            }
        });
        client();
    });
}

fn start() -> TcpTestServer {
    TcpTestServer::start(Server::new().topic("news", EVERYTHING).mount(socket))
}

#[test]
fn an_event_source_that_is_cut_by_fin_or_reset_gets_all_once_and_in_order() {
    let server = start();
    let (mut dice, mut id, mut got, mut cuts) = (Dice::new(1), None, Vec::new(), 0);
    let mut request = |most: usize, got: &mut Vec<String>| {
        let mut peer = Peer::connect(server.addr);
        ask(&mut peer, "sse", id.as_deref());
        assert_eq!(peer.head().status, 200);
        let (mut events, mut count) = (EventReader::default(), 0);
        while count < most && got.len() < MESSAGES {
            let mut part = peer.take();
            if part.is_empty() {
                assert!(peer.more(), "the server cut it");
                part = peer.take();
            }
            // What came behind is lost.
            part.truncate(most - count);
            count += part.len();
            events.feed(&part);
            while let Some(event) = events.next_event() {
                assert_ne!(event.kind, "resync");
                got.extend(event.kind.is_empty().then_some(event.data));
            }
        }
        id = events.last_event_id.or(id.take());
        if dice.one_in(2) {
            peer.reset()
        } else {
            peer.fin()
        }
        dice.roll(5_000)
    };
    // As long as the first block is, which brings the first id.
    let mut most = request(86, &mut got);
    publish_beside(&server, || {
        while got.len() < MESSAGES {
            most = request(most, &mut got);
            cuts += 1;
        }
    });
    Numbers::assert_all(got.iter().map(String::as_str), &[MESSAGES], "");
    assert!(cuts > 20, "{cuts}");
    server.until_quiet();
}

#[test]
fn a_client_that_polls_and_is_cut_gets_all_once_and_in_order() {
    let server = start();
    let mut dice = Dice::new(2);
    let mut peer = Peer::connect(server.addr);
    ask(&mut peer, "long_poll", None);
    server.until_held(1);
    assert!(server.hub.list().iter().all(|hold| server.hub.resume(hold.id)));
    let mut id = peer.answer().header("last-event-id").expect("an id").to_owned();
    let mut got = Vec::new();
    publish_beside(&server, || {
        while got.len() < MESSAGES {
            if dice.one_in(4) {
                let mut other = Peer::connect(server.addr);
                ask(&mut other, "long_poll", Some(&id));
                if dice.one_in(2) {
                    other.more();
                }
                other.reset();
            }
            ask(&mut peer, "long_poll", Some(&id));
            let answer = peer.answer();
            assert_eq!((answer.status, answer.header("abeyance-resync")), (200, None), "{answer:?}");
            got.push(answer.text());
            id = answer.header("last-event-id").expect("an id").to_owned();
        }
    });
    Numbers::assert_all(got.iter().map(String::as_str), &[MESSAGES], "");
    drop(peer);
    server.until_quiet();
}
