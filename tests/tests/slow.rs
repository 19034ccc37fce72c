//! Peers that do not read what is published: bounded, ended for the right cause, at no cost to others. (One that takes
//! nothing of a single message is in `faults`.)

#![allow(clippy::unwrap_used, reason = "helpers of tests, which fail by panicking")]

use std::sync::mpsc::{Receiver, channel};
use std::thread::spawn;
use std::time::Duration;

use abeyance::extract::State;
use abeyance::{Disconnect, End, Message, Server, Suspend, Transport, suspend};
use abeyance_tests::net::{
    HookRecorder, LASTING, Peer, RecordingContext, Share, TEST_TIMEOUT, TcpTestServer, found, kernel_shares,
    narrow, skipped,
};

const READERS: usize = 3;
const MESSAGES: usize = 3_000;
const SIZE: usize = 8 * 1024;
const BACKLOG: usize = 256 * 1024;
/// How many messages may be under way to a good reader: a quarter of its send buffer.
const AHEAD: usize = 8;

#[suspend(path = "/news", send_buffer = "256KiB", heartbeat = "none", max_idle = "1h")]
async fn news(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    Suspend::with(hooks.context()).join("news")
}

// So large that it is never full.
#[suspend(path = "/roomy", send_buffer = "64MiB", heartbeat = "none", max_idle = "1h")]
async fn roomy(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    Suspend::with(hooks.context()).join("roomy")
}

/// A message that says which one it is.
fn numbered(number: usize) -> String {
    format!("{number:06}{}", "x".repeat(SIZE - 6))
}

/// Reads all messages in order, telling of each.
fn read_all(mut peer: Peer, transport: Transport) -> Receiver<()> {
    let (tell, told) = channel();
    spawn(move || {
        for number in 0..MESSAGES {
            let text = match transport {
                Transport::WebSocket => peer.frame().expect("a message").payload,
                Transport::Sse => {
                    peer.read_until(b"data: ");
                    peer.read_until(b"\n\n")
                }
                _ => {
                    peer.read_until(b"\"");
                    peer.read_until(b"\"")
                }
            };
            assert!(text.starts_with(format!("{number:06}x").as_bytes()), "{number}: {:?}", &text[..9]);
            assert!(text.len() >= SIZE);
            tell.send(()).expect("the test waits for it");
        }
    });
    told
}

fn one_that_never_reads(transport: Transport) {
    let hooks = HookRecorder::default();
    let server = TcpTestServer::start(Server::new().state(hooks.clone()).mount(news));
    let readers: Vec<_> =
        (0..READERS).map(|_| read_all(Peer::hold(server.addr, "/news", transport), transport)).collect();
    let mut bad = narrow(server.addr);
    bad.ask("/news", transport);
    server.until_held(READERS + 1);
    hooks.wait("on_suspend", |calls| (calls.suspended.len() == READERS + 1).then_some(()));

    let has_ss = found("ss", "--version");
    let mut share = Share::default();
    for number in 0..MESSAGES {
        if number >= AHEAD {
            readers.iter().for_each(|reader| reader.recv_timeout(TEST_TIMEOUT).expect("a good reader"));
        }
        let count = server.hub.publish("news", numbered(number));
        assert!((READERS..=READERS + 1).contains(&count), "message {number} went to {count}");
        if has_ss && count > READERS {
            let now = kernel_shares(server.addr, Some(bad.local_addr()));
            share = share.max(now.get(&bad.local_addr()).copied().unwrap_or_default());
        }
    }
    for _ in 0..AHEAD {
        readers.iter().for_each(|reader| reader.recv_timeout(TEST_TIMEOUT).expect("a good reader"));
    }
    let (end, ended) = hooks.end_of(bad.local_addr());
    assert_eq!(end, End::Disconnect(Disconnect::Slow), "{transport:?}");
    // Ours is what it never got, the kernel's what it got and did not take.
    let ours = ended.undelivered() as usize * SIZE;
    assert!(ours <= BACKLOG, "{transport:?}: {ours} bytes waited");
    assert!(ended.messages_out() + ended.undelivered() < MESSAGES as u64 / 2, "{ended:?}");
    if has_ss {
        let Share { queued, memory } = share;
        assert!(0 < queued && queued <= BACKLOG, "{transport:?}: the kernel kept {queued} bytes");
        // There was room for the last message's bytes; what the kernel spends on it comes on top, and is less than it.
        assert!(memory + ours <= BACKLOG + SIZE, "{transport:?}: the kernel used {memory} bytes, we {ours}");
    } else {
        skipped("ss is not installed");
    }
    drop(bad);
    server.until_all_ended(&hooks);
    assert_eq!(server.hub.stats().ended("slow"), 1);
}

#[test]
fn one_websocket_that_never_reads_is_ended_as_slow_and_the_others_get_everything() {
    one_that_never_reads(Transport::WebSocket);
}

#[test]
fn one_event_source_that_never_reads_is_ended_as_slow_and_the_others_get_everything() {
    one_that_never_reads(Transport::Sse);
}

#[test]
fn one_stream_that_never_reads_is_ended_as_slow_and_the_others_get_everything() {
    one_that_never_reads(Transport::Stream);
}

#[test]
fn a_slow_write_that_makes_progress_is_not_stalled() {
    for transport in LASTING {
        let hooks = HookRecorder::default();
        let server = Server::new().state(hooks.clone()).mount(roomy).write_timeout(Duration::from_secs(30));
        let server = TcpTestServer::start(server);
        let mut peer = Peer::hold(server.addr, "/roomy", transport);
        hooks.wait("on_suspend", |calls| (!calls.suspended.is_empty()).then_some(()));
        assert_eq!(server.hub.publish("roomy", Message::from("x".repeat(24 << 20))), 1);
        // The hold's own task writes what waits, as the peer makes room.
        let before = peer.received();
        while peer.received() - before < 24 << 20 {
            assert!(peer.more(), "{transport:?} ended after {} bytes", peer.received());
        }
        let listed = server.hub.list();
        assert_eq!(listed.len(), 1, "{transport:?}");
        peer.fin();
        let (end, ended) = hooks.end_of(peer.local_addr());
        assert_eq!(end, End::Disconnect(Disconnect::Gone));
        assert_eq!((ended.messages_out(), ended.undelivered()), (1, 0));
    }
}
