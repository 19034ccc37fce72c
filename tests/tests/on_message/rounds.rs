//! A thousand peers that send five messages each and leave, on each transport that can send; and the same with axum's
//! WebSocket in the same process.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use abeyance::Transport;
use abeyance_tests::net::{Peer, TcpTestServer, frame};
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::routing::get;

use super::application::{self, HookLog, all_handled};

const ROUNDS: usize = 1000;
const THREADS: usize = 10;
const MESSAGES: usize = 5;

/// Runs a round for each name, ten at a time.
fn play(round: impl Fn(&str) + Sync) {
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let round = &round;
            scope.spawn(move || {
                for number in 0..ROUNDS / THREADS {
                    round(&format!("{thread}-{number}"));
                }
            });
        }
    });
}

/// Fails unless every message was handled to its end.
#[track_caller]
fn assert_all_handled(server: &TcpTestServer, hooks: &HookLog, end: &str) {
    server.until_quiet();
    let wanted = all_handled(MESSAGES, end);
    let mut wrong = Vec::new();
    let mut heard = 0;
    for thread in 0..THREADS {
        for number in 0..ROUNDS / THREADS {
            let name = format!("{thread}-{number}");
            let lines = hooks.whole(&name);
            heard += lines.iter().filter(|line| line.starts_with("done ")).count();
            if lines != wanted {
                wrong.push(lines);
            }
        }
    }
    let (count, of) = (wrong.len(), ROUNDS * MESSAGES);
    assert!(
        wrong.is_empty(),
        "{heard} of {of} messages handled; {count} rounds went wrong, such as {:?}",
        wrong[0]
    );
    assert_eq!(heard, of);
}

fn messages() -> impl Iterator<Item = Vec<u8>> {
    (0..MESSAGES).map(|number| frame(0x81, number.to_string().as_bytes()))
}

const GOODBYE: &[u8] = b"\x03\xe8";

/// Closes our side, and reads to the end of the connection.
fn leave(mut peer: Peer) {
    peer.fin();
    peer.read_to_end();
}

#[test]
fn five_messages_a_close_and_a_fin() {
    let hooks = HookLog::default();
    let server = TcpTestServer::start(application::server(&hooks));
    play(|name| {
        let mut peer = Peer::hold(server.addr, &format!("/hold/{name}"), Transport::WebSocket);
        messages().for_each(|message| peer.send(message));
        peer.send(frame(0x88, GOODBYE));
        leave(peer);
    });
    assert_all_handled(&server, &hooks, "closed");
}

#[test]
fn five_messages_and_a_fin() {
    let hooks = HookLog::default();
    let server = TcpTestServer::start(application::server(&hooks));
    play(|name| {
        let mut peer = Peer::hold(server.addr, &format!("/hold/{name}"), Transport::WebSocket);
        messages().for_each(|message| peer.send(message));
        leave(peer);
    });
    assert_all_handled(&server, &hooks, "gone");
}

/// A request for an upgrade, and all frames, without waiting for the answer.
fn at_once(name: &str) -> Vec<u8> {
    let mut bytes = format!(
        "GET /hold/{name} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes();
    messages().for_each(|message| bytes.extend(message));
    bytes.extend(frame(0x88, GOODBYE));
    bytes
}

#[test]
fn five_messages_and_a_close_in_one_segment_with_the_request() {
    let hooks = HookLog::default();
    let server = TcpTestServer::start(application::server(&hooks));
    play(|name| {
        let mut peer = Peer::connect(server.addr);
        peer.send(at_once(name));
        peer.begin(Transport::WebSocket);
        leave(peer);
    });
    assert_all_handled(&server, &hooks, "closed");
}

#[test]
fn a_fin_right_behind_the_request_and_five_messages_has_all_of_them_handled_or_nothing_held() {
    let hooks = HookLog::default();
    let server = TcpTestServer::start(application::server(&hooks));
    play(|name| {
        let mut peer = Peer::connect(server.addr);
        peer.send(at_once(name));
        leave(peer);
    });
    server.until_quiet();
    let wanted = all_handled(MESSAGES, "closed");
    for thread in 0..THREADS {
        for number in 0..ROUNDS / THREADS {
            let name = format!("{thread}-{number}");
            // A hold counts as ended when its connection is finished; its hooks may go on.
            let is_held = !hooks.of(&name).is_empty();
            assert!(!is_held || hooks.whole(&name) == wanted, "{:?}", hooks.of(&name));
        }
    }
}

#[test]
fn five_messages_of_three_fragments_each_byte_in_a_segment_of_its_own() {
    let hooks = HookLog::default();
    let server = TcpTestServer::start(application::server(&hooks));
    play(|name| {
        let mut peer = Peer::hold(server.addr, &format!("/hold/{name}"), Transport::WebSocket).nodelay();
        for number in 0..MESSAGES {
            let text = number.to_string();
            for part in [frame(0x01, b""), frame(0x00, text.as_bytes()), frame(0x89, b""), frame(0x80, b"")] {
                part.iter().for_each(|byte| peer.send([*byte]));
            }
        }
        leave(peer);
    });
    assert_all_handled(&server, &hooks, "gone");
}

#[test]
fn five_messages_close_and_a_socket_that_is_closed_at_once() {
    let hooks = HookLog::default();
    let server = TcpTestServer::start(application::server(&hooks));
    play(|name| {
        let mut peer = Peer::hold(server.addr, &format!("/hold/{name}"), Transport::WebSocket);
        let mut bytes: Vec<_> = messages().flatten().collect();
        bytes.extend(frame(0x88, GOODBYE));
        peer.send(bytes);
        // What the server writes from here on is answered by an RST.
    });
    assert_all_handled(&server, &hooks, "closed");
}

/// Sends five `POST`s on a second connection, and then calls `leave` with both connections.
fn post(server: SocketAddr, name: &str, transport: Transport, leave: impl FnOnce(Peer, &mut Peer, &str)) {
    let mut peer = Peer::connect(server);
    let path = format!("/hold/{name}");
    peer.ask(&path, transport);
    let head = peer.head();
    let token = head.header("abeyance-hold").expect("a token").to_owned();
    let mut speaker = Peer::connect(server);
    for number in 0..MESSAGES {
        let text = number.to_string();
        speaker.send(format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nAbeyance-Hold: {token}\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        ));
        assert_eq!(speaker.answer().status, 202);
    }
    let goodbye = format!("DELETE {path} HTTP/1.1\r\nHost: test\r\nAbeyance-Hold: {token}\r\n\r\n");
    leave(peer, &mut speaker, &goodbye);
}

#[test]
fn five_posts_and_a_delete() {
    for transport in [Transport::Sse, Transport::Stream] {
        let hooks = HookLog::default();
        let server = TcpTestServer::start(application::server(&hooks));
        play(|name| {
            post(server.addr, name, transport, |mut peer, speaker, goodbye| {
                speaker.send(goodbye);
                assert!(speaker.answer().status < 300);
                peer.read_to_end();
            });
        });
        assert_all_handled(&server, &hooks, "closed");
    }
}

#[test]
fn five_posts_and_a_fin() {
    for transport in [Transport::Sse, Transport::Stream] {
        let hooks = HookLog::default();
        let server = TcpTestServer::start(application::server(&hooks));
        play(|name| post(server.addr, name, transport, |peer, _, _| leave(peer)));
        assert_all_handled(&server, &hooks, "gone");
    }
}

/// The same application on axum.
async fn beside(
    Path(name): Path<String>,
    State(hooks): State<HookLog>,
    upgrade: WebSocketUpgrade,
) -> axum::response::Response {
    let hear = async move |mut socket: WebSocket| {
        while let Some(Ok(Message::Text(text))) = socket.recv().await {
            tokio::time::sleep(Duration::from_millis(3)).await;
            hooks.write(&name, format!("done {text}"));
        }
        hooks.write(&name, "end".to_owned());
    };
    upgrade.on_upgrade(hear)
}

#[test]
fn axum_beside_it_handles_the_same() {
    let (hooks, axums) = (HookLog::default(), HookLog::default());
    let router = axum::Router::new().route("/axum/{name}", get(beside)).with_state(axums.clone());
    let server = TcpTestServer::start(application::server(&hooks).fallback(router));
    play(|name| {
        for endpoint in ["hold", "axum"] {
            let mut peer = Peer::hold(server.addr, &format!("/{endpoint}/{name}"), Transport::WebSocket);
            messages().for_each(|message| peer.send(message));
            peer.send(frame(0x88, GOODBYE));
            leave(peer);
        }
    });
    assert_all_handled(&server, &hooks, "closed");
    for thread in 0..THREADS {
        for number in 0..ROUNDS / THREADS {
            let name = format!("{thread}-{number}");
            axums.wait(&name, "end");
            assert_eq!(axums.of(&name), ["done 0", "done 1", "done 2", "done 3", "done 4", "end"]);
        }
    }
}
