//! From the first byte of a request to its answer or its hold, under hyper; and the one owner of deadlines there.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use parking_lot::Mutex;
use tokio::select;

use super::connections::Connections;
use super::http_io::{Answer, HttpIo, SharedHttpState};
use super::http_state::{HttpState, LAST_HEAD, Step};
use super::idle_slot::{Asset, IdleSlot, Parser};
use super::plain_answer::plain_answer;
use super::request_framing::Follows;
use super::service::Service;
use crate::dispatch::{Deadline, WaitObserver, WaitState};
use crate::socket::Socket;
use abeyance_core::words::refusal_reason::RefusalReason;
use abeyance_core::words::tick::Tick;

/// A request that is to be held, taken from hyper.
pub(super) struct Taken<P> {
    pub(super) pending: P,
    /// The bytes that were read after the request.
    pub(super) unread: Bytes,
    /// The connection may be used again after the hold.
    pub(super) is_reusable: bool,
}

/// How hyper was left.
pub(super) enum HttpOutcome<H: Service> {
    /// A request is to be held.
    Hold(Taken<H::PendingHold>),
    /// All requests are answered. This was read of the next one.
    Rest(Bytes),
    /// There will be no further request.
    End(HttpEnd<H>),
}

/// How the HTTP of a connection ends.
pub(super) enum HttpEnd<H: Service> {
    /// All that the server has to say is written.
    Over,
    /// The peer takes nothing.
    Cut,
    /// Another connection gets its parser, without which this one cannot go on.
    MakeWay,
    /// The connection is the application's now (a WebSocket of the fallback).
    Upgraded(SharedHttpState<H>),
}

/// One connection under hyper.
pub(super) struct Exchange<H: Service> {
    connections: Arc<Connections<H>>,
    socket: Arc<dyn Socket>,
    slot: Arc<IdleSlot<H>>,
    state: SharedHttpState<H>,
    head_due: Tick,
}

impl<H: Service> Exchange<H> {
    pub(super) fn new(
        connections: Arc<Connections<H>>,
        socket: Arc<dyn Socket>,
        slot: Arc<IdleSlot<H>>,
        head_due: Tick,
    ) -> Self {
        let state = Arc::new(Mutex::new(HttpState::new(head_due)));
        Exchange { connections, socket, slot, state, head_due }
    }

    /// Drives hyper until a request is to be held, the connection rests, or it is over. The parser is given back at the
    /// end: with hyper's buffers, and before an upgraded connection lives on.
    pub(super) async fn drive(self, peer: SocketAddr, unread: Bytes, _parser: Parser<H>) -> HttpOutcome<H> {
        let Exchange { connections, socket, slot, state, head_due } = self;
        let io = HttpIo {
            socket: socket.clone(),
            unread,
            state: state.clone(),
            connections: connections.clone(),
            slot: slot.clone(),
        };
        let responder = Responder {
            connections: connections.clone(),
            slot: slot.clone(),
            state: state.clone(),
            wait_observer: Arc::<IdleSlot<H>>::downgrade(&slot),
            peer,
        };
        let service = service_fn(move |request| responder.respond(request));
        let time = connections.service.time();
        // A longer head is answered with 431.
        let mut connection = http1::Builder::new()
            .max_buf_size(connections.service.server_config().max_head)
            .serve_connection(io, service)
            .with_upgrades();
        let mut watch = Watch::new(&connections, &slot, &state, Deadline::at(head_due, time));
        let step = loop {
            select! {
                biased;
                () = connections.stop.cancelled(), if watch.stopping.is_none() => {
                    watch.stopping = Some(time.mark().plus(LAST_HEAD));
                    // An answer that is under way says `Connection: close`. While a head arrives, hyper would close at
                    // once.
                    if !state.lock().is_arriving() {
                        std::pin::Pin::new(&mut connection).graceful_shutdown();
                    }
                }
                // The request that has begun is given up.
                () = slot.asked_amid_request(Asset::Parser) => break Some(Step::MakeWay),
                ended = &mut connection => {
                    // hyper has answered it: with `400` or `431`.
                    if ended.is_err_and(|error| error.is_parse()) {
                        connections.service.deny(RefusalReason::Malformed, peer);
                    }
                    break None;
                }
                step = poll_fn(|cx| watch.poll_step(cx)) => break Some(step),
            }
        };
        conclude(&connections, &socket, state, peer, step, connection)
    }
}

/// The owner of deadlines: each time that hyper waits, it decides what is next.
struct Watch<'a, H: Service> {
    connections: &'a Connections<H>,
    slot: &'a IdleSlot<H>,
    state: &'a SharedHttpState<H>,
    timer: Deadline,
    /// The server stops: no head may take longer than until then.
    stopping: Option<Tick>,
    has_parsed: bool,
}

impl<'a, H: Service> Watch<'a, H> {
    fn new(
        connections: &'a Connections<H>,
        slot: &'a IdleSlot<H>,
        state: &'a SharedHttpState<H>,
        timer: Deadline,
    ) -> Self {
        Watch { connections, slot, state, timer, stopping: None, has_parsed: false }
    }

    /// Ready when there is something to do other than to wait.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if !mem::replace(&mut self.has_parsed, true) {
            self.slot.parsed();
        }
        if self.slot.poll_asked(Asset::Parser, cx).is_ready() {
            return Poll::Ready(if self.state.lock().rests() { Step::Rest } else { Step::MakeWay });
        }
        let (time, server_config) =
            (self.connections.service.time(), self.connections.service.server_config());
        loop {
            let step = self.state.lock().step(time.served(), self.stopping, server_config);
            match step {
                Step::Wait(None) => return Poll::Pending,
                Step::Wait(Some(due)) => {
                    // Re-armed when it must be earlier or has fired, so hardly ever.
                    if due < self.timer.due() || self.timer.is_over() {
                        self.timer.reset(due, time);
                    }
                }
                step => return Poll::Ready(step),
            }
            if self.timer.poll(time, cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

/// Answers the requests that hyper reads.
struct Responder<H: Service> {
    connections: Arc<Connections<H>>,
    slot: Arc<IdleSlot<H>>,
    state: SharedHttpState<H>,
    wait_observer: Weak<dyn WaitObserver>,
    peer: SocketAddr,
}

impl<H: Service> Responder<H> {
    fn respond(
        &self,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Answer<H>>, Infallible>> + use<H> {
        self.slot.begin();
        self.state.lock().head_read(follows(&request), is_lasting(&request));
        let is_connect = request.method() == Method::CONNECT;
        request.extensions_mut().insert(WaitState::new(self.wait_observer.clone()));
        let answer = self.connections.service.clone().handle(request, self.peer);
        let (connections, slot, state) = (self.connections.clone(), self.slot.clone(), self.state.clone());
        async move {
            let mut response = match answer.await {
                Ok(response) => response,
                Err(to_be_held) => {
                    state.lock().held(to_be_held);
                    // The socket is taken back from under this future.
                    pending().await
                }
            };
            slot.answer();
            let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS
                || is_connect && response.status().is_success();
            let is_last = connections.stop.is_cancelled() || state.lock().is_body_due();
            if is_upgrade {
                state.lock().upgraded();
            } else if is_last && !says_close(response.headers()) {
                response.headers_mut().append(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| Answer::new(body, state, connections.service.clone())))
        }
    }
}

/// Ends hyper, and tells how it was left. `step` is `None` where hyper ended by itself.
fn conclude<H, S>(
    connections: &Connections<H>,
    socket: &Arc<dyn Socket>,
    state: SharedHttpState<H>,
    peer: SocketAddr,
    step: Option<Step>,
    connection: http1::UpgradeableConnection<HttpIo<H>, S>,
) -> HttpOutcome<H>
where
    H: Service,
    S: hyper::service::HttpService<Incoming, ResBody = Answer<H>>,
    S::Error: Into<crate::endpoint::BoxError>,
{
    let to_be_held = state.lock().pending();
    if let Some((pending, is_lasting)) = to_be_held {
        // It is held in any case: its function has returned `Ok`, so its end must be reported.
        let is_sound = step == Some(Step::Hold);
        if !is_sound {
            // Something of an earlier answer is stuck in hyper, or the peer has left: no byte may follow.
            socket.cut();
        }
        let unread = take_back(connection);
        return HttpOutcome::Hold(Taken { pending, unread, is_reusable: is_lasting && is_sound });
    }
    let refuse = |status, reason| {
        connections.service.deny(reason, peer);
        // Nothing else is under way, so the kernel has room for it, unless the peer does not read anyway.
        let _ = socket.try_write(plain_answer(status, None, "").as_bytes());
        HttpEnd::Over
    };
    HttpOutcome::End(match step {
        Some(Step::Rest) => {
            // hyper was given no byte of the next request. What it has not used is of a body that was not read.
            let parts = connection.into_parts();
            let unread = parts.map(|mut parts| mem::take(&mut parts.io.unread));
            return HttpOutcome::Rest(unread.unwrap_or_default());
        }
        Some(Step::Cut) => HttpEnd::Cut,
        Some(Step::MakeWay) => HttpEnd::MakeWay,
        Some(Step::Late) => refuse(StatusCode::REQUEST_TIMEOUT, RefusalReason::HeadLate),
        Some(Step::Malformed) => refuse(StatusCode::BAD_REQUEST, RefusalReason::Malformed),
        Some(Step::Close | Step::Hold | Step::Wait(_)) => HttpEnd::Over,
        None => {
            drop(connection);
            let is_released = state.lock().released;
            if is_released { HttpEnd::Over } else { HttpEnd::Upgraded(state) }
        }
    })
}

/// What hyper has read and not used, copied: hyper's buffer is large, and a slice of it would keep it.
fn take_back<H, S>(connection: http1::UpgradeableConnection<HttpIo<H>, S>) -> Bytes
where
    H: Service,
    S: hyper::service::HttpService<Incoming, ResBody = Answer<H>>,
    S::Error: Into<crate::endpoint::BoxError>,
{
    match connection.into_parts() {
        Some(parts) if parts.io.unread.is_empty() && parts.read_buf.is_empty() => Bytes::new(),
        Some(parts) => [&*parts.read_buf, &*parts.io.unread].concat().into(),
        None => Bytes::new(),
    }
}

/// What follows the head of a request, as hyper reads it.
fn follows(request: &Request<Incoming>) -> Follows {
    match request.body().size_hint().exact() {
        _ if request.headers().contains_key(header::TRANSFER_ENCODING) => Follows::Chunks,
        Some(0) | None => Follows::Nothing,
        Some(length) => Follows::Length(length),
    }
}

/// Whether the connection may be used again after this request. After a hold hyper is not there to know.
fn is_lasting(request: &Request<Incoming>) -> bool {
    request.version() == Version::HTTP_11 && !says_close(request.headers())
}

fn says_close(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONNECTION).iter().any(|value| {
        let mut words = value.as_bytes().split(|byte| *byte == b',');
        words.any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"))
    })
}
