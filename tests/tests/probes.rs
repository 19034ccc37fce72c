//! How the kernel probes a connection before, during and after a hold, as `ss` tells it.

use std::net::SocketAddr;
use std::process::Command;

use abeyance::extract::State;
use abeyance::{Server, Suspend, Transport, suspend};
use abeyance_tests::net::{
    HookRecorder, Peer, RecordingContext, TRANSPORTS, TcpTestServer, eventually, found, skipped,
};

#[suspend(path = "/hold", timeout = "10m", max_idle = "40s", heartbeat = "10s")]
async fn hold(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    Suspend::with(hooks.context()).join("news")
}

#[suspend(path = "/unasked", timeout = "10m", heartbeat = "none")]
async fn unasked(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    Suspend::with(hooks.context()).join("news")
}

/// After how many seconds of silence the kernel will probe this peer; nothing while something is under way to it.
fn probe(server: SocketAddr, peer: &Peer) -> Option<u64> {
    let filter = format!("sport = :{} and dport = :{}", server.port(), peer.local_addr().port());
    let output = Command::new("ss").args(["-tnoH", &filter]).output().expect("ss");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let left = text.split_once("timer:(keepalive,")?.1.split(',').next()?.to_owned();
    // `59sec`, `9.4sec`, `700ms`, `1min2sec`.
    let left = left.replace("min", "m ").replace("sec", "");
    Some(match left.split_once("m ") {
        Some((minutes, seconds)) => minutes.parse::<u64>().ok()? * 60 + seconds.parse().unwrap_or(0),
        None => left.parse::<f64>().map_or(0, |seconds| seconds as u64),
    })
}

#[track_caller]
fn assert_probed(server: SocketAddr, peer: &Peer, within: std::ops::RangeInclusive<u64>, when: &str) {
    let mut last = None;
    eventually(&format!("a probe within {within:?} s {when}"), || {
        last = probe(server, peer);
        last.is_some_and(|left| within.contains(&left))
    });
}

#[test]
fn every_connection_is_probed_and_a_held_one_as_its_heartbeat_says() {
    if !cfg!(target_os = "linux") || !found("ss", "--version") {
        return skipped("ss is not installed");
    }
    let hooks = HookRecorder::default();
    let server = TcpTestServer::start(Server::new().state(hooks.clone()).mount(hold).mount(unasked));
    for transport in TRANSPORTS {
        let mut peer = Peer::connect(server.addr);
        assert_probed(server.addr, &peer, 50..=60, "before it has said anything");
        peer.ask("/hold", transport);
        peer.begin(transport);
        assert_probed(server.addr, &peer, 0..=11, &format!("while it is held by {transport:?}"));
        let mut other = Peer::hold(server.addr, "/unasked", transport);
        assert_probed(
            server.addr,
            &other,
            50..=60,
            &format!("while {transport:?} is held that is not asked"),
        );
        server.until_held(2);
        if transport == Transport::LongPoll {
            server.hub.publish("news", "x");
            assert_eq!((peer.answer().status, other.answer().status), (200, 200));
            assert_probed(server.addr, &peer, 50..=60, "when it came back from a hold");
        }
        drop((peer, other));
        server.until_quiet();
    }
}
