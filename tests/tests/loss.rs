//! A network that loses every tenth packet, each way: no peer that is there ends as gone.
//!
//! How likely a wrong end is follows from how often a peer is asked before it is given up; the arithmetic stands in
//! `runtime/src/mechanisms/clock/asking.rs`. The clocks here are such that asking once a `heartbeat` ends a dozen long polls.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use abeyance::extract::State;
use abeyance::{Resume, Server, Suspend, Transport, suspend};
use abeyance_tests::net::{
    HookRecorder, Network, RecordingContext, TRANSPORTS, TcpTestServer, eventually, skipped,
};
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_tungstenite::client_async;

#[suspend(path = "/long", timeout = "10m", max_idle = "20s", heartbeat = "5s")]
async fn long(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    Suspend::with(hooks.context())
}

#[suspend(path = "/short", timeout = "12s", max_idle = "40s", heartbeat = "2s")]
async fn short(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    Suspend::with(hooks.context())
}

/// So many on each transport.
const CLIENTS: usize = 300;

/// A network that loses nothing yet, where we may make one that does.
fn network() -> Option<Network> {
    let network = Network::new().and_then(|network| {
        network.lose(0.0)?;
        Ok(network)
    });
    if let Err(error) = &network {
        skipped(&format!("needs CAP_NET_ADMIN and iptables: {error}"));
    }
    network.ok()
}

/// Has a client of each transport held, and answer, until its connection ends.
fn populate(network: &Network, runtime: &Runtime, server: SocketAddr, host: Ipv4Addr, path: &str) {
    for transport in TRANSPORTS {
        for _ in 0..CLIENTS {
            let stream = network.connect(host, server, None).expect("a connection").idle();
            stream.set_nonblocking(true).expect("a socket");
            runtime.spawn(stay(stream, format!("{path}?transport={}", transport.as_str()), transport));
        }
    }
}

async fn stay(stream: std::net::TcpStream, target: String, transport: Transport) {
    let mut stream = TcpStream::from_std(stream).expect("a socket");
    if transport == Transport::WebSocket {
        let (mut socket, _) = client_async(format!("ws://test{target}"), stream).await.expect("a WebSocket");
        // Reading answers pings.
        while let Some(Ok(_)) = socket.next().await {}
        return;
    }
    let request = format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("an open socket");
    while let Ok(1..) = stream.read(&mut [0; 1024]).await {}
}

/// Judges the ends that were told, of which only timeouts are right.
#[track_caller]
fn assert_no_peer_was_taken_for_gone(hooks: &HookRecorder) {
    let wrong: Vec<_> = hooks.read(|calls| {
        let wrong = calls.ends.iter().filter(|(end, _)| *end != Resume::Timeout.into());
        wrong.map(|(end, ended)| (ended.transport(), end.to_string())).collect()
    });
    let (polls, others): (Vec<_>, Vec<_>) =
        wrong.into_iter().partition(|(transport, _)| *transport == Transport::LongPoll);
    assert!(polls.is_empty(), "{polls:?}");
    // Of 600 streams with eight heartbeats each, the arithmetic allows one in a hundred runs, and two in ten thousand.
    assert!(others.len() <= 1, "{others:?}");
}

#[test]
#[ignore = "long: run by `.ci/run long`"]
fn a_peer_that_answers_through_a_network_that_loses_a_tenth_is_held() {
    let Some(network) = network() else { return };
    let hooks = HookRecorder::default();
    let server = TcpTestServer::serve(
        Server::new().state(hooks.clone()).mount(long),
        network.listen().expect("a port"),
    );
    let runtime = Runtime::new().expect("a runtime");
    let host = network.arrive().expect("a host");
    populate(&network, &runtime, server.addr, host, "/long");
    server.until_held(CLIENTS * TRANSPORTS.len());
    network.lose(0.1).expect("a rule");
    let begun = server.hub.list().iter().map(|hold| hold.held_for).max().expect("holds");
    // Twice `max_idle`.
    let watched = begun + Duration::from_secs(40);
    eventually("holds that lived through the loss", || {
        server.hub.list().iter().all(|hold| hold.held_for >= watched)
    });
    assert_no_peer_was_taken_for_gone(&hooks);
    drop(runtime);
}

#[test]
#[ignore = "long: run by `.ci/run long`"]
fn a_timeout_in_a_network_that_loses_a_tenth_is_a_timeout() {
    let Some(network) = network() else { return };
    let hooks = HookRecorder::default();
    let server = TcpTestServer::serve(
        Server::new().state(hooks.clone()).mount(short),
        network.listen().expect("a port"),
    );
    let runtime = Runtime::new().expect("a runtime");
    let host = network.arrive().expect("a host");
    populate(&network, &runtime, server.addr, host, "/short");
    server.until_held(CLIENTS * TRANSPORTS.len());
    network.lose(0.1).expect("a rule");
    server.until_all_ended(&hooks);
    assert_no_peer_was_taken_for_gone(&hooks);
    drop(runtime);
}
