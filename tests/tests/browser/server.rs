//! A server in this process, with an empty page to run scripts in and a record of how its holds ended.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use abeyance::extract::State;
use abeyance::{End, Ended, Held, Hub, Lifecycle, Message, Server, ServerHandle, Suspend, suspend};
use axum::Router;
use axum::response::Html;
use axum::routing::get;

/// Says how it ended.
pub(crate) struct Context(Sender<String>);

type Record = State<Sender<String>>;

/// Does what it is told.
#[suspend(path = "/hold", heartbeat = "1s", max_message = "1KiB")]
async fn hold(State(record): Record) -> Suspend<Context> {
    Suspend::with(Context(record)).join("all").protocol("v1")
}

#[suspend(path = "/brief", timeout = "300ms", heartbeat = "none")]
async fn brief(State(record): Record) -> Suspend<Context> {
    Suspend::with(Context(record))
}

/// One place, and the newcomer gets it.
#[suspend(path = "/evicting", max_suspended = 1, when_full = "resume_oldest")]
async fn evicting(State(record): Record) -> Suspend<Context> {
    Suspend::with(Context(record)).join("evicting")
}

/// One place, and who has it keeps it.
#[suspend(path = "/full", max_suspended = 1)]
async fn full(State(record): Record) -> Suspend<Context> {
    Suspend::with(Context(record)).join("full")
}

/// One for each user, and all are the same.
#[suspend(path = "/once", max_per_key = 1)]
async fn once(State(record): Record) -> Suspend<Context> {
    Suspend::with(Context(record)).key("ada")
}

impl Lifecycle for Context {
    async fn on_message(&mut self, held: &Held, message: Message) {
        match message.as_text() {
            Some("release") => _ = held.resume(),
            Some("kick") => _ = held.disconnect_with(4001, "out"),
            Some("object") => _ = held.disconnect("no such thing"),
            Some(text) => held.send(format!("heard {text}")).expect("one message"),
            None => held.send(message).expect("one message"),
        }
    }

    async fn on_end(self, ended: &Ended, end: End) {
        // The receiver is gone after a failed test.
        _ = self.0.send(format!("{} {}", ended.path(), end.as_str()));
    }
}

pub(crate) struct TestServer {
    runtime: tokio::runtime::Runtime,
    running: ServerHandle,
    ends: Receiver<String>,
    /// How many ends `next_end` has returned.
    ends_seen: Cell<u64>,
}

impl TestServer {
    pub(crate) fn start() -> Self {
        Self::start_with(|server| server)
    }

    /// With calls of these other origins allowed.
    pub(crate) fn start_to(origins: &[String]) -> Self {
        Self::start_with(|server| server.allowed_origins(origins))
    }

    /// With other settings.
    pub(crate) fn start_with(set_up: impl FnOnce(Server) -> Server) -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let (record, ends) = channel();
        let page = Router::new().route("/", get(async || Html("<!doctype html><title>empty</title>")));
        let server = Server::new()
            .mount(hold)
            .mount(brief)
            .mount(evicting)
            .mount(full)
            .mount(once)
            .state(record)
            .fallback(page);
        let running = runtime.block_on(set_up(server).bind("127.0.0.1:0")).expect("a server");
        TestServer { runtime, running, ends, ends_seen: Cell::new(0) }
    }

    pub(crate) fn hub(&self) -> Hub {
        self.running.hub()
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.running.local_addr()
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.running.local_addr())
    }

    /// What is answered to a request that says it is of a page of this origin.
    pub(crate) fn ask(&self, origin: &str) -> String {
        let address = self.running.local_addr();
        let mut peer = TcpStream::connect(address).expect("a server");
        write!(
            peer,
            "GET /hold HTTP/1.1\r\nHost: {address}\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n"
        )
        .expect("a request");
        let mut answer = String::new();
        peer.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// The next end: the path and the cause.
    pub(crate) fn next_end(&self) -> String {
        self.ends_seen.set(self.ends_seen.get() + 1);
        self.ends.recv_timeout(Duration::from_secs(30)).expect("an end")
    }

    /// Shuts the server down, and fails unless one end hook ran for each hold that there was.
    pub(crate) fn close(self) {
        let hub = self.hub();
        self.runtime.block_on(self.running.shutdown());
        let stats = hub.stats();
        assert_eq!((stats.held, stats.ending), (0, 0), "{stats:?}");
        let ends = self.ends_seen.get() + self.ends.try_iter().count() as u64;
        assert_eq!(ends, stats.suspended, "{stats:?}");
    }
}
