//! Socket activation: a service manager listens and hands the socket over, so a restart refuses no connection. The test is
//! the manager.
#![allow(clippy::unwrap_used, reason = "helpers of tests, which fail by panicking")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use abeyance::Transport;
use abeyance_tests::net::{Child, Peer, TEST_TIMEOUT, eventually};
use socket2::{Domain, Socket, Type};
use tokio::time::Instant;

/// The command of a server with this as its descriptor 3.
fn command(socket: impl Into<OwnedFd>, variables: &str) -> Command {
    let mut command = Command::new("sh");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ABEYANCE_")) {
        command.env_remove(name);
    }
    let script = format!("{variables} exec \"$0\" 3<&0 </dev/null");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_server_process")]).stdin(socket.into());
    command
}

/// Starts a server on a copy of the manager's socket, and waits until it says so.
fn start_server(socket: &TcpListener, variables: &[(&str, &str)]) -> Child {
    let mut command = command(socket.try_clone().unwrap(), "LISTEN_FDS=1 LISTEN_PID=$$");
    let mut child = Child::start_with(command.envs(variables.iter().copied()));
    let expected = format!(
        "abeyance: listening on http://{} (the service manager's socket)",
        socket.local_addr().unwrap()
    );
    child.wait_for_line(|line| (line.trim() == expected).then_some(()));
    child
}

fn socket() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

/// One request on a connection of its own: its status. `None` if the client was too slow to expect an answer.
fn ask(addr: SocketAddr, pause: Duration) -> Option<u16> {
    let mut stream = TcpStream::connect(addr).expect("no connection is refused");
    stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    let begun = Instant::now();
    std::thread::park_timeout(pause);
    let sent = stream.write_all(b"GET /nothing HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    // The server may close a connection that sends nothing for a second.
    let is_prompt = begun.elapsed() < Duration::from_millis(500);
    let mut said = String::new();
    let read = stream.read_to_string(&mut said);
    if !is_prompt && said.is_empty() {
        return None;
    }
    assert!(sent.is_ok() && read.is_ok(), "{sent:?}, {read:?} after {said:?}");
    Some(said.get(9..12).unwrap_or_else(|| panic!("no answer: {said:?}")).parse().unwrap())
}

#[test]
fn a_restart_refuses_no_connection() {
    let (socket, addr) = socket();
    let mut server = start_server(&socket, &[]);
    let (answered, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    // Given back, so that it lives until the last answer is read.
    let _server = std::thread::scope(|scope| {
        // Some let the server wait for their request.
        for pause in [0, 0, 5, 20, 20] {
            let (answered, stop) = (&answered, &stop);
            scope.spawn(move || {
                while !stop.load(Relaxed) {
                    if let Some(status) = ask(addr, Duration::from_millis(pause)) {
                        assert_eq!(status, 404);
                        answered.fetch_add(1, Relaxed);
                    }
                }
            });
        }
        let busy = |count| {
            let before = answered.load(Relaxed);
            eventually("answers", || answered.load(Relaxed) >= before + count);
        };
        for _ in 0..5 {
            busy(100);
            server.signal("TERM");
            let (status, said) = server.exit();
            assert_eq!(status.code(), Some(0), "{said}");
            server = start_server(&socket, &[]);
        }
        busy(100);
        stop.store(true, Relaxed);
        server
    });
}

#[test]
fn a_server_that_drains_leaves_newcomers_to_the_next() {
    let (socket, addr) = socket();
    let old = start_server(&socket, &[("ABEYANCE_CLOSE_TIMEOUT", "10m"), ("ABEYANCE_DRAIN", "20m")]);
    let mut held = Peer::hold(addr, "/hold", Transport::WebSocket);
    old.signal("TERM");
    // It does not close its side, so the old server waits for it.
    assert!(held.frame().is_some_and(|frame| frame.close().is_some()));
    let mut newcomer = Peer::connect(addr);
    newcomer.ask("/hold", Transport::Sse);
    let new = start_server(&socket, &[]);
    newcomer.begin(Transport::Sse);
    drop(held);
    assert_eq!(old.exit().0.code(), Some(0));
    new.signal("TERM");
    let (said, is_fin) = newcomer.read_to_end();
    assert!(is_fin && String::from_utf8_lossy(&said).contains("data: drained"), "{said:?}");
    drop(newcomer);
    assert_eq!(new.exit().0.code(), Some(0));
}

#[test]
fn a_connection_made_just_before_a_restart_is_answered_and_told_to_close() {
    let (socket, addr) = socket();
    let server = start_server(&socket, &[]);
    let mut before = Peer::connect(addr);
    let mut peer = Peer::connect(addr);
    // Connections are accepted in their order: when the second is answered, so is the first.
    let mut third = Peer::connect(addr);
    third.send("GET /nothing HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(third.answer().status, 404);
    server.signal("TERM");
    // It waits between two requests, so it is closed as soon as the server stops.
    assert_eq!(third.read_to_end(), (Vec::new(), true));
    peer.ask("/hold", Transport::LongPoll);
    before.send("GET /nothing HTTP/1.1\r\nHost: test\r\n\r\n");
    for (peer, status) in [(&mut peer, 503), (&mut before, 404)] {
        let answer = peer.answer();
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{answer:?}");
    }
    drop((peer, before, third));
    assert_eq!(server.exit().0.code(), Some(0));
}

#[test]
fn what_is_no_listening_socket_is_a_start_error_that_says_so() {
    let (socket, addr) = socket();
    let connected = TcpStream::connect(addr).unwrap();
    let told = "error: LISTEN_FDS: expected one TCP socket that listens, found";
    let one = "LISTEN_FDS=1 LISTEN_PID=$$";
    let bound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    bound.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let cases: [(OwnedFd, _, _); 6] = [
        (UdpSocket::bind("127.0.0.1:0").unwrap().into(), one, "another: fd 3 is not a valid tcp socket"),
        (std::fs::File::open("/dev/null").unwrap().into(), one, "another: fd 3 is not a socket"),
        (connected.into(), one, "one that does not (as with `Accept=yes`)"),
        (bound.into(), one, "one that does not"),
        (socket.try_clone().unwrap().into(), "LISTEN_FDS=2 LISTEN_PID=$$", "2 descriptors"),
        (socket.into(), "LISTEN_FDS=one LISTEN_PID=$$", "\"one\""),
    ];
    for (handed, variables, why) in cases {
        let (status, said) = Child::start_with(&mut command(handed, variables)).exit();
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("{told} {why}")), "{said}");
    }
}

#[test]
fn what_is_meant_for_another_process_is_left_alone() {
    let (socket, addr) = socket();
    let mut child = Child::start_with(&mut command(socket, "LISTEN_FDS=1 LISTEN_PID=1"));
    let said = child.wait_for_line(|line| Some(line.trim().to_owned()));
    let own: SocketAddr = said.strip_prefix("abeyance: listening on http://").unwrap().parse().unwrap();
    assert_ne!(own, addr);
}
