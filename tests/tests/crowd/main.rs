//! A crowd, a few of whom do not read: those are ended for it, and neither the others nor the memory notice.
//!
//! One test in a process of its own, because resident memory is the whole process's. It takes twenty seconds: it is
//! about what comes over time.

mod bad; // peers that do not read
mod good; // peers that read

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use abeyance::extract::State;
use abeyance::{Disconnect, End, Server, Suspend, suspend};
use abeyance_tests::net::{
    HookRecorder, Machine, RecordingContext, Share, TcpTestServer, eventually, found, kernel_shares,
    resident, skipped,
};

use bad::Bad;
use good::Good;

const GOOD: usize = 100;
/// 52 MB, in 20 s at the least.
const MESSAGES: usize = 6_400;
const SIZE: usize = 8 * 1024;
const PACE: Duration = Duration::from_micros(3_150);
/// How many messages may be under way to a good reader, half of its send buffer: a machine that has no time for the
/// readers slows the publisher down and ends no hold.
const AHEAD: usize = 16;

const NARROW: usize = 256 << 10;
/// More than any kernel keeps by default, so that some waits here too.
const WIDE: usize = 6 << 20;

#[suspend(path = "/narrow", send_buffer = "256KiB", heartbeat = "none", max_idle = "1h")]
async fn narrow(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    Suspend::with(hooks.context()).join("crowd")
}

#[suspend(path = "/wide", send_buffer = "6MiB", heartbeat = "none", max_idle = "1h")]
async fn wide(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    Suspend::with(hooks.context()).join("crowd")
}

/// A message that says which one it is.
fn numbered(number: usize) -> String {
    format!("{number:06}{}", "x".repeat(SIZE - 6))
}

/// What was looked at all along, and the most of it.
#[derive(Default)]
struct Seen {
    /// Memory of the process, in bytes.
    resident: usize,
    has_ss: bool,
    /// What the kernel kept for each peer.
    shares: HashMap<SocketAddr, Share>,
}

/// Looks at the memory of the process and of the kernel until all is over.
fn watch(server: SocketAddr, over: Arc<AtomicBool>, machine: Arc<Machine>) -> JoinHandle<Seen> {
    spawn(move || {
        let mut seen = Seen { has_ss: found("ss", "--version"), ..Seen::default() };
        while !over.load(Relaxed) {
            seen.resident = seen.resident.max(resident());
            for (peer, now) in kernel_shares(server, None) {
                let most = seen.shares.entry(peer).or_default();
                *most = most.max(now);
            }
            machine.rest(Duration::from_millis(20));
        }
        seen
    })
}

#[test]
#[ignore = "long: run by `.ci/run long`"]
fn those_who_do_not_read_are_ended_and_a_hundred_who_do_get_everything_in_time() {
    let hooks = HookRecorder::default();
    // A peer that takes nothing is to be ended for the bytes that wait, not for the time.
    let server = Server::new().state(hooks.clone()).mount(narrow).mount(wide);
    let server = TcpTestServer::start(server.write_timeout(Duration::from_secs(600)));
    let machine = Arc::new(Machine::default());
    let over = Arc::new(AtomicBool::new(false));
    let kinds = Bad::kinds();
    let good = Good::start(server.addr);
    let bad: Vec<_> = kinds.map(|kind| kind.start(server.addr, &hooks, &over, &machine)).into();
    let all = GOOD + bad.len();
    hooks.wait("all on_suspend", |calls| (calls.suspended.len() == all).then_some(()));

    let before = resident();
    let watcher = watch(server.addr, over.clone(), machine.clone());
    good.begin();
    for number in 0..MESSAGES {
        machine.rest(PACE);
        eventually("the good readers", || good.have(number.saturating_sub(AHEAD)));
        let count = server.hub.publish("crowd", numbered(number));
        assert!((GOOD..=all).contains(&count), "message {number} went to {count}");
    }
    let pauses = good.join();
    over.store(true, Relaxed);
    let seen = watcher.join().expect("a watcher");
    let visits = bad.into_iter().map(|bad| bad.join().expect("a bad reader"));

    let most = Duration::from_secs(1) + machine.longest_stall();
    for (addr, pause) in pauses {
        assert!(pause <= most, "{addr} waited {pause:?} for a message, and might {most:?}");
        let (_, ended) = hooks.end_of(addr);
        assert_eq!((ended.messages_out(), ended.undelivered()), (MESSAGES as u64, 0));
    }
    let slow: usize =
        kinds.iter().zip(visits).map(|(kind, visits)| judge(kind, &visits, &hooks, &seen)).sum();
    // Much less, since all for whom a message waits share its bytes; but this is what is promised.
    let grown = seen.resident.saturating_sub(before);
    let most: usize = kinds.iter().map(|kind| kind.send_buffer + SIZE).sum();
    assert!(grown <= most, "the process grew by {grown} bytes, and {most} may wait");
    if !seen.has_ss {
        skipped("ss is not installed, so what the kernel keeps was not judged");
    }
    server.until_all_ended(&hooks);
    assert_eq!(server.hub.stats().ended("slow"), slow as u64, "no other hold was slow");
}

/// Judges how often one of them was ended, and what was kept for it here and in the kernel; gives how often it was slow.
fn judge(kind: &Bad, visits: &[SocketAddr], hooks: &HookRecorder, seen: &Seen) -> usize {
    let is_slow = |addr: &&SocketAddr| hooks.end_of(**addr).0 == End::Disconnect(Disconnect::Slow);
    let slow = visits.iter().filter(is_slow).count();
    // It leaves the last hold itself when all is over.
    assert!(slow > 0 && slow + 1 >= visits.len(), "{kind:?} was slow {slow} times of {}", visits.len());
    let share = |addr| seen.shares.get(addr).copied().unwrap_or_default();
    assert!(!seen.has_ss || visits.iter().any(|addr| share(addr).memory > 0), "{kind:?} was never looked at");
    for addr in visits {
        let ours = hooks.end_of(*addr).1.undelivered() as usize * SIZE;
        let kernel = share(addr);
        assert!(
            ours + kernel.memory <= kind.send_buffer + SIZE,
            "{kind:?}: {ours} waited here, {kernel:?} there"
        );
    }
    slow
}
