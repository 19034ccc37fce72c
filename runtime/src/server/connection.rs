//! One connection from its acceptance to its close: requests and plain answers under hyper, holds without it.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use tokio::select;

use super::connections::{ConnectionGuard, Connections};
use super::drive_hyper::{Exchange, HttpEnd, HttpOutcome, Taken};
use super::http_io;
use super::http_state::{LAST_HEAD, REST};
use super::idle_slot::{Asset, For, IdleSlot};
use super::linger::linger;
use super::service::{PendingHold, Service};
use crate::dispatch::{After, Deadline, Time, probing_unheld};
use crate::settings::ServerConfig;
use crate::socket::Socket;
use abeyance_core::words::tick::Tick;

/// How a connection comes to be read for a request.
enum Arrival<H: Service> {
    /// It was just accepted, and has this slot.
    Accepted(Arc<IdleSlot<H>>),
    /// It comes back from a hold, with what was read and not used.
    Returned(Bytes),
    /// It comes back from a hold, and cannot be used again.
    Spent,
}

/// A request that is to be held, and its connection.
struct HoldRequest<H: Service> {
    taken: Taken<H::PendingHold>,
    guard: ConnectionGuard<H>,
    socket: Arc<dyn Socket>,
}

/// Serves one connection until it is closed.
///
/// This future lives as long as the connection, and most of that in a hold: its size is a budget (`tests/size.rs`).
/// All that is needed before a hold is boxed, and freed while there is one.
pub(super) fn serve<H: Service>(
    guard: ConnectionGuard<H>,
    slot: Arc<IdleSlot<H>>,
    socket: Arc<dyn Socket>,
) -> impl Future<Output = ()> + Send {
    let first = Box::pin(next_hold(guard, socket, Arrival::Accepted(slot)));
    // A block and no `async fn`, which would keep a second copy of its arguments.
    async move {
        let mut next = first;
        loop {
            let Some(HoldRequest { taken: Taken { pending, unread, is_reusable }, guard, socket }) =
                next.await
            else {
                return;
            };
            let attending = pending.attend(&socket, unread);
            match attending.await {
                After::KeepAlive { unread } => {
                    let arrival = if is_reusable { Arrival::Returned(unread) } else { Arrival::Spent };
                    next = Box::pin(next_hold(guard, socket, arrival));
                }
                After::Close => return,
            }
        }
    }
}

/// Answers requests until one is to be held, or until the connection is over (`None`).
async fn next_hold<H: Service>(
    guard: ConnectionGuard<H>,
    socket: Arc<dyn Socket>,
    arrival: Arrival<H>,
) -> Option<HoldRequest<H>> {
    let connections = guard.connections.clone();
    let peer = socket.peer().ok()?;
    let slot = match &arrival {
        Arrival::Accepted(slot) => slot.clone(),
        Arrival::Returned(_) | Arrival::Spent => IdleSlot::back(&connections, peer),
    };
    let taken = {
        let requests = Requests { connections: &connections, socket: &socket, slot: &slot, peer };
        let mut answering = pin!(requests.until_hold(arrival));
        select! {
            biased;
            // Asked to leave while a request is under way: the request is given up.
            () = slot.asked_amid_request(Asset::Slot) => { slot.make_way(&socket); None }
            taken = answering.as_mut() => taken,
            // Asked to leave between two requests: what the peer has sent meanwhile was read first. With a whole
            // request the connection stays.
            () = slot.asked(Asset::Slot) => { slot.make_way(&socket); None }
            // Not a FIN, which could pass for the end of an answer that is not whole.
            () = connections.halt.cancelled() => { socket.cut(); None }
        }
    };
    match taken {
        Some(taken) => {
            slot.leave();
            Some(HoldRequest { taken, guard, socket })
        }
        None => {
            // In this order: a new connection that waits for the slot finds the descriptor free, too.
            drop(socket);
            drop(guard);
            slot.leave();
            None
        }
    }
}

/// The requests of one connection, between two holds.
struct Requests<'a, H: Service> {
    connections: &'a Arc<Connections<H>>,
    socket: &'a Arc<dyn Socket>,
    slot: &'a Arc<IdleSlot<H>>,
    peer: SocketAddr,
}

impl<H: Service> Requests<'_, H> {
    /// Answers one after the other until one is to be held.
    async fn until_hold(&self, arrival: Arrival<H>) -> Option<Taken<H::PendingHold>> {
        let server_config = self.server_config();
        // A hold sets its own. For an upgraded connection only these probes notice that its peer vanished.
        self.socket.probe(probing_unheld(server_config.write_timeout));
        let now = self.time().mark();
        // The first request may be on its way: the server waits for it although it stops.
        let mut grace = now;
        let (mut head_due, mut first_due, mut unread) = match arrival {
            Arrival::Accepted(_) => {
                grace = now.plus(LAST_HEAD);
                let due = now.plus(server_config.head_timeout);
                (Some(due), due, Bytes::new())
            }
            Arrival::Returned(unread) => (None, now.plus(server_config.keep_alive), unread),
            Arrival::Spent => {
                self.close().await;
                return None;
            }
        };
        loop {
            if unread.is_empty() {
                unread = self.first_bytes(first_due, grace).await?;
            }
            self.slot.come();
            // The first head has the time from the connection's first moment, later ones from their first byte.
            let due = head_due.take().unwrap_or_else(|| self.time().mark().plus(server_config.head_timeout));
            let parser = match self.time().before(due, self.connections.parser(self.slot)).await? {
                Ok(parser) => parser,
                Err(why) => {
                    self.connections.service.count_turned_away();
                    self.socket.write_and_close(why.answer().as_bytes());
                    self.close().await;
                    return None;
                }
            };
            let exchange =
                Exchange::new(self.connections.clone(), self.socket.clone(), self.slot.clone(), due);
            match Box::pin(exchange.drive(self.peer, unread, parser)).await {
                HttpOutcome::Hold(taken) => return Some(taken),
                HttpOutcome::Rest(rest) => {
                    unread = rest;
                    first_due = self.time().mark().plus(server_config.keep_alive.saturating_sub(REST));
                }
                HttpOutcome::End(end) => {
                    self.end(end).await;
                    return None;
                }
            }
        }
    }

    /// Waits for a request without any buffer; `None` when none came in time, the peer left, or the server stops and
    /// `grace` is over.
    async fn first_bytes(&self, due: Tick, grace: Tick) -> Option<Bytes> {
        let time = self.time();
        let mut late = Deadline::at(due, time);
        let mut is_stopping = false;
        loop {
            select! {
                biased;
                bytes = self.read() => return bytes,
                () = self.connections.stop.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    late.reset(due.min(grace), time);
                }
                () = poll_fn(|cx| late.poll(time, cx)) => return None,
            }
        }
    }

    /// What the peer sends next; `None` if it has left.
    async fn read(&self) -> Option<Bytes> {
        poll_fn(|cx| {
            let mut bytes = [0; 2048];
            let count = std::task::ready!(self.socket.poll_read(cx, &mut bytes)).unwrap_or(0);
            Poll::Ready((count > 0).then(|| Bytes::copy_from_slice(&bytes[..count])))
        })
        .await
    }

    async fn end(&self, end: HttpEnd<H>) {
        match end {
            HttpEnd::Over => self.close().await,
            HttpEnd::Cut => self.socket.cut(),
            HttpEnd::MakeWay => self.slot.make_way(self.socket),
            HttpEnd::Upgraded(state) => {
                self.slot.upgrade();
                http_io::released::<H>(self.socket, state).await;
            }
        }
    }

    /// Closes after the last answer. The connection waits for its peer meanwhile, and can be asked to leave.
    async fn close(&self) {
        self.slot.wait(For::Request);
        let due = self.time().mark().plus(self.server_config().close_timeout);
        linger(self.socket, due, self.time()).await;
    }

    fn time(&self) -> &Time {
        self.connections.service.time()
    }

    fn server_config(&self) -> &ServerConfig {
        self.connections.service.server_config()
    }
}
