//! No memory left for what waits, no room in any send buffer, no permit to ask with: refused or ended in good order.

use std::sync::mpsc::{Receiver, channel};
use std::thread::spawn;
use std::time::Duration;

use abeyance::extract::State;
use abeyance::{Disconnect, End, Held, JoinError, Lifecycle, Message, Server, Suspend, Transport, suspend};
use abeyance_tests::net::{Diary, LASTING, PATIENCE, Peer, Site, Witness, eventually, frame, narrow};
use tokio::sync::watch;

use super::LONG;

const SIZE: usize = 8 * 1024;
const MEMORY: usize = 1 << 20;

#[suspend(path = "/full", send_buffer = "64KiB", heartbeat = "none", max_idle = "1h")]
async fn full(State(diary): State<Diary>) -> Suspend<Witness> {
    Suspend::with(diary.witness()).join("full").drive(async move |_| diary.opened())
}

// So large that one send buffer never fills: only all of them together do.
#[suspend(path = "/roomy", send_buffer = "64MiB", heartbeat = "none", max_idle = "1h")]
async fn roomy(State(diary): State<Diary>) -> Suspend<Witness> {
    Suspend::with(diary.witness()).join("roomy").drive(async move |_| diary.opened())
}

/// So many of each lasting transport that do not read.
fn deaf(site: &Site, diary: &Diary, path: &str, each: usize) -> Vec<Peer> {
    let mut deaf = Vec::new();
    for transport in LASTING {
        for _ in 0..each {
            let mut peer = narrow(site.addr);
            peer.ask(path, transport);
            peer.begin(transport);
            deaf.push(peer);
        }
    }
    diary.wait("the drivers", |pages| (pages.opened == deaf.len()).then_some(()));
    deaf
}

/// One that reads everything, and tells of each message.
fn reader(site: &Site, diary: &Diary, path: &str) -> Receiver<()> {
    let before = diary.read(|pages| pages.opened);
    let mut peer = Peer::hold(site.addr, path, Transport::WebSocket);
    diary.wait("the driver", |pages| (pages.opened > before).then_some(()));
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
    let diary = Diary::default();
    let site = Site::start(Server::new().state(diary.clone()).mount(full).write_timeout(LONG));
    let deaf = deaf(&site, &diary, "/full", 10);
    let mut rounds = 0;
    // To publish never waits, so this ends: each round more is in send buffers that nobody reads.
    while site.hub.publish("full", "x".repeat(SIZE)) > 0 {
        rounds += 1;
        assert!(rounds < 10_000, "a send buffer without end");
    }
    for peer in &deaf {
        assert_eq!(diary.end_of(peer.local_addr()).0, End::Disconnect(Disconnect::Slow));
    }
    // The topic is there for whoever comes next.
    let told = reader(&site, &diary, "/full");
    assert_eq!(site.hub.publish("full", "x".repeat(SIZE)), 1);
    told.recv_timeout(PATIENCE).expect("the message");
    eventually("nothing to wait", || site.hub.stats().waiting == 0);
    drop((deaf, told));
    site.hub.list().into_iter().for_each(|held| assert!(site.hub.resume(held.id)));
    site.until_quiet();
}

#[test]
fn when_too_much_waits_for_all_the_slow_pay_and_a_reader_loses_nothing() {
    let diary = Diary::default();
    let server = Server::new().state(diary.clone()).mount(roomy).max_buffered(MEMORY).write_timeout(LONG);
    let site = Site::start(server);
    let told = reader(&site, &diary, "/roomy");
    let mut deaf = Vec::new();
    for transport in LASTING {
        for _ in 0..10 {
            let before = diary.read(|pages| pages.opened);
            let mut peer = narrow(site.addr);
            peer.ask("/roomy", transport);
            peer.begin(transport);
            diary.wait("the driver", |pages| (pages.opened > before).then_some(()));
            deaf.push(peer);
        }
    }
    let mut rounds = 0;
    while site.hub.publish("roomy", "x".repeat(SIZE)) > 1 {
        let waiting = site.hub.stats().waiting;
        assert!(waiting <= MEMORY, "{waiting} bytes wait");
        told.recv_timeout(PATIENCE).expect("the reader has it");
        rounds += 1;
        assert!(rounds < 10_000, "memory without end");
    }
    told.recv_timeout(PATIENCE).expect("the last one, too");
    for peer in &deaf {
        assert_eq!(diary.end_of(peer.local_addr()).0, End::Disconnect(Disconnect::Slow));
    }
    assert_eq!(site.hub.held_count(), 1, "the reader");
    drop((deaf, told));
    site.hub.list().into_iter().for_each(|held| assert!(site.hub.resume(held.id)));
    site.until_quiet();
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
    let site = Site::start(Server::new().mount(joiner).mount(greedy).max_topics(3));
    let mut peer = Peer::hold(site.addr, "/joiner", Transport::WebSocket);
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
    assert_eq!(site.hub.publish("four", "nobody"), 0);
    assert_eq!(site.hub.publish("three", "somebody"), 1);
    assert_eq!(peer.frame().expect("the message").payload, b"somebody");
    // A function that joins too many is at fault, and its client is told that it is not its own.
    let mut greedy = Peer::connect(site.addr);
    greedy.ask("/greedy", Transport::LongPoll);
    assert_eq!(greedy.answer().status, 500);
    assert_eq!(site.hub.held_count(), 1);
    drop((peer, greedy));
    site.until_quiet();
}

#[suspend(
    path = "/gate",
    when_full = "resume_oldest",
    max_suspended = 2,
    heartbeat = "none",
    max_idle = "1h"
)]
async fn gate(State((diary, mut opened)): State<(Diary, watch::Receiver<bool>)>) -> Suspend<Witness> {
    let witness = diary.witness();
    let _ = opened.wait_for(|is_open| *is_open).await;
    Suspend::with(witness)
}

#[test]
fn functions_that_run_without_a_place_to_come_are_as_few_as_the_places() {
    let diary = Diary::default();
    let (opener, opened) = watch::channel(true);
    let server = Server::new().state((diary.clone(), opened)).mount(gate).function_timeout(LONG);
    let site = Site::start(server);
    let oldest: Vec<_> = (0..2).map(|_| Peer::hold(site.addr, "/gate", Transport::Sse)).collect();
    // Younger ones are not evicted.
    eventually("holds of a second", || {
        site.hub.list().iter().all(|hold| hold.held_for >= Duration::from_millis(1100))
    });
    opener.send_replace(false);
    let mut asking: Vec<_> = (0..2)
        .map(|_| {
            let mut peer = Peer::connect(site.addr);
            peer.ask("/gate", Transport::Sse);
            peer
        })
        .collect();
    diary.wait("the functions", |pages| (pages.functions == 4).then_some(()));
    for _ in 0..50 {
        let mut refused = Peer::connect(site.addr);
        refused.ask("/gate", Transport::Sse);
        let answer = refused.answer();
        assert!(answer.status == 503 && answer.header("retry-after").is_some(), "{answer:?}");
    }
    assert_eq!(diary.read(|pages| pages.functions), 4, "none of them ran");
    assert_eq!(site.hub.held_count(), 2, "and nobody was ended for them");
    opener.send_replace(true);
    for peer in &mut asking {
        peer.begin(Transport::Sse);
    }
    for peer in oldest {
        assert_eq!(diary.end_of(peer.local_addr()).0.as_str(), "evicted");
    }
    drop(asking);
    site.until_quiet();
}
