//! The main entry as a process: it reports, serves, and stops by signals.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, ExitCode, Stdio};

use abeyance::{Body, Server};

/// Set in the child.
const CHILD: &str = "TEST_OF_THE_MAIN_ENTRY";

/// What the child runs: as `#[abeyance::main]` would.
fn child(listen: &'static str) -> ExitCode {
    let settings = abeyance::__private::Main {
        listen: Some(listen),
        max_suspended: None,
        max_per_peer: None,
        when_full: None,
        drain: None,
    };
    abeyance::__private::main(
        || async {
            let pages = |request: http::Request<Body>| async move {
                if request.uri().path() == "/never" {
                    eprintln!("never");
                    std::future::pending::<()>().await;
                }
                Ok::<_, std::convert::Infallible>(http::Response::new(Body::from("hello")))
            };
            Server::new().fallback(Pages(pages))
        },
        settings,
    )
}

#[derive(Clone)]
struct Pages<F>(F);

impl<F, R, E> tower_service::Service<http::Request<Body>> for Pages<F>
where
    F: Fn(http::Request<Body>) -> R,
    R: Future<Output = Result<http::Response<Body>, E>>,
{
    type Response = http::Response<Body>;
    type Error = E;
    type Future = R;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), E>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> R {
        (self.0)(request)
    }
}

/// Not a test: the process that the tests start.
#[test]
#[ignore = "is started by the other tests"]
fn process() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    std::process::exit(if child("127.0.0.1:0") == ExitCode::SUCCESS { 0 } else { 1 });
}

struct Process {
    child: Child,
    stderr: BufReader<ChildStderr>,
    addr: String,
}

fn spawn(variables: &[(&str, &str)]) -> (Child, BufReader<ChildStderr>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process", "--ignored", "--nocapture"])
        .env(CHILD, "1")
        .envs(variables.iter().copied())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    (child, stderr)
}

fn start(variables: &[(&str, &str)]) -> Process {
    let (child, mut stderr) = spawn(variables);
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let addr = line.trim().strip_prefix("abeyance: listening on http://").expect(&line).to_owned();
    Process { child, stderr, addr }
}

impl Process {
    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    fn hear(&mut self, word: &str) {
        let mut line = String::new();
        while !line.contains(word) {
            line.clear();
            assert_ne!(self.stderr.read_line(&mut line).unwrap(), 0);
        }
    }

    fn ended(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

#[test]
fn it_reports_serves_and_stops_in_good_order() {
    let mut server = start(&[("ABEYANCE_MAX_BUFFERED", "512MiB"), ("ABEYANCE_MAX_TOPICS", "9")]);
    server.hear("max_topics=9");
    server.hear("memory: max_buffered=512MiB");
    let mut peer = TcpStream::connect(&server.addr).unwrap();
    peer.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
    let mut said = String::new();
    peer.read_to_string(&mut said).unwrap();
    assert!(said.ends_with("hello"), "{said}");
    drop(peer);
    server.signal("TERM");
    let (code, said) = server.ended();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("SIGTERM: stopping"), "{said}");
    assert!(said.contains("cut 0 holds, 0 connections"), "{said}");
}

#[test]
fn a_second_signal_stops_at_once() {
    let mut server = start(&[("ABEYANCE_DRAIN", "1h")]);
    let mut peer = TcpStream::connect(&server.addr).unwrap();
    peer.write_all(b"GET /never HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    server.hear("never");
    server.signal("INT");
    server.hear("stopping");
    server.signal("TERM");
    let (code, said) = server.ended();
    assert_eq!(code, Some(1), "the child folds every failure into 1: {said}");
    assert!(said.contains("SIGTERM again: stopped at once"), "{said}");
}

#[test]
fn what_is_wrong_is_told_and_ends_the_process() {
    let (mut child, mut stderr) = spawn(&[("ABEYANCE_DRAIN", "10"), ("ABEYANCE_DRIAN", "10s")]);
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(said.contains("error: ABEYANCE_DRAIN=\"10\""), "{said}");
    assert!(said.contains("error: ABEYANCE_DRIAN=\"10s\""), "{said}");
}
