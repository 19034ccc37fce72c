//! What topics that keep their past cost, what a replay costs, and that nothing is left of either.
//!
//! In a process of their own, and one after the other: the allocator counts for the whole process.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use abeyance::extract::Query;
use abeyance::memory::Dialer;
use abeyance::{Held, Hub, Lifecycle, Retention, Server, Suspend, Transport, suspend};
use abeyance_tests::event_reader::EventReader;
use abeyance_tests::net::{Peer, TcpTestServer, eventually, found, kernel_shares, narrow, skipped};
use abeyance_tests::reader::Reader;
use abeyance_tests::test_server::until;
use peak_alloc::PeakAlloc;
use tokio::runtime::Builder;
use tokio::time::sleep;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// How much may be left: what hash tables and tokio keep allocated is less. Not a byte for
/// each of a hundred thousand topics.
const LEFT: usize = 64 * 1024;

/// How long the topics keep what is published to them.
const AGE: Duration = Duration::from_secs(60);

/// How many topics a hold joins, and how many more its hook joins and leaves.
const JOINED: usize = 100;

/// Where the clients in memory come from.
const FROM: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn bytes() -> usize {
    HEAP.current_usage()
}

/// Joins topics for a moment.
struct Wanderer(Wanted);

#[derive(Clone, serde::Deserialize)]
struct Wanted {
    kind: String,
    from: usize,
}

impl Wanted {
    fn topics(&self, begin: usize) -> impl Iterator<Item = String> {
        let Wanted { kind, from } = self.clone();
        (from + begin..from + begin + JOINED).map(move |number| format!("{kind}/{number}"))
    }
}

#[suspend(path = "/many", transports = [stream], max_idle = "1h", heartbeat = "none")]
async fn many(Query(wanted): Query<Wanted>) -> Suspend<Wanderer> {
    let hold = Suspend::with(Wanderer(wanted.clone()));
    wanted.topics(0).fold(hold, |hold, topic| hold.join(topic))
}

impl Lifecycle for Wanderer {
    async fn on_suspend(&mut self, held: &Held) {
        for topic in self.0.topics(JOINED) {
            held.join(topic.as_str()).expect("room for one more topic");
            held.publish(&topic, "from a hook");
            held.leave(&topic);
        }
    }
}

/// Has so many topics of a kind joined, published to and left.
async fn wander(dialer: &Dialer, hub: &Hub, kind: &str, topics: usize) {
    for batch in 0..topics / (2 * JOINED) {
        let wanted = Wanted { kind: kind.to_owned(), from: batch * 2 * JOINED };
        let mut reader = Reader::new(dialer.connect(FROM).expect("the server listens"));
        let target = format!("/many?kind={kind}&from={}", wanted.from);
        reader.write(format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        assert_eq!(reader.head().await.expect("a head").status, 200);
        for topic in wanted.topics(0) {
            assert_eq!(hub.publish(topic, "a message"), 1);
        }
    }
    until("the last has left", || hub.held_count() == 0 && hub.stats().ending == 0).await;
}

#[test]
#[ignore = "long: run by `.ci/run long`"]
fn a_hundred_thousand_topics_that_passed_leave_no_memory() {
    let _alone = alone();
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        for (kind, bound) in [("plain", 64 << 20), ("kept", 64 << 20), ("kept", 1 << 20)] {
            let keep = Retention::new().age(AGE);
            let server = Server::new().topic("kept/*", keep).max_retained(bound).mount(many);
            let (running, dialer) = server.bind_memory().expect("a server");
            let hub = running.hub();
            wander(&dialer, &hub, kind, 2_000).await;
            sleep(2 * AGE).await;
            let before = bytes();
            wander(&dialer, &hub, kind, 100_000).await;
            let kept = bytes().saturating_sub(before);
            sleep(2 * AGE).await;
            let left = bytes().saturating_sub(before);
            println!("{kind:5} {kept} B while something is kept, within {bound} B; {left} B are left");
            assert!(kept <= if kind == "kept" { bound + bound / 4 } else { LEFT }, "{kept} B of {bound}");
            // How far those had come that were forgotten last is known, within a part of the bound.
            let known = if kind == "kept" { bound / 64 } else { 0 };
            assert!(left <= LEFT + known, "{kind}: {left} B are left");
            running.shutdown().await;
        }
    });
}

const BACKLOG: usize = 64 << 10;
const SIZE: usize = 4_400;
/// More than 4 MiB of them.
const MESSAGES: usize = 1_000;

#[suspend(path = "/past", transports = [sse], send_buffer = "64KiB", heartbeat = "none", max_idle = "1h")]
async fn past() -> Suspend {
    Suspend::new().join("past")
}

/// A message that says which one it is.
fn numbered(number: usize) -> String {
    format!("{number:06}{}", "x".repeat(SIZE - 6))
}

/// Waits until memory does not fall or grow any more.
fn rested() -> usize {
    let (mut last, mut turns) = (0, 0);
    eventually("memory that rests", || {
        let now = bytes();
        turns = if now == last { turns + 1 } else { 0 };
        last = now;
        turns == 50
    });
    last
}

/// Comes back with an id, and reads nothing yet.
fn come_back(server: &TcpTestServer, id: &str) -> Peer {
    let mut peer = narrow(server.addr);
    peer.send(format!("GET /past HTTP/1.1\r\nHost: test\r\nLast-Event-ID: {id}\r\n\r\n"));
    peer
}

/// Reads events behind those bytes, and forgets them; each must be the next. Looks around now and then.
fn read_all(stream: &mut TcpStream, begun: Vec<u8>, count: usize, mut look: impl FnMut()) {
    let (mut events, mut next, mut buffer) = (EventReader::default(), 0, [0; 2048]);
    let mut looked = 0;
    events.feed(&begun);
    drop(begun);
    loop {
        while let Some(event) = events.next_event() {
            assert_ne!(event.kind, "resync");
            if event.kind.is_empty() {
                assert!(event.data == numbered(next), "{next}: {:.6}", event.data);
                next += 1;
            }
        }
        if next == count {
            return;
        }
        // Between two events it keeps next to nothing itself.
        if next >= looked + 64 && events.is_between() {
            look();
            looked = next;
        }
        let length = stream.read(&mut buffer).expect("a connection");
        assert!(length > 0, "the server cut it at {next}");
        events.feed(&buffer[..length]);
    }
}

#[test]
fn a_replay_larger_than_the_backlog_costs_no_more_than_the_backlog_and_comes_whole() {
    const READERS: usize = 8;
    let _alone = alone();
    let keep = Retention::new().count(2 * MESSAGES).bytes(16 << 20);
    let server = TcpTestServer::start(Server::new().topic("past", keep).mount(past));
    let mut first = Peer::connect(server.addr);
    first.ask("/past", Transport::Sse);
    assert_eq!(first.head().status, 200);
    let block = String::from_utf8(first.read_until(b"\n\n")).expect("text");
    let id = block.lines().find_map(|line| line.strip_prefix("id: ")).expect("an id").to_owned();
    first.reset();
    for number in 0..MESSAGES {
        server.hub.publish("past", numbered(number));
    }
    // Once in a hurry, so that everything has its tables.
    let mut quick = Peer::connect(server.addr);
    quick.send(format!("GET /past HTTP/1.1\r\nHost: test\r\nLast-Event-ID: {id}\r\n\r\n"));
    quick.head();
    let begun = quick.take();
    read_all(&mut quick.idle(), begun, MESSAGES, || ());
    server.until_quiet();

    let has_ss = found("ss", "--version");
    if !has_ss {
        skipped("ss is not installed");
    }
    let mut peers = Vec::with_capacity(READERS);
    let before = rested();
    for _ in 0..READERS {
        peers.push(come_back(&server, &id));
    }
    server.until_held(READERS);
    let ours = rested() - before;
    println!("{ours} B for {READERS} that read nothing");
    // With its hold; and what the kernel keeps is not counted here.
    assert!(ours <= READERS * (BACKLOG + SIZE + 2048), "{ours} B");
    let mut peer = peers.pop().expect("one of them");
    drop(peers);
    server.until_held(1);
    peer.head();
    let (addr, begun) = (peer.local_addr(), peer.take());
    let mut stream = peer.idle();
    let mut most = 0;
    read_all(&mut stream, begun, MESSAGES, || {
        let ours = rested().saturating_sub(before);
        let kernel = kernel_shares(server.addr, Some(addr)).get(&addr).map_or(0, |share| share.queued);
        assert!(!has_ss || kernel > 0);
        assert!(ours + kernel <= BACKLOG + SIZE + 2048, "{ours} B here, {kernel} B in the kernel");
        most = most.max(ours + kernel);
    });
    println!("{most} B for one that reads");
    assert_eq!(server.hub.publish("past", numbered(0)), 1);
    read_all(&mut stream, Vec::new(), 1, || ());
    drop(stream);
    server.until_quiet();
    let left = rested().saturating_sub(before);
    assert!(left <= LEFT, "{left} B are left");
}
