//! From the first byte of a request to its answer or its hold, under hyper; and the one owner of deadlines there.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::{Request, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

use super::exchange::{Exchange, REST, Step};
use super::farewell::{linger, released};
use super::host::Host;
use super::house::House;
use super::wire::{Answer, Notes, Wire};
use crate::dispatch::{Deadline, Probing};
use crate::socket::Socket;
use crate::words::tick::Tick;

/// The longest head; a longer one is answered with 431.
const LONGEST_HEAD: usize = 16 * 1024;

const TOO_LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// How a connection comes to be read for a request.
pub(super) enum Visit {
    /// It was just accepted.
    First,
    /// It comes back from a hold, with what was read and not used.
    Return(Bytes),
    /// It comes back from a hold, and cannot be used again.
    Leave,
}

/// A request that is to be held.
pub(super) struct Turn<G> {
    pub(super) guest: G,
    /// What was read behind the request.
    pub(super) unread: Bytes,
    /// The connection may be used again after the hold.
    pub(super) lasting: bool,
}

/// Answers requests until one is to be held, or until the connection is over (`None`).
pub(super) async fn hear<H: Host>(
    house: Arc<House<H>>,
    line: Arc<dyn Socket>,
    visit: Visit,
) -> Option<Turn<H::Guest>> {
    let mut halt = pin!(house.halt.rung());
    let mut answering = pin!(answer(&house, &line, visit));
    poll_fn(|cx| {
        if let Poll::Ready(turn) = answering.as_mut().poll(cx) {
            return Poll::Ready(turn);
        }
        halt.as_mut().poll(cx).map(|()| {
            // Not a FIN, which could pass for the end of an answer that is not whole.
            line.cut();
            None
        })
    })
    .await
}

async fn answer<H: Host>(
    house: &Arc<House<H>>,
    line: &Arc<dyn Socket>,
    visit: Visit,
) -> Option<Turn<H::Guest>> {
    let peer = line.peer().ok()?;
    let policy = house.host.policy();
    // Also where a hold had it otherwise. Of an upgraded connection nothing else would notice that its peer vanished.
    let Probing { every, give_up } = Probing::unheld(policy.write_deadline);
    line.probe(every, give_up);
    let time = house.host.time();
    let accepted = time.mark();
    let (mut head_due, mut first_due, mut unread) = match visit {
        Visit::First => {
            (Some(accepted.plus(policy.head_deadline)), accepted.plus(policy.head_deadline), Bytes::new())
        }
        Visit::Return(unread) => (None, accepted.plus(policy.keep_alive), unread),
        Visit::Leave => {
            linger(line, accepted.plus(policy.polite_end), time).await;
            return None;
        }
    };
    loop {
        if unread.is_empty() {
            unread = first_bytes(house, line, first_due).await?;
        }
        // The first head has the time from the connection's first moment, later ones from their first byte.
        let due = head_due.take().unwrap_or_else(|| time.mark().plus(policy.head_deadline));
        let permit = time.before(due, house.speak()).await??;
        match Box::pin(speak(house.clone(), line.clone(), peer, unread, due, permit)).await {
            Spoken::Hold(turn) => return Some(turn),
            Spoken::Rest(rest) => {
                unread = rest;
                first_due = time.mark().plus(policy.keep_alive.saturating_sub(REST));
            }
            Spoken::Over => {
                linger(line, time.mark().plus(policy.polite_end), time).await;
                return None;
            }
            Spoken::Cut => {
                line.cut();
                return None;
            }
            Spoken::Upgraded(notes) => {
                released::<H>(line, notes).await;
                return None;
            }
        }
    }
}

/// Waits for a request without any buffer; `None` when none came in time, the peer left, or the server stops.
async fn first_bytes<H: Host>(house: &House<H>, line: &Arc<dyn Socket>, due: Tick) -> Option<Bytes> {
    let mut late = pin!(house.host.time().reach(due));
    let mut stopping = pin!(house.stop.rung());
    poll_fn(|cx| {
        let mut bytes = [0; 2048];
        if let Poll::Ready(read) = line.poll_read(cx, &mut bytes) {
            let count = read.unwrap_or(0);
            return Poll::Ready((count > 0).then(|| Bytes::copy_from_slice(&bytes[..count])));
        }
        if late.as_mut().poll(cx).is_ready() || stopping.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        Poll::Pending
    })
    .await
}

/// How a conversation under hyper went out.
enum Spoken<H: Host> {
    /// A request is to be held.
    Hold(Turn<H::Guest>),
    /// Nobody has anything to say for now.
    Rest(Bytes),
    /// Our last word is written.
    Over,
    /// The peer takes nothing.
    Cut,
    /// The connection is somebody else's now (a WebSocket of the fallback).
    Upgraded(Notes<H>),
}

async fn speak<H: Host>(
    house: Arc<House<H>>,
    line: Arc<dyn Socket>,
    peer: SocketAddr,
    unread: Bytes,
    head_due: Tick,
    // Given back at the end: with hyper's buffers, and before an upgraded connection lives on.
    _permit: OwnedSemaphorePermit,
) -> Spoken<H> {
    let notes: Notes<H> = Arc::new(Mutex::new(Exchange::new(head_due)));
    let wire = Wire { line: line.clone(), unread, notes: notes.clone(), house: house.clone() };
    let service = {
        let (host, notes) = (house.host.clone(), notes.clone());
        service_fn(move |request: Request<Incoming>| {
            notes.lock().asked(!request.body().is_end_stream(), is_lasting(&request));
            let (answer, notes, host) = (host.clone().handle(request, peer), notes.clone(), host.clone());
            async move {
                match answer.await {
                    Ok(response) => {
                        Ok::<_, Infallible>(response.map(|body| Answer::<H>::new(body, notes, host)))
                    }
                    Err(guest) => {
                        notes.lock().held(guest);
                        // The socket is taken back from under this future.
                        pending().await
                    }
                }
            }
        })
    };
    let mut connection =
        http1::Builder::new().max_buf_size(LONGEST_HEAD).serve_connection(wire, service).with_upgrades();

    let time = house.host.time();
    let mut timer = Deadline::at(head_due, time);
    let mut stop = pin!(house.stop.rung());
    let mut stopping = false;
    let policy = house.host.policy();
    let step = poll_fn(|cx| {
        if !stopping && stop.as_mut().poll(cx).is_ready() {
            stopping = true;
            // What is being answered says `Connection: close`.
            Pin::new(&mut connection).graceful_shutdown();
        }
        if Pin::new(&mut connection).poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        loop {
            let step = notes.lock().step(time.served(), stopping, policy);
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

    let guest = notes.lock().guest();
    if let Some((guest, lasting)) = guest {
        // A guest is attended in any case: its function has said yes, so an end must be reported to it.
        let sound = step == Some(Step::Hold);
        if !sound {
            // Something of an earlier answer is stuck in hyper, or the peer has left: no byte may follow.
            line.cut();
        }
        let unread = take_back(connection);
        return Spoken::Hold(Turn { guest, unread, lasting: lasting && sound });
    }
    match step {
        Some(Step::Rest) => Spoken::Rest(take_back(connection)),
        Some(Step::Cut) => Spoken::Cut,
        Some(Step::Late) => {
            // Nothing else is under way, so it fits; if the kernel refuses it, the peer is not reading anyway.
            let _ = line.try_write(TOO_LATE);
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
fn take_back<H, S>(connection: http1::UpgradeableConnection<Wire<H>, S>) -> Bytes
where
    H: Host,
    S: hyper::service::HttpService<Incoming, ResBody = Answer<H>>,
    S::Error: Into<crate::endpoint::BoxError>,
{
    match connection.into_parts() {
        Some(parts) if parts.io.unread.is_empty() && parts.read_buf.is_empty() => Bytes::new(),
        Some(parts) => [&*parts.read_buf, &*parts.io.unread].concat().into(),
        None => Bytes::new(),
    }
}

/// Whether the connection may be used again after this request. After a hold hyper is not there to know.
fn is_lasting(request: &Request<Incoming>) -> bool {
    let mut wishes = request.headers().get_all(header::CONNECTION).iter();
    let wants_close = wishes.any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"))
    });
    request.version() == Version::HTTP_11 && !wants_close
}
