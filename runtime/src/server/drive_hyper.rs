//! From the first byte of a request to its answer or its hold, under hyper; and the one owner of deadlines there.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::Poll;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use parking_lot::Mutex;

use super::connections::{ConnectionGuard, Connections};
use super::http_io::{Answer, HttpIo, SharedHttpState};
use super::http_state::{HttpState, LAST_HEAD, REST, Step};
use super::idle_slot::{Asset, For, IdleSlot, Parser};
use super::linger::{linger, released};
use super::plain_answer::word;
use super::request_framing::Follows;
use super::service::Service;
use crate::dispatch::{Deadline, WaitObserver, WaitState, probing_unheld};
use crate::socket::Socket;
use abeyance_core::words::refusal_reason::RefusalReason;
use abeyance_core::words::tick::Tick;

/// How a connection comes to be read for a request.
pub(super) enum HttpOutcome {
    /// It was just accepted.
    First,
    /// It comes back from a hold, with what was read and not used.
    Return(Bytes),
    /// It comes back from a hold, and cannot be used again.
    Leave,
}

/// A request that is to be held.
pub(super) struct HttpTurn<H: Service> {
    pub(super) pending: H::PendingHold,
    /// What was read behind the request.
    pub(super) unread: Bytes,
    /// The connection may be used again after the hold.
    pub(super) lasting: bool,
    pub(super) guard: ConnectionGuard<H>,
    pub(super) line: Arc<dyn Socket>,
}

/// What is known of such a request before the connection is handed over.
struct Taken<G> {
    pending: G,
    unread: Bytes,
    lasting: bool,
}

/// Answers requests until one is to be held, or until the connection is over (`None`). One that was just accepted has its
/// `place`; one that comes back from a hold gets a new one.
pub(super) async fn next_hold<H: Service>(
    guard: ConnectionGuard<H>,
    line: Arc<dyn Socket>,
    slot: Option<Arc<IdleSlot<H>>>,
    visit: HttpOutcome,
) -> Option<HttpTurn<H>> {
    let connections = guard.connections.clone();
    let peer = line.peer().ok()?;
    let slot = slot.unwrap_or_else(|| IdleSlot::back(&connections, peer));
    let taken = {
        let mut halt = pin!(connections.halt.cancelled());
        let mut answering = pin!(answer(&connections, &line, &slot, peer, visit));
        poll_fn(|cx| {
            // Who was asked to leave looks first at what its peer has sent meanwhile: with a whole request it stays. But
            // what has begun is not carried on.
            let must_leave = slot.poll_asked(Asset::Place, cx).is_ready() && !slot.is_between_requests();
            if !must_leave && let Poll::Ready(taken) = answering.as_mut().poll(cx) {
                return Poll::Ready(taken);
            }
            if slot.poll_asked(Asset::Place, cx).is_ready() {
                slot.make_way(&line);
                return Poll::Ready(None);
            }
            halt.as_mut().poll(cx).map(|()| {
                // Not a FIN, which could pass for the end of an answer that is not whole.
                line.cut();
                None
            })
        })
        .await
    };
    match taken {
        Some(Taken { pending, unread, lasting }) => {
            slot.leave();
            Some(HttpTurn { pending, unread, lasting, guard, line })
        }
        None => {
            // In this order: whoever waits for the place gets the descriptor, too.
            drop(line);
            drop(guard);
            slot.leave();
            None
        }
    }
}

async fn answer<H: Service>(
    connections: &Arc<Connections<H>>,
    line: &Arc<dyn Socket>,
    slot: &Arc<IdleSlot<H>>,
    peer: SocketAddr,
    visit: HttpOutcome,
) -> Option<Taken<H::PendingHold>> {
    let server_config = connections.service.server_config();
    // Also where a hold had it otherwise. Of an upgraded connection nothing else would notice that its peer vanished.
    line.probe(probing_unheld(server_config.write_timeout));
    let time = connections.service.time();
    let accepted = time.mark();
    // Whoever has just come has not come for nothing, though the server stops: its request is on its way.
    let mut grace = accepted;
    let (mut head_due, mut first_due, mut unread) = match visit {
        HttpOutcome::First => {
            grace = grace.plus(LAST_HEAD);
            (
                Some(accepted.plus(server_config.head_timeout)),
                accepted.plus(server_config.head_timeout),
                Bytes::new(),
            )
        }
        HttpOutcome::Return(unread) => (None, accepted.plus(server_config.keep_alive), unread),
        HttpOutcome::Leave => {
            linger(line, accepted.plus(server_config.close_timeout), time).await;
            return None;
        }
    };
    loop {
        if unread.is_empty() {
            unread = first_bytes(connections, line, first_due, grace).await?;
        }
        slot.come();
        // The first head has the time from the connection's first moment, later ones from their first byte.
        let due = head_due.take().unwrap_or_else(|| time.mark().plus(server_config.head_timeout));
        let parser = match time.before(due, connections.parser(slot)).await? {
            Ok(parser) => parser,
            Err(why) => {
                connections.service.count_turned_away();
                line.dismiss(why.answer().as_bytes());
                slot.wait(For::Request);
                linger(line, time.mark().plus(server_config.close_timeout), time).await;
                return None;
            }
        };
        match Box::pin(drive_hyper(
            connections.clone(),
            line.clone(),
            slot.clone(),
            peer,
            unread,
            due,
            parser,
        ))
        .await
        {
            Spoken::Hold(taken) => return Some(taken),
            Spoken::Rest(rest) => {
                unread = rest;
                first_due = time.mark().plus(server_config.keep_alive.saturating_sub(REST));
            }
            Spoken::Over => {
                slot.wait(For::Request);
                linger(line, time.mark().plus(server_config.close_timeout), time).await;
                return None;
            }
            Spoken::Cut => {
                line.cut();
                return None;
            }
            Spoken::MakeWay => {
                slot.make_way(line);
                return None;
            }
            Spoken::Upgraded(notes) => {
                slot.upgrade();
                released::<H>(line, notes).await;
                return None;
            }
        }
    }
}

/// Waits for a request without any buffer; `None` when none came in time, the peer left, or the server stops and the
/// grace is over.
async fn first_bytes<H: Service>(
    connections: &Connections<H>,
    line: &Arc<dyn Socket>,
    due: Tick,
    grace: Tick,
) -> Option<Bytes> {
    let time = connections.service.time();
    let mut late = Deadline::at(due, time);
    let mut stop = pin!(connections.stop.cancelled());
    let mut stopping = false;
    poll_fn(|cx| {
        let mut bytes = [0; 2048];
        if let Poll::Ready(read) = line.poll_read(cx, &mut bytes) {
            let count = read.unwrap_or(0);
            return Poll::Ready((count > 0).then(|| Bytes::copy_from_slice(&bytes[..count])));
        }
        if !stopping && stop.as_mut().poll(cx).is_ready() {
            stopping = true;
            late.reset(due.min(grace), time);
        }
        late.poll(time, cx).map(|()| None)
    })
    .await
}

/// How a conversation under hyper went out.
enum Spoken<H: Service> {
    /// A request is to be held.
    Hold(Taken<H::PendingHold>),
    /// Nobody has anything to say for now.
    Rest(Bytes),
    /// Our last word is written.
    Over,
    /// The peer takes nothing.
    Cut,
    /// Another shall have its parser, and it cannot go on without.
    MakeWay,
    /// The connection is somebody else's now (a WebSocket of the fallback).
    Upgraded(SharedHttpState<H>),
}

async fn drive_hyper<H: Service>(
    connections: Arc<Connections<H>>,
    line: Arc<dyn Socket>,
    slot: Arc<IdleSlot<H>>,
    peer: SocketAddr,
    unread: Bytes,
    head_due: Tick,
    // Given back at the end: with hyper's buffers, and before an upgraded connection lives on.
    _parser: Parser<H>,
) -> Spoken<H> {
    let notes: SharedHttpState<H> = Arc::new(Mutex::new(HttpState::new(head_due)));
    let wire = HttpIo {
        line: line.clone(),
        unread,
        notes: notes.clone(),
        connections: connections.clone(),
        slot: slot.clone(),
    };
    let service = {
        let (connections, notes) = (connections.clone(), notes.clone());
        let slot = slot.clone();
        let standing: Weak<dyn WaitObserver> = Arc::<IdleSlot<H>>::downgrade(&slot);
        service_fn(move |mut request: Request<Incoming>| {
            slot.begin();
            notes.lock().asked(follows(&request), is_lasting(&request));
            let is_connect = request.method() == Method::CONNECT;
            request.extensions_mut().insert(WaitState::new(standing.clone()));
            let answer = connections.service.clone().handle(request, peer);
            let (connections, notes, slot) = (connections.clone(), notes.clone(), slot.clone());
            async move {
                match answer.await {
                    Ok(mut response) => {
                        slot.answer();
                        let is_last = connections.stop.has_rung() || notes.lock().is_body_due();
                        if response.status() == StatusCode::SWITCHING_PROTOCOLS
                            || is_connect && response.status().is_success()
                        {
                            notes.lock().upgraded();
                        } else if is_last && !says_close(response.headers()) {
                            let close = HeaderValue::from_static("close");
                            response.headers_mut().append(header::CONNECTION, close);
                        }
                        Ok::<_, Infallible>(
                            response.map(|body| Answer::<H>::new(body, notes, connections.service.clone())),
                        )
                    }
                    Err(pending) => {
                        notes.lock().held(pending);
                        // The socket is taken back from under this future.
                        std::future::pending().await
                    }
                }
            }
        })
    };
    // A longer head is answered with 431.
    let longest = connections.service.server_config().max_head;
    let mut connection =
        http1::Builder::new().max_buf_size(longest).serve_connection(wire, service).with_upgrades();

    let time = connections.service.time();
    let mut timer = Deadline::at(head_due, time);
    let mut stop = pin!(connections.stop.cancelled());
    let (mut stopping, mut has_looked) = (None, false);
    let server_config = connections.service.server_config();
    let step = poll_fn(|cx| {
        if stopping.is_none() && stop.as_mut().poll(cx).is_ready() {
            stopping = Some(time.mark().plus(LAST_HEAD));
            // What is being answered says `Connection: close`. While a head arrives, hyper would close at once.
            if !notes.lock().is_arriving() {
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
        // As for its place, above.
        if slot.poll_asked(Asset::Parser, cx).is_ready() && !slot.is_between_requests() {
            return Poll::Ready(Some(Step::MakeWay));
        }
        if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
            // hyper has answered it: with `400` or `431`.
            if ended.is_err_and(|error| error.is_parse()) {
                connections.service.deny(RefusalReason::Malformed, peer);
            }
            return Poll::Ready(None);
        }
        if !std::mem::replace(&mut has_looked, true) {
            slot.look();
        }
        if slot.poll_asked(Asset::Parser, cx).is_ready() {
            let rests = notes.lock().rests();
            return Poll::Ready(Some(if rests { Step::Rest } else { Step::MakeWay }));
        }
        loop {
            let step = notes.lock().step(time.served(), stopping, server_config);
            match step {
                Step::Wait(None) => return Poll::Pending,
                Step::Wait(Some(due)) => {
                    // Re-armed when it must be earlier or has fired, so hardly ever.
                    if due < timer.due() || timer.is_over() {
                        timer.reset(due, time);
                    }
                }
                step => return Poll::Ready(Some(step)),
            }
            if timer.poll(time, cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await;

    let pending = notes.lock().pending();
    if let Some((pending, lasting)) = pending {
        // A guest is attended in any case: its function has said yes, so an end must be reported to it.
        let sound = step == Some(Step::Hold);
        if !sound {
            // Something of an earlier answer is stuck in hyper, or the peer has left: no byte may follow.
            line.cut();
        }
        let unread = take_back(connection);
        return Spoken::Hold(Taken { pending, unread, lasting: lasting && sound });
    }
    match step {
        Some(Step::Rest) => {
            // hyper was given no byte of the next request. What it has left over is of a body that nobody wanted.
            let parts = connection.into_parts();
            Spoken::Rest(parts.map(|mut parts| std::mem::take(&mut parts.io.unread)).unwrap_or_default())
        }
        Some(Step::Cut) => Spoken::Cut,
        Some(Step::MakeWay) => Spoken::MakeWay,
        Some(step @ (Step::Late | Step::Malformed)) => {
            let (status, denial) = match step {
                Step::Late => (StatusCode::REQUEST_TIMEOUT, RefusalReason::HeadLate),
                _ => (StatusCode::BAD_REQUEST, RefusalReason::Malformed),
            };
            connections.service.deny(denial, peer);
            // Nothing else is under way, so it fits; if the kernel refuses it, the peer is not reading anyway.
            let _ = line.try_write(word(status, None, "").as_bytes());
            Spoken::Over
        }
        Some(Step::Close | Step::Hold | Step::Wait(_)) => Spoken::Over,
        None => {
            drop(connection);
            let released = notes.lock().released;
            if released { Spoken::Over } else { Spoken::Upgraded(notes) }
        }
    }
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
