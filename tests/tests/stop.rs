//! A whole process: how it stops, what the environment tells it, and what it does when it is short of something.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use abeyance::Transport;
use abeyance_tests::net::{Child, Peer, TEST_TIMEOUT, TRANSPORTS, eventually, found, skipped};
use tokio::time::Instant;

/// Starts the server with these variables; gives it and its address.
fn start_server(variables: &[(&str, &str)]) -> (Child, SocketAddr) {
    let mut child = Child::start(command().envs(variables.iter().copied()));
    let addr =
        child.wait_for_line(|line| line.trim().strip_prefix("abeyance: listening on http://")?.parse().ok());
    (child, addr)
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_server_process"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ABEYANCE_")) {
        command.env_remove(name);
    }
    command
}

/// Whether the limit is reached.
fn refused(addr: SocketAddr) -> bool {
    let mut peer = Peer::connect(addr);
    peer.ask("/hold", Transport::Stream);
    peer.head().status == 503
}

#[test]
fn a_start_error_names_the_variable_that_contradicts_what_is_written() {
    let heartbeat = [("ABEYANCE_HOLD_HEARTBEAT", "2h")];
    let (status, said) = Child::start(command().envs(heartbeat)).exit();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("`heartbeat` (2h) must be shorter than `max_idle` (1h)"), "{said}");
    assert!(said.contains("(with ABEYANCE_HOLD_HEARTBEAT from the environment)"), "{said}");
}

#[test]
fn a_signal_ends_every_hold_in_good_order_and_the_process_with_zero() {
    let (mut child, addr) = start_server(&[]);
    let mut peers: Vec<_> =
        TRANSPORTS.iter().map(|transport| (*transport, Peer::hold(addr, "/hold", *transport))).collect();
    for _ in TRANSPORTS {
        child.wait_for_line(|line| line.starts_with("held: ").then_some(()));
    }
    child.signal("TERM");
    for (transport, peer) in &mut peers {
        match transport {
            Transport::WebSocket => {
                let frame = peer.frame().expect("a close");
                let (code, reason) = frame.close().expect("a code");
                assert!(code == 1001 && reason.starts_with("drained; retry-after="), "{code} {reason}");
            }
            Transport::LongPoll => {
                let answer = peer.answer();
                assert!(answer.status == 503 && answer.header("retry-after").is_some(), "{answer:?}");
            }
            _ => {
                let (said, is_fin) = peer.read_to_end();
                let said = String::from_utf8_lossy(&said).into_owned();
                assert!(is_fin && said.ends_with("0\r\n\r\n"), "{said:?}");
                assert_eq!(said.contains("event: resumed\ndata: drained\n"), *transport == Transport::Sse);
            }
        }
    }
    assert!(TcpStream::connect(addr).is_err(), "nothing listens any more");
    drop(peers);
    let (status, said) = child.exit();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("SIGTERM: stopping") && said.contains("cut 0 holds, 0 connections"), "{said}");
}

#[test]
fn a_second_signal_stops_at_once() {
    // The peer does not close its side, so its ending takes as long as it may.
    let (child, addr) = start_server(&[("ABEYANCE_CLOSE_TIMEOUT", "10m"), ("ABEYANCE_DRAIN", "20m")]);
    let mut peer = Peer::hold(addr, "/hold", Transport::WebSocket);
    child.signal("TERM");
    assert!(peer.frame().is_some_and(|frame| frame.close().is_some()));
    child.signal("INT");
    let (status, said) = child.exit();
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.contains("SIGINT again: stopped at once; cut 0 holds, 1 connections"), "{said}");
}

#[test]
fn end_hooks_have_a_second_after_a_second_signal() {
    for (millis, hears) in [("300", true), ("60000", false)] {
        let (mut child, addr) = start_server(&[("TEST_HOOK_MILLIS", millis), ("ABEYANCE_DRAIN", "20m")]);
        // Many, so that few holds have had a turn when the second signal comes.
        let peers: Vec<_> =
            (0..200).map(|at| Peer::hold(addr, "/hold", TRANSPORTS[at % TRANSPORTS.len()])).collect();
        for _ in &peers {
            child.wait_for_line(|line| line.starts_with("held: ").then_some(()));
        }
        child.signal("TERM");
        child.wait_for_line(|line| line.contains("SIGTERM: stopping").then_some(()));
        child.signal("TERM");
        let (status, said) = child.exit();
        assert_eq!(status.code(), Some(143), "{said}");
        assert!(said.contains("SIGTERM again: stopped at once; cut "), "{said}");
        let ends = |cause: &str| said.lines().filter(|line| *line == cause).count();
        if hears {
            assert!(ends("ended: shutdown") > 0, "{said}");
            assert_eq!(ends("ended: shutdown") + ends("ended: drained"), peers.len(), "{said}");
        } else {
            assert!(said.contains("; 200 end hooks had not returned"), "{said}");
        }
    }
}

#[test]
fn what_runs_is_told_once_with_a_subscriber_and_without() {
    for (variables, of_all) in [(&[][..], "abeyance: listening on http://"), (&[("TEST_LOG", "1")], "INFO")] {
        let mut child = Child::start(command().envs(variables.iter().copied()));
        let mut said = String::new();
        child.wait_for_line(|line| {
            said += line;
            line.contains("drain=30s").then_some(())
        });
        child.signal("TERM");
        let (status, rest) = child.exit();
        said += &rest;
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(said.contains(of_all), "{said}");
        for once in ["listening", "/hold [", "timeouts: "] {
            assert_eq!(said.matches(once).count(), 1, "{once}: {said}");
        }
        assert_eq!(said.contains("no `tracing` subscriber"), variables.is_empty(), "{said}");
    }
}

#[test]
fn after_the_drain_the_process_cleans_up_and_ends_with_one_if_that_fails() {
    for (cleanup, code) in [("", 0), ("fail", 1)] {
        let (mut child, addr) = start_server(&[("TEST_CLEANUP", cleanup)]);
        let peers: Vec<_> =
            TRANSPORTS.iter().map(|transport| Peer::hold(addr, "/hold", *transport)).collect();
        for _ in TRANSPORTS {
            child.wait_for_line(|line| line.starts_with("held: ").then_some(()));
        }
        child.signal("TERM");
        child.wait_for_line(|line| line.contains("stopping").then_some(()));
        drop(peers);
        let (status, said) = child.exit();
        assert_eq!(status.code(), Some(code), "{said}");
        let (before, after) = said.split_once("cleaning up").expect(&said);
        assert!(before.matches("ended: ").count() == TRANSPORTS.len(), "{said}");
        assert!(after.contains("stopped after"), "{said}");
        assert_eq!(after.contains("what was to be done after the drain failed"), code == 1, "{said}");
    }
}

#[test]
fn a_second_signal_gives_the_clean_up_one_more_second() {
    let (mut child, _) = start_server(&[("TEST_CLEANUP", "hang")]);
    child.signal("TERM");
    child.wait_for_line(|line| line.contains("cleaning up").then_some(()));
    child.signal("INT");
    let (status, said) = child.exit();
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.contains("what was to be done after the drain failed"), "{said}");
}

#[test]
fn what_does_not_end_in_time_is_cut() {
    let (child, addr) = start_server(&[("ABEYANCE_CLOSE_TIMEOUT", "10m"), ("ABEYANCE_DRAIN", "200ms")]);
    let mut peer = Peer::hold(addr, "/hold", Transport::WebSocket);
    child.signal("TERM");
    assert!(peer.frame().is_some_and(|frame| frame.close().is_some()));
    let (status, said) = child.exit();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("cut 0 holds, 1 connections"), "{said}");
}

#[test]
fn the_environment_stands_before_the_code() {
    let (_child, addr) =
        start_server(&[("ABEYANCE_HOLD_MAX_SUSPENDED", "1"), ("ABEYANCE_HOLD_TRANSPORTS", "stream,sse")]);
    let _held = Peer::hold(addr, "/hold", Transport::Sse);
    assert!(refused(addr));
    let mut peer = Peer::connect(addr);
    peer.ask("/hold", Transport::LongPoll);
    assert_eq!(peer.answer().status, 406);
}

#[test]
fn a_bad_variable_is_a_start_error_that_names_it() {
    let bad = [
        ("ABEYANCE_DRAIN", "soon"),
        ("ABEYANCE_DRAYN", "5s"),
        ("ABEYANCE_HOLD_MAX_IDLE", "5 minutes"),
        ("ABEYANCE_LISTEN", "nowhere"),
    ];
    for (name, value) in bad {
        let (status, said) = Child::start(command().env(name, value)).exit();
        assert_eq!(status.code(), Some(1), "{name}: {said}");
        assert!(said.contains(name) || (name == "ABEYANCE_LISTEN" && said.contains(value)), "{name}: {said}");
    }
    // All at once.
    let (_, said) = Child::start(command().envs(bad)).exit();
    assert!(bad[..3].iter().all(|(name, _)| said.contains(name)), "{said}");
}

#[test]
fn a_server_without_descriptors_waits_and_serves_again() {
    if !found("prlimit", "--version") {
        return skipped("prlimit is not installed");
    }
    let (child, addr) = start_server(&[]);
    let pid = child.id().to_string();
    let limit = |files: &str| {
        let status = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={files}:")]).status();
        assert!(status.unwrap().success());
    };
    let open = || std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    limit(&(open() + 8).to_string());
    // More than it has descriptors for; the kernel completes these connections by itself.
    let full = open() + 8;
    let crowd: Vec<_> = (0..32).map(|_| Peer::connect(addr)).collect();
    eventually("the last descriptor to be taken", || open() >= full);
    let (before, begun) = (child.ticks(), Instant::now());
    // A window to look at, not a wait for something.
    eventually("a second", || begun.elapsed() >= Duration::from_secs(1));
    let used = child.ticks() - before;
    assert!(used < 50, "it spins: {used} of 100 ticks");
    limit("1024");
    drop(crowd);
    let mut peer = Peer::hold(addr, "/hold", Transport::WebSocket);
    child.signal("TERM");
    assert!(peer.frame().is_some_and(|frame| frame.close().is_some()), "it serves again");
    drop(peer);
    assert_eq!(child.exit().0.code(), Some(0));
}

#[test]
fn a_client_that_says_nothing_or_hardly_anything_is_cut_at_the_head_deadline() {
    let (_child, addr) = start_server(&[("ABEYANCE_HEAD_TIMEOUT", "300ms")]);
    let mut silent = Peer::connect(addr);
    let (said, _) = silent.read_to_end();
    assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 408"), "{said:?}");

    let mut slow = TcpStream::connect(addr).unwrap();
    slow.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    slow.set_nodelay(true).unwrap();
    let begun = Instant::now();
    slow.write_all(b"GET /hold HTTP/1.1\r\nHost: test\r\nX-Slow: ").unwrap();
    let mut answer = Vec::new();
    loop {
        assert!(begun.elapsed() < TEST_TIMEOUT, "a byte now and then keeps a connection open");
        let _ = slow.write_all(b"x");
        let mut part = [0; 1024];
        match slow.read(&mut part) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&part[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{answer:?}");
}

#[test]
fn as_many_may_wait_to_be_accepted_as_the_machine_allows() {
    if !found("ss", "-V") {
        return skipped("no ss");
    }
    let (_server, address) = start_server(&[]);
    let port = format!("sport = :{}", address.port());
    let output = Command::new("ss").args(["-ltnH", &port]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    // State, how many wait, how many may.
    let most: u32 = text.split_whitespace().nth(2).unwrap().parse().unwrap();
    let allowed = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    assert_eq!(most, allowed.trim().parse::<u32>().unwrap().min(4096));
}
