//! The server's contract: taking sockets back, deadlines, stopping.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Waker};
use std::time::Duration;

use axum_core::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::handle::Serving;
use super::service::{PendingHold, Service};
use crate::dispatch::fallback::arriving;
use crate::dispatch::{After, WaitState};
use crate::keeper::Keeper;
use crate::keeper::time::Time;
use crate::settings::ServerConfig;
use crate::socket::Socket;
use crate::socket::memory::{Dialer, MemoryAcceptor, MemoryStream};
use crate::socket::tcp::TcpAcceptor;
use abeyance_core::words::peer_io::PeerIo;
use abeyance_core::words::refusal_reason::RefusalReason;

mod audit;
mod deadlines;
mod make_room;
mod parsers;
mod per_peer;
mod size;
mod stopping;
mod take_back;
mod upgrade;

/// A service with pages, long polls and holds that echo.
#[derive(Default)]
struct TestService {
    server_config: ServerConfig,
    clock: Clock,
    fallback: Option<crate::dispatch::fallback::Fallback>,
    /// How each hold ended.
    ends: Arc<Mutex<Vec<&'static str>>>,
    held: Arc<Mutex<usize>>,
    drained: Arc<Notify>,
    /// Holds ignore the drain, and end when they are cut.
    ignores_drain: bool,
    cut: Arc<Notify>,
    /// How often `count_turned_away` still panics.
    panics_left: AtomicUsize,
    /// Sockets that are kept.
    kept: Arc<Mutex<Vec<Arc<dyn Socket>>>>,
}

/// Served time, once [`start`] has it kept.
struct Clock(Arc<Keeper>);

impl Default for Clock {
    fn default() -> Self {
        Clock(Keeper::new())
    }
}

struct TestHold {
    kind: HoldKind,
    kept: Arc<Mutex<Vec<Arc<dyn Socket>>>>,
    version: http::Version,
    ends: Arc<Mutex<Vec<&'static str>>>,
    held: Arc<Mutex<usize>>,
    drained: Arc<Notify>,
}

enum HoldKind {
    /// Answered at once, without hyper.
    Poll,
    /// Answered at once. Its socket is kept afterwards.
    Keep,
    /// Echoes until the peer's FIN.
    Echo,
}

impl Service for TestService {
    type PendingHold = TestHold;

    fn deny(&self, _: RefusalReason, _: SocketAddr) {}

    fn server_config(&self) -> &ServerConfig {
        &self.server_config
    }

    fn time(&self) -> &Time {
        self.clock.0.time()
    }

    async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        _peer: SocketAddr,
    ) -> Result<Response<Body>, TestHold> {
        let kind = match request.uri().path() {
            "/poll" => HoldKind::Poll,
            "/keep" => HoldKind::Keep,
            "/hold" => HoldKind::Echo,
            path @ ("/body" | "/body/later") => {
                let is_late = path == "/body/later";
                let wait_state = WaitState::of(request.extensions());
                let mut body =
                    arriving(request.into_body(), self.server_config.head_timeout, &self.clock.0, wait_state);
                if is_late {
                    // The body is waited for, and then not polled for a minute.
                    let waits = {
                        let mut cx = Context::from_waker(Waker::noop());
                        Pin::new(&mut body).poll_frame(&mut cx).is_pending()
                    };
                    assert!(waits);
                    tokio::time::sleep(seconds(60)).await;
                }
                return Ok(match body.collect().await {
                    Ok(body) => Response::new(Body::from(body.to_bytes())),
                    Err(error) => Response::new(Body::from(format!("failed: {error}"))),
                });
            }
            "/big" => return Ok(Response::new(Body::from(vec![b'x'; 8 << 20]))),
            "/never" => std::future::pending().await,
            path => {
                if let Some(fallback) = &self.fallback {
                    let wait_state = WaitState::of(request.extensions());
                    let request = request.map(|body| {
                        arriving(body, self.server_config.head_timeout, &self.clock.0, wait_state)
                    });
                    return Ok(fallback.call(request).await);
                }
                return Ok(Response::new(Body::from(path.to_owned())));
            }
        };
        tokio::task::yield_now().await;
        *self.held.lock() += 1;
        Err(TestHold {
            kind,
            kept: self.kept.clone(),
            version: request.version(),
            ends: self.ends.clone(),
            held: self.held.clone(),
            drained: if self.ignores_drain { self.cut.clone() } else { self.drained.clone() },
        })
    }

    fn held(&self) -> usize {
        *self.held.lock()
    }

    fn ending(&self) -> usize {
        0
    }

    fn hooks(&self) -> usize {
        0
    }

    fn count_turned_away(&self) {
        if self.panics_left.load(Relaxed) > 0 {
            self.panics_left.fetch_sub(1, Relaxed);
            panic!("on purpose");
        }
    }

    async fn drain(&self) {
        self.drained.notify_waiters();
    }

    async fn quiet(&self) {}

    fn stop(&self) {
        self.cut();
    }

    fn cut(&self) -> bool {
        self.cut.notify_waiters();
        self.drained.notify_waiters();
        false
    }
}

impl Drop for TestHold {
    fn drop(&mut self) {
        *self.held.lock() -= 1;
    }
}

impl PendingHold for TestHold {
    async fn attend(self, socket: &Arc<dyn Socket>, unread: Bytes) -> After {
        if let HoldKind::Keep = self.kind {
            let _ = socket.try_write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            socket.shut();
            self.kept.lock().push(socket.clone());
            return After::Close;
        }
        let after = self.stay(socket.clone(), unread).await;
        let end = if matches!(after, After::Close) { "closed" } else { "kept" };
        self.ends.lock().push(end);
        after
    }
}

impl TestHold {
    async fn stay(&self, socket: Arc<dyn PeerIo>, unread: Bytes) -> After {
        if let HoldKind::Poll = self.kind {
            let gone = socket.try_write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld").is_err();
            return if gone { After::Close } else { After::KeepAlive { unread } };
        }
        assert!(self.version >= http::Version::HTTP_10);
        let _ = socket.try_write(b"HTTP/1.1 200 OK\r\n\r\n");
        let _ = socket.try_write(&unread);
        let echo = async {
            let mut bytes = [0; 256];
            while let Ok(count @ 1..) = std::future::poll_fn(|cx| socket.poll_read(cx, &mut bytes)).await {
                if socket.try_write(&bytes[..count]).is_err() {
                    break;
                }
            }
        };
        tokio::select! { () = echo => {}, () = self.drained.notified() => {} }
        socket.shut();
        After::Close
    }
}

fn start(
    listener: impl crate::socket::Listener,
    service: TestService,
    capacity: usize,
) -> Serving<TestService> {
    tokio::spawn(service.clock.0.clone().keep_time());
    Serving::start(listener, Arc::new(service), capacity)
}

async fn over_tcp(service: TestService) -> (Serving<TestService>, TcpStream) {
    let listener = TcpAcceptor::new(TcpListener::bind("127.0.0.1:0").await.unwrap()).unwrap();
    let service = start(listener, service, 1000);
    let peer = TcpStream::connect(service.local_addr).await.unwrap();
    (service, peer)
}

fn in_memory(service: TestService) -> (Serving<TestService>, Dialer, MemoryStream) {
    let (service, dialer) = with_room_for(1000, service);
    let peer = dialer.connect(SocketAddr::from(([10, 0, 0, 1], 4000))).unwrap();
    (service, dialer, peer)
}

fn with_room_for(capacity: usize, service: TestService) -> (Serving<TestService>, Dialer) {
    let (listener, dialer) = MemoryAcceptor::new();
    (start(listener, service, capacity), dialer)
}

/// Reads one answer with a `Content-Length`: the status and the body.
async fn answer(peer: &mut (impl AsyncRead + Unpin)) -> (u16, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(peer.read_u8().await.expect("an answer"));
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).map(|n| n.parse().unwrap());
    let mut body = vec![0; length.unwrap_or(0)];
    peer.read_exact(&mut body).await.unwrap();
    (head[9..12].parse().unwrap(), String::from_utf8(body).unwrap())
}

async fn say(peer: &mut (impl AsyncWrite + Unpin), text: &str) {
    peer.write_all(text.as_bytes()).await.unwrap();
}

async fn ask(peer: &mut (impl AsyncRead + AsyncWrite + Unpin), path: &str) -> (u16, String) {
    say(peer, &format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")).await;
    answer(peer).await
}

async fn rest(peer: &mut (impl AsyncRead + Unpin)) -> String {
    let mut rest = String::new();
    peer.read_to_string(&mut rest).await.unwrap();
    rest
}

fn dial(dialer: &Dialer, last: u8) -> MemoryStream {
    dialer.connect(SocketAddr::from(([10, 0, 0, last], 1))).unwrap()
}

/// Lets all other tasks run until none has anything left to do.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Reads to the end: what came, and whether the end was a FIN.
async fn end(peer: &mut MemoryStream) -> (String, bool) {
    let mut said = Vec::new();
    let is_fin = peer.read_to_end(&mut said).await.is_ok();
    (String::from_utf8(said).unwrap(), is_fin)
}

fn limited(server_config: ServerConfig) -> TestService {
    TestService { server_config, ..TestService::default() }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
