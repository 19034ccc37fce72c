//! A whole process that is stopped, or whose threads are all blocked, for longer than `max_idle`: none of its peers is ended
//! for that, and who left meanwhile is noticed.
//!
//! These take real seconds, since a process cannot be stopped in paused time.

#![expect(clippy::disallowed_methods, reason = "real seconds pass, in a thread of the test's own")]

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{sleep, spawn};
use std::time::Duration;

use abeyance::Transport;
use abeyance_tests::net::{Child, Peer, TEST_TIMEOUT};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

fn start_server() -> (Child, SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stalling_server"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ABEYANCE_")) {
        command.env_remove(name);
    }
    let mut child = Child::start(command.env("TOKIO_WORKER_THREADS", "2"));
    let addr =
        child.wait_for_line(|line| line.trim().strip_prefix("abeyance: listening on http://")?.parse().ok());
    (child, addr)
}

fn until_held(child: &mut Child) {
    child.wait_for_line(|line| line.starts_with("held: ").then_some(()));
}

/// A WebSocket of tungstenite's in a thread of its own, which answers pings at any time.
struct Socket {
    say: Sender<&'static str>,
    heard: Receiver<String>,
}

impl Socket {
    fn open(child: &mut Child, addr: SocketAddr, path: &str) -> Self {
        let stream = TcpStream::connect(addr).expect("a connection");
        let url = format!("ws://{addr}{path}");
        let (mut socket, _) = client(url, stream).expect("a WebSocket");
        until_held(child);
        socket.get_ref().set_read_timeout(Some(Duration::from_millis(20))).expect("a socket");
        let ((say, said), (tell, heard)) = (channel(), channel());
        spawn(move || converse(&mut socket, &said, &tell));
        Socket { say, heard }
    }

    fn say(&self, what: &'static str) {
        self.say.send(what).expect("its thread");
    }
}

fn converse(socket: &mut WebSocket<TcpStream>, said: &Receiver<&'static str>, tell: &Sender<String>) {
    loop {
        if let Ok(text) = said.try_recv() {
            socket.send(Message::text(text)).expect("the server takes it");
        }
        match socket.read() {
            Ok(Message::Text(text)) => {
                if tell.send(text.to_string()).is_err() {
                    return;
                }
            }
            Ok(Message::Close(_)) => return,
            Ok(_) => {}
            Err(tokio_tungstenite::tungstenite::Error::Io(error))
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
    }
}

/// A curl that is held, and what it hears.
fn curl(child: &mut Child, addr: SocketAddr, path: &str, transport: Transport) -> Receiver<String> {
    let url = format!("http://{addr}{path}?transport={}", transport.as_str());
    let mut curl = Command::new("curl")
        .args(["--silent", "--no-buffer", "--max-time", "60", &url])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl");
    until_held(child);
    let (tell, heard) = channel();
    spawn(move || {
        for line in BufReader::new(curl.stdout.take().expect("a pipe")).split(b'\n').map_while(Result::ok) {
            let _ = tell.send(String::from_utf8_lossy(&line).into_owned());
        }
        let _ = curl.wait();
    });
    heard
}

/// One peer of each transport that must get what is published.
fn all_transports(child: &mut Child, addr: SocketAddr) -> Vec<(String, Receiver<String>)> {
    let mut heard = Vec::new();
    for path in ["/hold", "/beat"] {
        for transport in [Transport::Sse, Transport::Stream, Transport::LongPoll] {
            heard.push((format!("{transport:?} at {path}"), curl(child, addr, path, transport)));
        }
        heard.push((format!("WebSocket at {path}"), Socket::open(child, addr, path).heard));
    }
    heard
}

/// Publishes, and waits until all have heard it. Says what ended before.
fn assert_all_receive(
    child: &mut Child,
    speaker: &Socket,
    heard: Vec<(String, Receiver<String>)>,
) -> Vec<String> {
    speaker.say("news");
    let mut ends = Vec::new();
    child.wait_for_line(|line| {
        if line.starts_with("ended: ") && line.trim() != "ended: long_poll answered" {
            ends.push(line.trim().to_owned());
        }
        line.starts_with("published to ").then_some(())
    });
    for (who, heard) in heard {
        loop {
            match heard.recv_timeout(TEST_TIMEOUT) {
                Ok(line) if line.contains("news") => break,
                Ok(_) => {}
                Err(error) => panic!("{who}: {error}; ended: {ends:?}"),
            }
        }
    }
    ends
}

#[test]
fn a_process_that_was_stopped_for_twice_max_idle_ends_no_healthy_peer_and_notices_those_that_left() {
    let (mut child, addr) = start_server();
    let heard = all_transports(&mut child, addr);
    let speaker = Socket::open(&mut child, addr, "/hold");
    let waiting = Socket::open(&mut child, addr, "/hold");
    waiting.say("wait");
    child.wait_for_line(|line| line.starts_with("waiting").then_some(()));
    let leaving = Peer::hold(addr, "/hold", Transport::Sse);
    until_held(&mut child);
    let mut asking = Peer::connect(addr);
    asking.send("GET /hold?transport=stream HTTP/1.1\r\nHost: a\r\n");
    // A heartbeat or two.
    sleep(Duration::from_millis(1500));

    child.signal("STOP");
    sleep(Duration::from_secs(3));
    leaving.fin();
    sleep(Duration::from_secs(3));
    child.signal("CONT");

    // Long enough to end a hold wrongly.
    sleep(Duration::from_secs(2));
    asking.send("\r\n");
    assert_eq!(asking.head().status, 200, "the head had its time back");
    speaker.say("go on");
    let ends = assert_all_receive(&mut child, &speaker, heard);
    assert_eq!(ends, ["ended: sse gone"]);
    child.signal("KILL");
}

#[test]
fn a_runtime_whose_threads_are_all_blocked_for_longer_than_max_idle_ends_no_hold() {
    let (mut child, addr) = start_server();
    let heard = all_transports(&mut child, addr);
    let speaker = Socket::open(&mut child, addr, "/hold");
    let blocking: Vec<_> = (0..2).map(|_| Socket::open(&mut child, addr, "/hold")).collect();
    sleep(Duration::from_millis(1500));
    blocking.iter().for_each(|socket| socket.say("block"));
    for _ in &blocking {
        child.wait_for_line(|line| line.starts_with("blocked").then_some(()));
    }
    sleep(Duration::from_secs(1));
    assert_eq!(assert_all_receive(&mut child, &speaker, heard), [""; 0]);
    child.signal("KILL");
}

#[test]
fn a_hook_that_blocks_its_thread_keeps_no_other_hold_from_going_on() {
    let (mut child, addr) = start_server();
    let speaker = Socket::open(&mut child, addr, "/hold");
    let blocking = Socket::open(&mut child, addr, "/hold");
    let heard = all_transports(&mut child, addr);
    blocking.say("block");
    child.wait_for_line(|line| line.starts_with("blocking").then_some(()));
    let mut is_over = false;
    speaker.say("news");
    child.wait_for_line(|line| {
        is_over |= line.starts_with("blocked");
        line.starts_with("published to ").then_some(())
    });
    assert!(!is_over, "it was published while one thread was blocked");
    drop(heard);
    child.signal("KILL");
}
