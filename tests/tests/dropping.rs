//! Peers that do not read for a while and then read on: what they lose is what their endpoint says, and is counted.

use std::time::Duration;

use abeyance::extract::State;
use abeyance::{Disconnect, End, Server, Suspend, Transport, suspend};
use abeyance_tests::net::{HookRecorder, LASTING, Peer, RecordingContext, TcpTestServer, eventually, narrow};

const MESSAGES: usize = 500;
const SIZE: usize = 2 * 1024;
const BACKLOG: usize = 64 * 1024;
/// What waits beside a message's bytes, at most: its framing and its place.
const BESIDE: usize = 100;

#[suspend(
    path = "/oldest",
    send_buffer = "64KiB",
    when_slow = "drop_oldest",
    heartbeat = "none",
    max_idle = "1h"
)]
async fn oldest(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    join(hooks)
}

#[suspend(
    path = "/newest",
    send_buffer = "64KiB",
    when_slow = "drop_newest",
    heartbeat = "none",
    max_idle = "1h"
)]
async fn newest(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    join(hooks)
}

#[suspend(
    path = "/strict",
    send_buffer = "64KiB",
    when_slow = "disconnect",
    heartbeat = "none",
    max_idle = "1h"
)]
async fn strict(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    join(hooks)
}

fn join(hooks: HookRecorder) -> Suspend<RecordingContext> {
    Suspend::with(hooks.context()).join("news").drive(async move |_| hooks.driver_started())
}

/// A message that says which one it is.
fn numbered(number: usize) -> String {
    format!("{number:06}{}", "x".repeat(SIZE - 6))
}

/// The number of the next message; `None` if the connection ends before.
fn next(peer: &mut Peer, transport: Transport) -> Option<usize> {
    let text = match transport {
        Transport::WebSocket => peer.frame()?.payload,
        Transport::Sse => {
            peer.read_until(b"data: ");
            peer.read_until(b"\n\n")
        }
        _ => {
            peer.read_until(b"\"");
            peer.read_until(b"\"")
        }
    };
    assert!(text.len() >= SIZE, "a message is cut short");
    Some(std::str::from_utf8(&text[..6]).expect("digits").parse().expect("a number"))
}

/// A peer that is held at `path` and has not read what was published to it since.
fn one_that_does_not_read(path: &str, transport: Transport) -> (TcpTestServer, HookRecorder, Peer) {
    let hooks = HookRecorder::default();
    let server = Server::new().state(hooks.clone()).mount(oldest).mount(newest).mount(strict);
    let server = TcpTestServer::start(server.write_timeout(Duration::from_secs(600)));
    let mut peer = narrow(server.addr);
    peer.ask(path, transport);
    peer.begin(transport);
    hooks.wait("the driver", |calls| (calls.drivers == 1).then_some(()));
    for number in 0..MESSAGES {
        server.hub.publish("news", numbered(number));
    }
    (server, hooks, peer)
}

/// Reads on until everything has come: publishes a last message, as often as it takes until there is room for it, which
/// the peer must get. Gives the numbers that came, and how many of the last were dropped.
fn read_on(server: &TcpTestServer, peer: &mut Peer, transport: Transport) -> (Vec<usize>, usize) {
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let numbers = std::iter::from_fn(|| next(peer, transport));
            numbers.take_while(|number| *number != MESSAGES).collect()
        });
        eventually("nothing that waits", || server.hub.stats().waiting == 0);
        let mut tries = 0;
        eventually("room for the last", || {
            tries += 1;
            server.hub.publish("news", numbered(MESSAGES)) == 1
        });
        (reader.join().expect("a reader"), tries - 1)
    })
}

/// Says goodbye, and checks what the end hook was told.
#[track_caller]
fn assert_counted(
    server: &TcpTestServer,
    hooks: &HookRecorder,
    peer: &Peer,
    received: usize,
    dropped: usize,
) {
    peer.fin();
    let (end, ended) = hooks.end_of(peer.local_addr());
    assert_eq!(end, End::Disconnect(Disconnect::Gone));
    let counts = (ended.messages_out(), ended.dropped(), ended.undelivered());
    assert_eq!(counts, (received as u64, dropped as u64, 0));
    let stats = server.hub.stats();
    assert_eq!((stats.dropped, stats.waiting), (dropped as u64, 0));
}

/// How many bytes wait at most for that many messages.
fn cost(messages: usize) -> usize {
    messages * (SIZE + BESIDE)
}

/// Fails if a message came twice, or after a later one.
#[track_caller]
fn assert_in_order(numbers: &[usize]) {
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
}

// Even the kernel of a peer that reads nothing may take a little more now and then: so here there may be single messages
// between the oldest and the newest. What is kept exactly is tested where there is no kernel.

#[test]
fn a_peer_that_loses_the_oldest_gets_what_its_kernel_had_and_then_the_newest() {
    for transport in LASTING {
        let (server, hooks, mut peer) = one_that_does_not_read("/oldest", transport);
        assert_eq!(server.hub.held_count(), 1);
        let (numbers, tries) = read_on(&server, &mut peer, transport);
        assert_in_order(&numbers);
        let newest = numbers.iter().rev().zip((0..MESSAGES).rev()).take_while(|(one, number)| *one == number);
        let newest = newest.count();
        // The kernel takes some, and what is left of the bound is for the newest.
        assert!(numbers[0] == 0 && cost(newest) > BACKLOG / 3, "{transport:?}: {numbers:?}");
        assert_counted(&server, &hooks, &peer, numbers.len() + 1, MESSAGES - numbers.len() + tries);
        server.until_all_ended(&hooks);
    }
}

#[test]
fn a_peer_that_loses_the_newest_gets_the_oldest_and_then_what_comes() {
    for transport in LASTING {
        let (server, hooks, mut peer) = one_that_does_not_read("/newest", transport);
        let (numbers, tries) = read_on(&server, &mut peer, transport);
        assert_in_order(&numbers);
        let oldest = numbers.iter().zip(0..).take_while(|(one, number)| *one == number).count();
        assert!(cost(oldest) > BACKLOG / 3 && oldest < MESSAGES, "{transport:?}: {numbers:?}");
        assert_counted(&server, &hooks, &peer, numbers.len() + 1, MESSAGES - numbers.len() + tries);
        server.until_all_ended(&hooks);
    }
}

#[test]
fn a_peer_that_is_disconnected_loses_nothing_else() {
    for transport in LASTING {
        let (server, hooks, peer) = one_that_does_not_read("/strict", transport);
        let (end, ended) = hooks.end_of(peer.local_addr());
        assert_eq!((end, ended.dropped()), (End::Disconnect(Disconnect::Slow), 0), "{transport:?}");
        assert_eq!(server.hub.stats().dropped, 0);
        drop(peer);
        server.until_all_ended(&hooks);
    }
}
