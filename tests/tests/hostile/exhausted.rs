//! The memory for waiting bytes, all send buffers or all admission permits are used up: the server refuses, or ends holds,
//! in good order.

use std::sync::mpsc::{Receiver, channel};
use std::thread::spawn;
use std::time::Duration;

use abeyance::extract::State;
use abeyance::{Disconnect, End, Held, JoinError, Lifecycle, Message, Server, Suspend, Transport, suspend};
use abeyance_tests::net::{
    HookRecorder, LASTING, Peer, RecordingContext, TEST_TIMEOUT, TcpTestServer, eventually, frame, narrow,
};
use tokio::sync::watch;

use super::LONG;

const SIZE: usize = 8 * 1024;
const MEMORY: usize = 1 << 20;

#[suspend(path = "/full", send_buffer = "64KiB", heartbeat = "none", max_idle = "1h")]
async fn full(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    Suspend::with(hooks.context()).join("full").drive(async move |_| hooks.driver_started())
}

// So large that one send buffer never fills: only all of them together do.
#[suspend(path = "/roomy", send_buffer = "64MiB", heartbeat = "none", max_idle = "1h")]
async fn roomy(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    Suspend::with(hooks.context()).join("roomy").drive(async move |_| hooks.driver_started())
}

/// So many clients of each lasting transport that do not read.
fn deaf(server: &TcpTestServer, hooks: &HookRecorder, path: &str, each: usize) -> Vec<Peer> {
    let mut deaf = Vec::new();
    for transport in LASTING {
        for _ in 0..each {
            let mut peer = narrow(server.addr);
            peer.ask(path, transport);
            peer.begin(transport);
            deaf.push(peer);
        }
    }
    hooks.wait("the drivers", |calls| (calls.drivers == deaf.len()).then_some(()));
    deaf
}

/// One that reads everything, and tells of each message.
fn reader(server: &TcpTestServer, hooks: &HookRecorder, path: &str) -> Receiver<()> {
    let before = hooks.read(|calls| calls.drivers);
    let mut peer = Peer::hold(server.addr, path, Transport::WebSocket);
    hooks.wait("the driver", |calls| (calls.drivers > before).then_some(()));
    let (tell, told) = channel();
    spawn(move || {
        while peer.frame().is_some_and(|frame| frame.payload.len() == SIZE) {
            if tell.send(()).is_err() {
                break;
            }
        }
    });
    told
}

#[test]
fn a_topic_all_of_whose_members_are_full_ends_them_and_never_its_publisher() {
    let hooks = HookRecorder::default();
    let server = TcpTestServer::start(Server::new().state(hooks.clone()).mount(full).write_timeout(LONG));
    let deaf = deaf(&server, &hooks, "/full", 10);
    let mut rounds = 0;
    // Publishing never waits, and each round fills the send buffers further, so this loop ends.
    while server.hub.publish("full", "x".repeat(SIZE)) > 0 {
        rounds += 1;
        assert!(rounds < 10_000, "a send buffer without end");
    }
    for peer in &deaf {
        assert_eq!(hooks.end_of(peer.local_addr()).0, End::Disconnect(Disconnect::Slow));
    }
    // The topic works for the next client.
    let told = reader(&server, &hooks, "/full");
    assert_eq!(server.hub.publish("full", "x".repeat(SIZE)), 1);
    told.recv_timeout(TEST_TIMEOUT).expect("the message");
    eventually("nothing to wait", || server.hub.stats().waiting == 0);
    drop((deaf, told));
    server.hub.list().into_iter().for_each(|held| assert!(server.hub.resume(held.id)));
    server.until_all_ended(&hooks);
}

#[test]
fn when_too_much_waits_for_all_the_slow_pay_and_a_reader_loses_nothing() {
    let hooks = HookRecorder::default();
    let server = Server::new().state(hooks.clone()).mount(roomy).max_buffered(MEMORY).write_timeout(LONG);
    let server = TcpTestServer::start(server);
    let told = reader(&server, &hooks, "/roomy");
    let mut deaf = Vec::new();
    for transport in LASTING {
        for _ in 0..10 {
            let before = hooks.read(|calls| calls.drivers);
            let mut peer = narrow(server.addr);
            peer.ask("/roomy", transport);
            peer.begin(transport);
            hooks.wait("the driver", |calls| (calls.drivers > before).then_some(()));
            deaf.push(peer);
        }
    }
    let mut rounds = 0;
    while server.hub.publish("roomy", "x".repeat(SIZE)) > 1 {
        let waiting = server.hub.stats().waiting;
        assert!(waiting <= MEMORY, "{waiting} bytes wait");
        told.recv_timeout(TEST_TIMEOUT).expect("the reader has it");
        rounds += 1;
        assert!(rounds < 10_000, "memory without end");
    }
    told.recv_timeout(TEST_TIMEOUT).expect("the last one, too");
    for peer in &deaf {
        assert_eq!(hooks.end_of(peer.local_addr()).0, End::Disconnect(Disconnect::Slow));
    }
    assert_eq!(server.hub.held_count(), 1, "the reader");
    drop((deaf, told));
    server.hub.list().into_iter().for_each(|held| assert!(server.hub.resume(held.id)));
    server.until_all_ended(&hooks);
}

/// Joins a topic of each name that it is told, and says how that went.
struct Joiner;

impl Lifecycle for Joiner {
    async fn on_message(&mut self, held: &Held, message: Message) {
        let joined = match held.join(message.as_text().unwrap_or_default()) {
            Ok(()) => "joined",
            Err(JoinError::TooMany { .. }) => "too many",
            Err(_) => "ended",
        };
        let _ = held.send(joined);
    }
}

#[suspend(path = "/joiner", heartbeat = "none", max_idle = "1h")]
async fn joiner() -> Suspend<Joiner> {
    Suspend::with(Joiner).join("one")
}

#[suspend(path = "/greedy", heartbeat = "none", max_idle = "1h")]
async fn greedy() -> Suspend {
    ["one", "two", "three", "four"].into_iter().fold(Suspend::new(), Suspend::join)
}

#[test]
fn a_hold_joins_no_more_topics_than_it_may_and_is_held_on() {
    let server = TcpTestServer::start(Server::new().mount(joiner).mount(greedy).max_topics(3));
    let mut peer = Peer::hold(server.addr, "/joiner", Transport::WebSocket);
    for (topic, expected) in [
        ("two", "joined"),
        ("three", "joined"),
        ("four", "too many"),
        ("two", "joined"),
        ("five", "too many"),
    ] {
        peer.send(frame(0x81, topic.as_bytes()));
        assert_eq!(peer.frame().expect("an answer").payload, expected.as_bytes(), "{topic}");
    }
    assert_eq!(server.hub.publish("four", "no member"), 0);
    assert_eq!(server.hub.publish("three", "one member"), 1);
    assert_eq!(peer.frame().expect("the message").payload, b"one member");
    // A function that joins too many is at fault, and its client is told that it is not its own.
    let mut greedy = Peer::connect(server.addr);
    greedy.ask("/greedy", Transport::LongPoll);
    assert_eq!(greedy.answer().status, 500);
    assert_eq!(server.hub.held_count(), 1);
    drop((peer, greedy));
    server.until_quiet();
}

#[suspend(
    path = "/gate",
    when_full = "resume_oldest",
    max_suspended = 2,
    heartbeat = "none",
    max_idle = "1h"
)]
async fn gate(
    State((hooks, mut opened)): State<(HookRecorder, watch::Receiver<bool>)>,
) -> Suspend<RecordingContext> {
    let context = hooks.context();
    let _ = opened.wait_for(|is_open| *is_open).await;
    Suspend::with(context)
}

#[test]
fn functions_that_run_without_a_place_to_come_are_as_few_as_the_places() {
    let hooks = HookRecorder::default();
    let (opener, opened) = watch::channel(true);
    let server = Server::new().state((hooks.clone(), opened)).mount(gate).function_timeout(LONG);
    let server = TcpTestServer::start(server);
    let oldest: Vec<_> = (0..2).map(|_| Peer::hold(server.addr, "/gate", Transport::Sse)).collect();
    // Younger ones are not evicted.
    eventually("holds of a second", || {
        server.hub.list().iter().all(|hold| hold.held_for >= Duration::from_millis(1100))
    });
    opener.send_replace(false);
    let mut asking: Vec<_> = (0..2)
        .map(|_| {
            let mut peer = Peer::connect(server.addr);
            peer.ask("/gate", Transport::Sse);
            peer
        })
        .collect();
    hooks.wait("the functions", |calls| (calls.functions == 4).then_some(()));
    for _ in 0..50 {
        let mut refused = Peer::connect(server.addr);
        refused.ask("/gate", Transport::Sse);
        let answer = refused.answer();
        assert!(answer.status == 503 && answer.header("retry-after").is_some(), "{answer:?}");
    }
    assert_eq!(hooks.read(|calls| calls.functions), 4, "none of them ran");
    assert_eq!(server.hub.held_count(), 2, "and no hold was ended for them");
    opener.send_replace(true);
    for peer in &mut asking {
        peer.begin(Transport::Sse);
    }
    for peer in oldest {
        assert_eq!(hooks.end_of(peer.local_addr()).0.as_str(), "evicted");
    }
    drop(asking);
    server.until_all_ended(&hooks);
}
