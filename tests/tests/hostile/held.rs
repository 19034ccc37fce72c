//! Attacks within a hold, over real sockets: floods, garbage, half-closes, an ending that is ignored.

use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::scope;

use abeyance::extract::State;
use abeyance::{Disconnect, End, Ended, Held, Lifecycle, Message, Server, Suspend, Transport, suspend};
use abeyance_tests::net::{
    HookRecorder, LASTING, Peer, RecordingContext, TRANSPORTS, TcpTestServer, curl, eventually, found, frame,
    narrow, open_sockets, skipped,
};
use tokio_tungstenite::tungstenite;

/// Sends every message back.
struct Echo(RecordingContext);

#[suspend(path = "/echo", timeout = "30m", max_idle = "1h", heartbeat = "none")]
async fn echo(State(hooks): State<HookRecorder>) -> Suspend<Echo> {
    Suspend::with(Echo(hooks.context()))
}

#[suspend(path = "/roomy", timeout = "30m", max_idle = "1h", heartbeat = "none", send_buffer = "64MiB")]
async fn roomy(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    Suspend::with(hooks.context()).join("news")
}

/// Its `on_message` never returns.
struct Stuck(RecordingContext);

#[suspend(path = "/stuck", timeout = "30m", max_idle = "1h", heartbeat = "none")]
async fn stuck(State(hooks): State<HookRecorder>) -> Suspend<Stuck> {
    Suspend::with(Stuck(hooks.context()))
}

impl Lifecycle for Echo {
    async fn on_suspend(&mut self, held: &Held) {
        self.0.on_suspend(held).await;
    }

    async fn on_message(&mut self, held: &Held, message: Message) {
        let _ = held.send(message);
    }

    async fn on_end(self, ended: &Ended, end: End) {
        self.0.on_end(ended, end).await;
    }
}

impl Lifecycle for Stuck {
    async fn on_suspend(&mut self, held: &Held) {
        self.0.on_suspend(held).await;
    }

    async fn on_message(&mut self, held: &Held, message: Message) {
        self.0.on_message(held, message).await;
        std::future::pending().await
    }

    async fn on_end(self, ended: &Ended, end: End) {
        self.0.on_end(ended, end).await;
    }
}

/// A server, and a well-behaved client that must be served during every attack.
struct Fixture {
    server: TcpTestServer,
    hooks: HookRecorder,
    friend: Peer,
}

impl Fixture {
    fn open() -> Self {
        let hooks = HookRecorder::default();
        let server =
            TcpTestServer::start(Server::new().state(hooks.clone()).mount(echo).mount(roomy).mount(stuck));
        let friend = Peer::hold(server.addr, "/echo", Transport::WebSocket);
        Fixture { server, hooks, friend }
    }

    /// A peer whose `on_suspend` has run.
    fn enter(&self, path: &str, transport: Transport) -> Peer {
        let begun = self.hooks.read(|calls| calls.suspended.len());
        let peer = Peer::hold(self.server.addr, path, transport);
        self.hooks.wait("on_suspend", |calls| (calls.suspended.len() > begun).then_some(()));
        peer
    }

    #[track_caller]
    fn is_served(&mut self) {
        self.friend.send(frame(0x81, b"still there?"));
        let said = self.friend.frame().expect("an answer");
        assert_eq!((said.first, &said.payload[..]), (0x81, &b"still there?"[..]));
    }

    /// Drops the peer; its hold must have ended with this cause, the friend must be served, and no socket may be left.
    #[track_caller]
    fn ended_as(&mut self, peer: Peer, cause: &str) -> Ended {
        let addr = peer.local_addr();
        drop(peer);
        let (end, ended) = self.hooks.end_of(addr);
        assert_eq!(end.as_str(), cause);
        self.is_served();
        eventually("only the friend's socket", || open_sockets(self.server.addr) == 1);
        // The socket of a reset is gone at once; its hold may still be ending.
        eventually("only the friend's hold", || {
            let stats = self.server.hub.stats();
            stats.held == 1 && stats.ending == 0
        });
        ended
    }

    /// Publishes more than the kernel takes for a peer that does not read.
    #[track_caller]
    fn publish_too_much(&self) {
        let text = "x".repeat(8 * 1024);
        for _ in 0..1_500 {
            assert_eq!(self.server.hub.publish("news", text.as_str()), 1);
        }
        assert!(self.server.hub.stats().waiting > 1 << 20, "{:?}", self.server.hub.stats());
    }

    fn close(self) {
        self.friend.fin();
        self.server.until_all_ended(&self.hooks);
        let drained = self.server.stop();
        assert_eq!((drained.holds_cut, drained.connections_cut), (0, 0));
    }
}

#[test]
fn floods_that_say_nothing_are_ended_as_what_they_are() {
    let mut fixture = Fixture::open();
    let floods = [
        ("pings", Vec::new(), frame(0x89, &[b'x'; 125])),
        ("pongs", Vec::new(), frame(0x8a, b"")),
        ("empty parts", frame(0x02, b""), frame(0x00, b"")),
        ("tiny parts", frame(0x02, b"x"), frame(0x00, b"x")),
    ];
    for (what, first, flood) in floods {
        let mut peer = fixture.enter("/echo", Transport::WebSocket);
        peer.send(first);
        // It goes on for as long as it can, and reads only then.
        let flood = flood.repeat(100);
        for _ in 0..1_000 {
            peer.try_send(&flood);
        }
        let last = std::iter::from_fn(|| peer.frame()).last();
        // A client that does not read may miss it.
        if let Some((code, reason)) = last.as_ref().and_then(|frame| frame.close()) {
            assert_eq!((code, reason), (1008, "flood"), "{what}");
        }
        fixture.ended_as(peer, "flood");
    }
    fixture.close();
}

#[test]
fn a_foreign_client_that_pings_too_much_is_told_so() {
    let mut fixture = Fixture::open();
    let stream = TcpStream::connect(fixture.server.addr).unwrap();
    let peer = Peer::over(stream.try_clone().unwrap());
    let url = format!("ws://{}/echo", fixture.server.addr);
    let (mut client, response) = tungstenite::client(url, stream).unwrap();
    assert_eq!(response.headers().get("sec-websocket-extensions"), None);
    let mut end = None;
    for _ in 0..5_000 {
        if client.send(tungstenite::Message::Ping("x".into())).is_err() {
            break;
        }
        match client.read() {
            Ok(tungstenite::Message::Close(Some(close))) => end = Some(close),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    let end = end.expect("a close frame");
    assert_eq!((u16::from(end.code), end.reason.as_str()), (1008, "flood"));
    drop(client);
    fixture.ended_as(peer, "flood");
    fixture.close();
}

/// Offers compression, says something, then pings until it is told to stop.
const PYTHON: &str = r#"
import sys
from websockets.sync.client import connect
from websockets.exceptions import ConnectionClosed
with connect(sys.argv[1], compression="deflate") as client:
    print(client.response.headers.get("Sec-WebSocket-Extensions"))
    client.send(["in ", "parts"])
    print(client.recv())
    try:
        for _ in range(5000):
            client.ping()
        client.recv()
    except ConnectionClosed as closed:
        print(closed.rcvd.code, closed.rcvd.reason)
"#;

#[test]
fn a_client_in_python_is_refused_compression_and_told_of_its_flood() {
    if !found("python3", "--version") || !python_has("websockets.sync.client") {
        return skipped("python3 has no package `websockets`");
    }
    let fixture = Fixture::open();
    let url = format!("ws://{}/echo", fixture.server.addr);
    let output = Command::new("python3").args(["-c", PYTHON, &url]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said, "None\nin parts\n1008 flood\n", "{}", String::from_utf8_lossy(&output.stderr));
    let ends = fixture.hooks.wait("the end", |calls| (!calls.ends.is_empty()).then(|| calls.ends.clone()));
    assert_eq!(ends[0].0, Disconnect::Flood.into());
    fixture.close();
}

fn python_has(module: &str) -> bool {
    Command::new("python3")
        .args(["-c", &format!("import {module}")])
        .output()
        .is_ok_and(|ran| ran.status.success())
}

#[test]
fn garbage_behind_a_request_is_bounded_and_told_what_it_is() {
    let mut fixture = Fixture::open();
    let garbage = [
        ("another request", b"GET / HTTP/1.1\r\nHost: test\r\n\r\n".repeat(4_000)),
        ("a TLS client", [&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01][..], &[0x5a; 100_000]].concat()),
        ("zeros", vec![0; 100_000]),
        ("ones", vec![0xff; 100_000]),
    ];
    for (what, bytes) in garbage {
        for transport in TRANSPORTS {
            let mut peer = fixture.enter("/echo", transport);
            peer.try_send(&bytes);
            match transport {
                Transport::WebSocket => {
                    let close = peer.frame().expect("a close frame");
                    assert_eq!(close.close(), Some((1002, "violation")), "{what}");
                }
                Transport::LongPoll => assert_eq!(peer.answer().status, 400, "{what}"),
                _ => assert!(!peer.read_to_end().0.ends_with(b"0\r\n\r\n"), "{what}: {transport:?} is cut"),
            }
            peer.read_to_end();
            fixture.ended_as(peer, "violation");
        }
    }
    fixture.close();
}

#[test]
fn a_half_close_ends_the_hold_as_gone_in_every_state() {
    let mut fixture = Fixture::open();
    for transport in TRANSPORTS {
        // Idle.
        let mut peer = fixture.enter("/echo", transport);
        peer.fin();
        assert!(peer.read_to_end().1, "{transport:?}: a FIN, and no reset");
        fixture.ended_as(peer, "gone");
    }
    for transport in LASTING {
        // With a send buffer that waits for it.
        let begun = fixture.hooks.read(|calls| calls.suspended.len());
        let mut peer = narrow(fixture.server.addr);
        peer.ask("/roomy", transport);
        peer.begin(transport);
        fixture.hooks.wait("on_suspend", |calls| (calls.suspended.len() > begun).then_some(()));
        fixture.publish_too_much();
        peer.fin();
        let (_, ended) = fixture.hooks.end_of(peer.local_addr());
        assert!(!ended.is_delivered() && ended.undelivered() > 0, "{ended:?}");
        fixture.ended_as(peer, "gone");
    }
    // In the middle of a message, and while `on_message` runs.
    for (path, said) in [("/echo", &frame(0x01, b"to be continued")[..]), ("/stuck", &frame(0x81, b"x"))] {
        let mut peer = fixture.enter(path, Transport::WebSocket);
        peer.send(said);
        peer.fin();
        assert!(peer.read_to_end().1);
        fixture.ended_as(peer, "gone");
    }
    // After its ending was written.
    for transport in LASTING {
        let mut peer = fixture.enter("/echo", transport);
        let known =
            fixture.server.hub.list().into_iter().find(|held| held.peer == peer.local_addr()).unwrap();
        assert!(fixture.server.hub.resume(known.id));
        peer.fin();
        assert!(peer.read_to_end().1, "{transport:?}: a FIN, and no reset");
        fixture.ended_as(peer, "released");
    }
    fixture.close();
}

#[test]
fn a_peer_that_ignores_its_ending_and_goes_on_sending_is_cut() {
    let mut fixture = Fixture::open();
    for transport in LASTING {
        let mut peer = fixture.enter("/echo", transport);
        let known =
            fixture.server.hub.list().into_iter().find(|held| held.peer == peer.local_addr()).unwrap();
        assert!(fixture.server.hub.resume(known.id));
        let bytes = vec![0; 64 * 1024];
        // More than is discarded and all buffers on the way.
        let sent = (0..).take_while(|_| peer.takes(&bytes)).take(2_000).count();
        assert!(sent < 2_000, "{transport:?}: it is read for ever");
        fixture.ended_as(peer, "released");
    }
    fixture.close();
}

#[test]
fn a_flood_of_posts_is_turned_away_and_its_hold_stays() {
    let mut fixture = Fixture::open();
    let begun = fixture.hooks.read(|calls| calls.suspended.len());
    let mut peer = Peer::connect(fixture.server.addr);
    peer.ask("/stuck", Transport::Stream);
    let token = peer.head().header("abeyance-hold").unwrap().to_owned();
    fixture.hooks.wait("on_suspend", |calls| (calls.suspended.len() > begun).then_some(()));
    // One is with `on_message` before the others come.
    let url = fixture.server.url(&format!("/stuck?hold={token}"));
    assert!(curl(&["-d", "x", &url]).status.success());
    fixture.hooks.wait("the first", |calls| (calls.messages.len() == 1).then_some(()));
    let mut poster = Peer::connect(fixture.server.addr);
    let mut statuses = Vec::new();
    for turn in 0..500 {
        let token = if turn % 5 == 4 { "unknown" } else { &token };
        poster.send(format!("POST /stuck?hold={token} HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\nx"));
        statuses.push(poster.answer().status);
    }
    let count = |status| statuses.iter().filter(|known| **known == status).count();
    assert_eq!((count(202), count(429), count(404)), (8, 392, 100));
    drop(poster);
    fixture.is_served();
    assert_eq!(fixture.server.hub.held_count(), 2);
    peer.fin();
    peer.read_to_end();
    fixture.ended_as(peer, "gone");
    fixture.close();
}

#[test]
fn four_flooders_of_each_kind_starve_no_other_client_on_one_thread() {
    const GOOD: usize = 3;
    const MESSAGES: usize = 30;
    let hooks = HookRecorder::default();
    let server = TcpTestServer::start_with(Server::new().state(hooks).mount(echo), 1);
    let (addr, done) = (server.addr, AtomicBool::new(false));
    let floods = [
        (Vec::new(), frame(0x81, b"x")),
        (Vec::new(), frame(0x89, b"x")),
        (Vec::new(), frame(0x8a, b"x")),
        (frame(0x01, b"x"), frame(0x00, b"x")),
        (frame(0x01, b"x"), frame(0x00, &[b'x'; 200])),
    ];
    let delivered: usize = scope(|scope| {
        for (first, flood) in floods.iter().flat_map(|flood| [flood; 4]) {
            let done = &done;
            scope.spawn(move || {
                let flood = flood.repeat(10_000);
                while !done.load(Relaxed) {
                    let mut peer = Peer::hold(addr, "/echo", Transport::WebSocket);
                    // It comes back whenever it is ended.
                    let _ = peer.takes(first);
                    while !done.load(Relaxed) && peer.takes(&flood) {}
                    peer.reset();
                }
            });
        }
        let good: Vec<_> = (0..GOOD)
            .map(|_| {
                scope.spawn(|| {
                    let mut peer = Peer::hold(addr, "/echo", Transport::WebSocket);
                    let said = |_: &usize| {
                        peer.send(frame(0x81, b"hello"));
                        peer.frame().is_some_and(|echo| echo.payload == b"hello")
                    };
                    (0..MESSAGES).take_while(said).count()
                })
            })
            .collect();
        let delivered = good.into_iter().map(|good| good.join().unwrap_or(0)).sum();
        done.store(true, Relaxed);
        delivered
    });
    assert_eq!(delivered, GOOD * MESSAGES);
    server.until_quiet();
    assert!(server.hub.stats().ended("flood") > 0);
}
