//! Third-party clients, and invalid input: a clear answer, the right cause, and nothing left.

#![allow(clippy::unwrap_used, reason = "helpers of tests, which fail by panicking")]

use std::net::TcpStream;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use abeyance::extract::State;
use abeyance::{
    Disconnect, End, Ended, Held, Lifecycle, Message, Resume, Server, Suspend, Transport, suspend,
};
use abeyance_tests::net::{
    Child, HookRecorder, Peer, RecordingContext, TRANSPORTS, TcpTestServer, curl, descriptors, eventually,
    found, frame, skipped, unmasked,
};
use axum::{Router, routing::get};
use tokio_tungstenite::tungstenite::{self, protocol::frame::coding::CloseCode};

/// Sends every message back.
struct Echo(RecordingContext);

#[suspend(path = "/echo", timeout = "30m", max_idle = "1h", heartbeat = "none", max_message = "1KiB")]
async fn echo(State(hooks): State<HookRecorder>) -> Suspend<Echo> {
    let echo = Echo(hooks.context());
    Suspend::with(echo).join("echo").drive(|_| async move { hooks.driver_started() })
}

#[suspend(path = "/now", transports = [long_poll], timeout = "100ms", heartbeat = "none")]
async fn now(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    Suspend::with(hooks.context())
}

impl Lifecycle for Echo {
    async fn on_suspend(&mut self, held: &Held) {
        self.0.on_suspend(held).await;
    }

    async fn on_message(&mut self, held: &Held, message: Message) {
        let _ = held.send(message.clone());
        self.0.on_message(held, message).await;
    }

    async fn on_end(self, ended: &Ended, end: End) {
        self.0.on_end(ended, end).await;
    }
}

/// A server, and what the process had open before it was asked anything.
struct Fixture {
    server: TcpTestServer,
    hooks: HookRecorder,
    descriptors: usize,
    /// The tests count the descriptors of their process, so they run one after the other.
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

impl Fixture {
    fn open() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let hooks = HookRecorder::default();
        let router = Router::new().route("/plain", get(async || "plain"));
        let server =
            TcpTestServer::start(Server::new().state(hooks.clone()).mount(echo).mount(now).fallback(router));
        Fixture { descriptors: descriptors(), server, hooks, _alone: alone }
    }

    /// Fails unless one end hook ran for each hold, and every socket is closed.
    fn close(self) {
        self.server.until_all_ended(&self.hooks);
        eventually("all descriptors", || descriptors() <= self.descriptors);
        let drained = self.server.stop();
        assert_eq!((drained.holds_cut, drained.connections_cut), (0, 0));
    }

    fn url(&self, path: &str) -> String {
        self.server.url(path)
    }

    /// The only end so far is this one.
    #[track_caller]
    fn ended_as(&self, cause: &str) {
        self.hooks.wait("an end", |calls| (!calls.ends.is_empty()).then_some(()));
        let causes =
            self.hooks.read(|calls| calls.ends.iter().map(|(end, _)| end.as_str()).collect::<Vec<_>>());
        assert_eq!(causes, [cause]);
    }

    /// Publishes when so many are held, and lets all go.
    fn publish_and_release(&self, held: usize, message: Message) {
        self.server.until_held(held);
        self.hooks.wait("the drivers", |calls| (calls.drivers == held).then_some(()));
        assert_eq!(self.server.hub.publish("echo", message), held);
        self.server.hub.list().iter().for_each(|hold| assert!(self.server.hub.resume(hold.id)));
    }
}

/// What curl wrote.
fn beside(fixture: &Fixture, arguments: &[&str], message: Message) -> String {
    let output = std::thread::scope(|scope| {
        let curl = scope.spawn(|| curl(arguments));
        fixture.publish_and_release(1, message);
        curl.join().expect("curl's thread")
    });
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn curl_follows_server_sent_events_to_their_end() {
    for version in ["--http1.1", "--http1.0"] {
        let fixture = Fixture::open();
        let url = fixture.url("/echo?transport=sse");
        let said = beside(&fixture, &["-N", version, &url], Message::from("one\ntwo").named("word"));
        assert!(said.starts_with("event: hold\n"), "{said}");
        assert!(said.contains("event: word\ndata: one\ndata: two\n\n"), "{said}");
        assert!(said.ends_with("event: resumed\ndata: released\n\n"), "{said}");
        fixture.close();
    }
}

#[test]
fn curl_follows_a_stream_to_its_end() {
    for version in ["--http1.1", "--http1.0"] {
        let fixture = Fixture::open();
        let url = fixture.url("/echo?transport=stream");
        let said = beside(&fixture, &["-N", version, "-D", "-", &url], Message::from("a \"b\""));
        assert!(said.to_lowercase().contains("content-type: application/x-ndjson\r\n"), "{said}");
        assert_eq!(said.contains("chunked"), version == "--http1.1", "{said}");
        assert!(said.ends_with("\r\n\r\n\"a \\\"b\\\"\"\n"), "{said:?}");
        fixture.close();
    }
}

#[test]
fn curl_polls() {
    let told = "%{http_code} %{content_type}";
    let messages = [
        (Message::from("hello"), "hello200 text/plain"),
        (Message::json(&[1, 2]).unwrap(), "[1,2]200 application/json"),
        (Message::from(b"\x01\x02"), "\x01\x02200 application/octet-stream"),
    ];
    for version in ["--http1.1", "--http1.0"] {
        for (message, expected) in messages.clone() {
            let fixture = Fixture::open();
            let url = fixture.url("/echo?transport=long_poll");
            let output = std::thread::scope(|scope| {
                let curl = scope.spawn(|| curl(&[version, "-w", told, &url]));
                fixture.server.until_held(1);
                eventually("the poll to be open", || fixture.hooks.read(|calls| calls.suspended.len() == 1));
                assert_eq!(fixture.server.hub.publish("echo", message), 1);
                curl.join().expect("curl's thread")
            });
            let said = String::from_utf8(output.stdout).expect("text");
            assert!(said.starts_with(expected), "{said:?}");
            fixture.ended_as("answered");
            fixture.close();
        }
        let fixture = Fixture::open();
        let output = curl(&[version, "-w", "%{http_code}", &fixture.url("/now")]);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "204");
        fixture.ended_as("timeout");
        fixture.close();
    }
}

#[test]
fn curl_keeps_one_connection_over_plain_answers_and_long_polls() {
    let fixture = Fixture::open();
    let (plain, poll) = (fixture.url("/plain"), fixture.url("/now"));
    let output = curl(&["-w", "[%{http_code} %{num_connects}]", &plain, &poll, &plain, &poll, &plain]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, "plain[200 1][204 0]plain[200 0][204 0]plain[200 0]");
    fixture.close();
}

#[test]
fn curl_asks_for_the_head_only_and_is_told_that_this_is_not_allowed() {
    let fixture = Fixture::open();
    let output = curl(&["-I", &fixture.url("/echo?transport=sse"), "-w", "%{http_code}"]);
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("405"), "{output:?}");
    assert_eq!(fixture.server.hub.stats().suspended, 0);
    fixture.close();
}

#[test]
fn tungstenite_talks_and_closes() {
    let fixture = Fixture::open();
    let stream = TcpStream::connect(fixture.server.addr).unwrap();
    let url = format!("ws://{}/echo", fixture.server.addr);
    let (mut socket, answer) = tungstenite::client(url, stream).unwrap();
    assert_eq!(answer.status(), 101);
    for message in [tungstenite::Message::text("höre"), tungstenite::Message::binary(vec![0, 255, 7])] {
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.read().unwrap(), message);
    }
    socket.send(tungstenite::Message::Ping("are you there".into())).unwrap();
    assert_eq!(socket.read().unwrap(), tungstenite::Message::Pong("are you there".into()));
    let goodbye = tungstenite::protocol::CloseFrame { code: CloseCode::Library(4001), reason: "bye".into() };
    socket.close(Some(goodbye)).unwrap();
    while socket.read().is_ok() {}
    let (end, _) = fixture.hooks.wait("an end", |calls| calls.ends.first().cloned());
    let End::Disconnect(Disconnect::Closed { code, reason, .. }) = end else { panic!("{end:?}") };
    assert_eq!((code, &*reason), (Some(4001), "bye"));
    drop(socket);
    fixture.close();
}

#[test]
fn tungstenite_is_told_that_it_was_released() {
    let fixture = Fixture::open();
    let stream = TcpStream::connect(fixture.server.addr).unwrap();
    let (mut socket, _) = tungstenite::client(format!("ws://{}/echo", fixture.server.addr), stream).unwrap();
    fixture.publish_and_release(1, Message::from("x".repeat(70_000)));
    assert_eq!(socket.read().unwrap().len(), 70_000);
    let tungstenite::Message::Close(Some(close)) = socket.read().unwrap() else { panic!("no close") };
    assert_eq!((close.code, close.reason.as_str()), (CloseCode::Normal, "released"));
    while socket.read().is_ok() {}
    drop(socket);
    fixture.ended_as("released");
    fixture.close();
}

#[test]
fn a_script_of_python_follows_events_and_speaks_by_post() {
    if !found("python3", "--version") {
        return skipped("python3 is not installed");
    }
    let script = "import http.client, sys\n\
        host = sys.argv[1]\n\
        events = http.client.HTTPConnection(host, timeout=60)\n\
        events.request('GET', '/echo', headers={'Accept': 'text/event-stream'})\n\
        answer = events.getresponse()\n\
        token = answer.headers['Abeyance-Hold']\n\
        assert answer.readline() == b'event: hold\\n'\n\
        while answer.readline() != b'\\n': pass\n\
        speak = http.client.HTTPConnection(host, timeout=60)\n\
        speak.request('POST', '/echo', 'from python', {'Abeyance-Hold': token})\n\
        accepted = speak.getresponse(); accepted.read()\n\
        assert accepted.status == 202, accepted.status\n\
        assert answer.readline() == b'data: from python\\n'\n\
        speak.request('POST', '/echo', 'x' * 1025, {'Abeyance-Hold': token})\n\
        refused = speak.getresponse(); refused.read()\n\
        assert refused.status == 413, refused.status\n\
        speak = http.client.HTTPConnection(host, timeout=60)\n\
        speak.request('DELETE', '/echo?hold=' + token)\n\
        assert speak.getresponse().status == 204\n\
        try:\n\
        \x20 answer.read()\n\
        \x20 assert False, 'a client that closed gets no ending'\n\
        except http.client.IncompleteRead as cut:\n\
        \x20 assert cut.partial == b'\\n', cut.partial\n";
    let fixture = Fixture::open();
    let mut command = Command::new("python3");
    command.args(["-c", script, &fixture.server.addr.to_string()]);
    let (status, said) = Child::start(&mut command).exit();
    assert!(status.success(), "{said}");
    fixture.ended_as("closed");
    fixture.close();
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let fixture = Fixture::open();
    let mut peer = Peer::connect(fixture.server.addr);
    peer.try_send(format!("GET /echo HTTP/1.1\r\nHost: test\r\nX-Large: {}\r\n\r\n", "x".repeat(64 * 1024)));
    assert_eq!(peer.head().status, 431);
    peer.read_to_end();
    drop(peer);
    assert_eq!(fixture.server.hub.stats().suspended, 0);
    fixture.close();
}

#[test]
fn a_handshake_that_is_none_is_told_what_is_missing() {
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    let bad = [
        (format!("{upgrade}{key}Sec-WebSocket-Version: 8\r\n"), 426, "13"),
        (format!("{upgrade}{key}"), 426, "13"),
        (format!("{upgrade}{version}"), 400, "Sec-WebSocket-Key"),
        (format!("{upgrade}{version}Sec-WebSocket-Key: c2hvcnQ=\r\n"), 400, "Sec-WebSocket-Key"),
        (format!("{upgrade}{version}{key}{key}"), 400, "Sec-WebSocket-Key"),
        (format!("{version}{key}"), 426, "Upgrade"),
    ];
    let fixture = Fixture::open();
    for (headers, status, hint) in bad {
        let mut peer = Peer::connect(fixture.server.addr);
        peer.send(format!("GET /echo HTTP/1.1\r\nHost: test\r\n{headers}\r\n"));
        let answer = peer.answer();
        assert_eq!(answer.status, status, "{headers:?}");
        assert!(answer.text().contains(hint), "{headers:?}: {:?}", answer.text());
        if status == 426 {
            assert_eq!(answer.header("sec-websocket-version"), Some("13"), "{headers:?}");
        }
    }
    assert_eq!(fixture.server.hub.stats().suspended, 0);
    fixture.close();
}

#[test]
fn frames_that_are_none_are_told_what_is_wrong_with_them() {
    let bad: [(&str, Vec<u8>, u16, &str); 12] = [
        ("a message that is too large", frame(0x82, &[0; 1025]), 1009, "too_large"),
        (
            "a length that is too large",
            vec![0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0],
            1009,
            "too_large",
        ),
        (
            "fragments that are too large",
            [frame(0x02, &[0; 1000]), frame(0x80, &[0; 1000])].concat(),
            1009,
            "too_large",
        ),
        ("text that is no UTF-8", frame(0x81, b"\xff\xfe"), 1007, "violation"),
        ("text that ends in the middle", frame(0x81, b"\xe2\x82"), 1007, "violation"),
        ("an unmasked frame", unmasked(0x81, b"hello"), 1002, "violation"),
        ("an unknown opcode", frame(0x83, b"hello"), 1002, "violation"),
        ("a reserved bit", frame(0xc1, b"hello"), 1002, "violation"),
        ("a ping in parts", frame(0x09, b"hello"), 1002, "violation"),
        ("a ping that is too long", frame(0x89, &[0; 126]), 1002, "violation"),
        ("the end of nothing", frame(0x80, b"hello"), 1002, "violation"),
        ("a code that must not be sent", frame(0x88, b"\x03\xed"), 1002, "violation"),
    ];
    for (what, bytes, code, cause) in bad {
        let fixture = Fixture::open();
        let mut peer = Peer::hold(fixture.server.addr, "/echo", Transport::WebSocket);
        peer.try_send(bytes);
        let close = peer.frame().unwrap_or_else(|| panic!("{what}: no close"));
        assert_eq!(close.close().map(|(code, _)| code), Some(code), "{what}");
        assert_eq!(peer.read_to_end(), (Vec::new(), true), "{what}: then the server closes");
        drop(peer);
        fixture.ended_as(cause);
        assert!(fixture.hooks.read(|calls| calls.messages.is_empty()), "{what} is no message");
        fixture.close();
    }
}

#[test]
fn unexpected_bytes_are_bounded() {
    for (transport, status) in
        [(Transport::Sse, None), (Transport::Stream, None), (Transport::LongPoll, Some(400))]
    {
        let fixture = Fixture::open();
        let mut peer = Peer::hold(fixture.server.addr, "/echo", transport);
        fixture.server.until_held(1);
        peer.try_send(vec![b'x'; 256 * 1024]);
        match status {
            Some(status) => assert_eq!(peer.answer().status, status),
            None => assert!(!peer.read_to_end().0.ends_with(b"0\r\n\r\n"), "{transport:?}: cut"),
        }
        drop(peer);
        fixture.ended_as("violation");
        fixture.close();
    }
}

#[test]
fn a_post_that_is_too_large_is_refused_and_the_hold_stays() {
    let fixture = Fixture::open();
    let mut peer = Peer::connect(fixture.server.addr);
    peer.ask("/echo", Transport::Stream);
    let token = peer.head().header("abeyance-hold").unwrap().to_owned();
    let status = |url: &str, body: &str| {
        let output = curl(&["-d", body, url, "-o", "/dev/null", "-w", "%{http_code}"]);
        String::from_utf8(output.stdout).expect("text")
    };
    let url = fixture.url(&format!("/echo?hold={token}"));
    assert_eq!(status(&url, &"x".repeat(1025)), "413");
    assert_eq!(status(&url, &"x".repeat(1024)), "202");
    assert_eq!(status(&fixture.url("/echo?hold=other"), "x"), "404");
    peer.read_until(b"\n");
    assert_eq!(fixture.hooks.read(|calls| calls.messages.len()), 1);
    assert_eq!(fixture.server.hub.held_count(), 1);
    peer.fin();
    fixture.ended_as("gone");
    drop(peer);
    fixture.close();
}

#[test]
fn every_transport_is_left_without_a_trace() {
    let fixture = Fixture::open();
    let mut peers: Vec<_> =
        TRANSPORTS.into_iter().map(|transport| Peer::hold(fixture.server.addr, "/echo", transport)).collect();
    fixture.server.until_held(4);
    fixture.server.hub.list().iter().for_each(|hold| assert!(fixture.server.hub.resume(hold.id)));
    for peer in &mut peers {
        peer.fin();
        assert!(peer.read_to_end().1, "a FIN, and no reset");
    }
    drop(peers);
    fixture.server.until_quiet();
    fixture.hooks.wait("four ends", |calls| (calls.ends.len() == 4).then_some(()));
    let delivered = fixture.hooks.read(|calls| {
        calls.ends.iter().all(|(end, ended)| *end == End::Resume(Resume::Released) && ended.is_delivered())
    });
    assert!(delivered, "{:?}", fixture.hooks.read(|calls| calls.ends.clone()));
    fixture.close();
}
