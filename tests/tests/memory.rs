//! What an idle hold costs, and that nothing is left when it has ended.
//!
//! One test in a process of its own, because the allocator counts for the whole process. The clients are bare
//! sockets, which have no heap, in lists that are allocated before anything is measured.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::scope;
use std::time::Duration;

use abeyance::extract::State;
use abeyance::{End, Ended, Held, Lifecycle, Message, Server, Suspend, Transport, suspend};
use abeyance_tests::net::{Peer, TRANSPORTS, TcpTestServer, eventually};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const HOLDS: usize = 1_000;
const CYCLES: usize = 20_000;
const CLIENTS: usize = 4;

/// The promise of one idle hold. It costs 984 B today, of which tokio's task cell and its record of the socket are 256
/// each.
const MOST: usize = 1_024;

/// How much heap may be left, for any number of holds before: the registry frees its tables when nothing is held, and what
/// tokio and the hash tables keep allocated is less than this.
const LEFT: usize = 16 * 1024;

/// How many ends are remembered, and what that may take; taken whole with the first.
const ENDS: usize = 10_000;
const PAST: std::ops::RangeInclusive<usize> = 800_000..=1_000_000;

static HOOKS: AtomicUsize = AtomicUsize::new(0);

/// A context whose hooks need much memory for a moment.
struct Greedy;

async fn greedy() {
    let array = [1_u8; 4096];
    tokio::task::yield_now().await;
    HOOKS.fetch_add(usize::from(array[HOOKS.load(Relaxed) % array.len()]), Relaxed);
}

#[suspend(path = "/hold", timeout = "1h", max_idle = "2h", heartbeat = "30m")]
async fn hold(_: State<()>) -> Suspend<Greedy> {
    Suspend::with(Greedy).join("topic")
}

impl Lifecycle for Greedy {
    async fn on_suspend(&mut self, _: &Held) {
        greedy().await;
    }

    async fn on_message(&mut self, _: &Held, _: Message) {
        greedy().await;
    }

    async fn on_end(self, _: &Ended, _: End) {
        greedy().await;
    }
}

fn bytes() -> usize {
    HEAP.current_usage()
}

/// Opens one; its `on_suspend` has run, or will soon.
fn open(server: &TcpTestServer, transport: Transport) -> Peer {
    Peer::hold(server.addr, "/hold", transport)
}

/// Waits until there are `held` holds, all hooks have run, and the heap does not shrink any more.
fn settled(server: &TcpTestServer, held: usize, hooks: usize) {
    server.until_held(held);
    eventually("the hooks", || HOOKS.load(Relaxed) >= hooks);
    let (mut least, mut turns) = (usize::MAX, 0);
    eventually("memory that rests", || {
        let now = bytes();
        turns = if now < least { 0 } else { turns + 1 };
        least = least.min(now);
        turns == 50
    });
}

fn idle(server: &TcpTestServer, transport: Transport) {
    HOOKS.store(0, Relaxed);
    // The first holds make the runtime's own tables.
    let first: Vec<_> = (0..64).map(|_| open(server, transport)).collect();
    settled(server, 64, 64);
    drop(first);
    server.until_quiet();
    settled(server, 0, 128);
    HOOKS.store(0, Relaxed);

    let mut peers = Vec::with_capacity(HOLDS);
    let before = bytes();
    for _ in 0..HOLDS {
        peers.push(open(server, transport).idle());
    }
    settled(server, HOLDS, HOLDS);
    let held = bytes();

    peers.clear();
    server.until_quiet();
    settled(server, 0, 2 * HOLDS);
    let left = bytes().saturating_sub(before);
    println!("{:9} {left} B are left when {HOLDS} have ended", transport.as_str());
    assert!(left <= LEFT, "{transport:?}: {left} B");
    // From the lower of the two, so that nothing which was still on its way out before makes a hold look cheap.
    let each = (held - before.min(bytes())).div_ceil(HOLDS);
    println!("{:9} {each:4} B of heap for an idle hold", transport.as_str());
    assert!(each <= MOST, "{transport:?}: {each} B");
}

/// What is remembered of ends is taken with the first of them; later ones find their place (`cycles`).
fn first_end() {
    let server = TcpTestServer::start(Server::new().state(()).mount(hold));
    let peer = open(&server, Transport::Sse);
    settled(&server, 1, 0);
    let before = bytes();
    drop(peer);
    server.until_quiet();
    settled(&server, 0, 0);
    let taken = bytes() - before;
    println!("the first end takes {taken} B");
    assert!(PAST.contains(&taken), "{taken} B");
    assert_eq!(server.hub.last_ends().count(), 1);
}

/// Opens and closes, many times; every other peer resets.
fn cycles(server: &TcpTestServer, transport: Transport) {
    let round = |count: usize| {
        let left = AtomicUsize::new(CLIENTS);
        scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    for turn in 0..count / CLIENTS {
                        let mut peer = open(server, transport);
                        if transport == Transport::LongPoll {
                            assert_eq!(peer.answer().status, 200);
                        }
                        if turn % 8 != 0 {
                            peer.reset();
                        }
                    }
                    left.fetch_sub(1, Relaxed);
                });
            }
            // A held long poll shows nothing until it is answered.
            while transport == Transport::LongPoll && left.load(Relaxed) > 0 {
                server.hub.publish("topic", "an answer");
                std::thread::park_timeout(Duration::from_micros(200));
            }
        });
        server.until_quiet();
        settled(server, 0, 0);
    };
    round(400);
    let before = bytes();
    let suspended = server.hub.stats().suspended;
    round(CYCLES);
    let left = bytes().saturating_sub(before);
    let held = server.hub.stats().suspended - suspended;
    println!("{:9} {left} B are left after {held} were held and ended", transport.as_str());
    assert_eq!(held, CYCLES as u64, "{transport:?}");
    assert_eq!(server.hub.last_ends().count(), ENDS);
    assert!(left <= LEFT, "{transport:?}: {left} B");
}

#[test]
fn an_idle_hold_costs_little_and_leaves_nothing() {
    // Both ends of every connection are ours.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    first_end();
    for transport in TRANSPORTS {
        let server = TcpTestServer::start(Server::new().state(()).mount(hold));
        idle(&server, transport);
        cycles(&server, transport);
    }
}
