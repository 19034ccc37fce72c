//! A server in this process, with an empty page to run scripts in and a record of how its holds ended.

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
pub(crate) struct Guest(Sender<String>);

type Record = State<Sender<String>>;

/// Does what it is told.
#[suspend(path = "/guest", heartbeat = "1s", max_message = "1KiB")]
async fn guest(State(record): Record) -> Suspend<Guest> {
    Suspend::with(Guest(record)).join("guests").protocol("v1")
}

#[suspend(path = "/brief", timeout = "300ms", heartbeat = "none")]
async fn brief(State(record): Record) -> Suspend<Guest> {
    Suspend::with(Guest(record))
}

/// One place, and the newcomer gets it.
#[suspend(path = "/throne", max_suspended = 1, when_full = "resume_oldest")]
async fn throne(State(record): Record) -> Suspend<Guest> {
    Suspend::with(Guest(record)).join("throne")
}

/// One place, and who has it keeps it.
#[suspend(path = "/bench", max_suspended = 1)]
async fn bench(State(record): Record) -> Suspend<Guest> {
    Suspend::with(Guest(record)).join("bench")
}

/// One for each user, and all are the same.
#[suspend(path = "/once", max_per_key = 1)]
async fn once(State(record): Record) -> Suspend<Guest> {
    Suspend::with(Guest(record)).key("ada")
}

impl Lifecycle for Guest {
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
        // Nobody listens any more after a failed test.
        _ = self.0.send(format!("{} {}", ended.path(), end.as_str()));
    }
}

pub(crate) struct TestServer {
    runtime: tokio::runtime::Runtime,
    running: ServerHandle,
    ends: Receiver<String>,
}

impl TestServer {
    pub(crate) fn open() -> Self {
        Self::open_with(|server| server)
    }

    /// With pages of these other origins allowed.
    pub(crate) fn open_to(origins: &[String]) -> Self {
        Self::open_with(|server| server.allowed_origins(origins))
    }

    /// With other settings.
    pub(crate) fn open_with(set_up: impl FnOnce(Server) -> Server) -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let (record, ends) = channel();
        let page = Router::new().route("/", get(async || Html("<!doctype html><title>empty</title>")));
        let server = Server::new()
            .mount(guest)
            .mount(brief)
            .mount(throne)
            .mount(bench)
            .mount(once)
            .state(record)
            .fallback(page);
        let running = runtime.block_on(set_up(server).bind("127.0.0.1:0")).expect("a server");
        TestServer { runtime, running, ends }
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
            "GET /guest HTTP/1.1\r\nHost: {address}\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n"
        )
        .expect("a request");
        let mut answer = String::new();
        peer.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// The next end: the path and the cause.
    pub(crate) fn next_end(&self) -> String {
        self.ends.recv_timeout(Duration::from_secs(30)).expect("an end")
    }

    /// Stops, and says whether every hold was accounted for.
    pub(crate) fn close(self) {
        let hub = self.hub();
        self.runtime.block_on(self.running.shutdown());
        let stats = hub.stats();
        assert!(stats.is_lawful() && stats.held == 0 && stats.ending == 0, "{stats:?}");
    }
}
