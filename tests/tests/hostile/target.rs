//! The server under attack: endpoints and routes of every kind, well-behaved clients, and the kernel's count of the
//! server's connections.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use abeyance::extract::State;
use abeyance::{Server, Suspend, Transport, suspend};
use abeyance_tests::net::{HookRecorder, Peer, RecordingContext, TcpTestServer, eventually};
use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::routing::{get, post};
use socket2::{Domain, Socket, Type};

#[suspend(path = "/hold", heartbeat = "none", max_idle = "1h", timeout = "30m")]
async fn hold(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    Suspend::with(hooks.context()).join("all")
}

/// Answered soon, so that its connection is HTTP again.
#[suspend(path = "/poll", transports = [long_poll], heartbeat = "none", timeout = "50ms", max_idle = "1h")]
async fn poll(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    Suspend::with(hooks.context())
}

/// A server under attack.
pub(crate) struct Target {
    pub(crate) server: TcpTestServer,
    pub(crate) hooks: HookRecorder,
    /// How many requests came for `/marker`, which no request should reach, or for `/never`, which does not answer.
    pub(crate) marked: Arc<AtomicUsize>,
}

impl Target {
    pub(crate) fn start(more: impl FnOnce(Server) -> Server) -> Self {
        let (hooks, marked) = (HookRecorder::default(), Arc::new(AtomicUsize::new(0)));
        let count = marked.clone();
        let marker = move || async move {
            count.fetch_add(1, SeqCst);
            "marked"
        };
        let count = marked.clone();
        let never = move |_: String| async move {
            count.fetch_add(1, SeqCst);
            std::future::pending::<()>().await;
        };
        let socket = |upgrade: WebSocketUpgrade| async {
            upgrade.on_upgrade(|mut socket| async move { while socket.recv().await.is_some() {} })
        };
        let router = Router::new()
            .route("/never", post(never))
            .route("/large", get(|| async { vec![b'x'; 8 << 20] }))
            .route("/socket", get(socket))
            .route("/plain", get(|| async { "plain" }))
            .route("/echo", post(|body: String| async { body }))
            .route("/marker", get(marker));
        let server = Server::new().state(hooks.clone()).mount(hold).mount(poll).fallback(router);
        let server = server.head_timeout(Duration::from_secs(1)).close_timeout(Duration::from_millis(300));
        Target { server: TcpTestServer::start(more(server)), hooks, marked }
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.server.addr
    }

    /// How often the marker was reached.
    pub(crate) fn marks(&self) -> usize {
        self.marked.load(SeqCst)
    }

    /// Connects a well-behaved client, which must be answered.
    #[track_caller]
    pub(crate) fn answers(&self, from: u8) -> Peer {
        let mut peer = connect_from(from, self.local_addr());
        peer.send("GET /plain HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(peer.answer().text(), "plain");
        peer
    }

    /// Connects a well-behaved client, which must be answered and held; then it leaves.
    #[track_caller]
    pub(crate) fn serves(&self, from: u8) {
        let mut peer = self.answers(from);
        peer.ask("/poll", Transport::LongPoll);
        assert_eq!(peer.answer().status, 204);
    }

    /// Waits until the server has no connection and no hold left; fails unless one end hook ran for each hold.
    #[track_caller]
    pub(crate) fn until_empty(&self) {
        eventually("the last connection to be closed", || self.connections() == 0);
        self.server.until_all_ended(&self.hooks);
    }

    /// How many connections of the server have a descriptor, by the kernel's table.
    pub(crate) fn connections(&self) -> usize {
        self.count(|_| true)
    }

    /// The same of those that come from 127.0.0.`from`.
    pub(crate) fn connections_from(&self, from: u8) -> usize {
        let address = format!("{from:02X}00007F:");
        self.count(|peer| peer.starts_with(&address))
    }

    fn count(&self, is_meant: impl Fn(&str) -> bool) -> usize {
        const LISTENING: &str = "0A";
        let port = format!(":{:04X}", self.local_addr().port());
        let sockets = std::fs::read_to_string("/proc/net/tcp").expect("procfs");
        let is_open = |line: &&str| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let [_, local, peer, state, .., inode] = fields[..fields.len().min(10)] else { return false };
            local.ends_with(&port) && state != LISTENING && inode != "0" && is_meant(peer)
        };
        sockets.lines().filter(is_open).count()
    }
}

/// Connects from 127.0.0.`from`. Limits for each peer count addresses.
#[track_caller]
pub(crate) fn connect_from(from: u8, server: SocketAddr) -> Peer {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let from = SocketAddr::from((Ipv4Addr::new(127, 0, 0, from), 0));
    socket.bind(&from.into()).expect("an address of this machine");
    socket.connect(&server.into()).expect("a connection");
    Peer::over(socket.into())
}

/// The status of the first answer in what came, if one did.
pub(crate) fn status(said: &[u8]) -> Option<u16> {
    let text = String::from_utf8_lossy(said);
    text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}
