//! The connections of one server: how many there are, who is let in, that they be told to stop, and that they be gone.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::connection::serve;
use super::idle_slot::{Evict, For, IdleSlot, Parser};
use super::service::Service;
use super::turn_away::{LINGERING, TurnAway};
use crate::settings::ServerConfig;
use crate::socket::Socket;
use crate::socket::kernel::Descriptors;
use abeyance_core::mechanisms::connection_queue::{ConnectionQueue, Refused, Ticket};
use abeyance_core::words::peer::Peer;

/// Of all places, and of all parsers, those that one address may have without holding anything: a share of so many, and a
/// few at least.
const SHARE: usize = 4;
const FEWEST: usize = 16;

/// How long somebody who was asked to leave is waited for. It takes a turn of its task, unless threads are blocked.
const WAY_OUT: Duration = Duration::from_secs(1);

/// All connections of one server.
///
/// They are only counted: a list of their tasks would cost each hold 16 bytes, and aborting a task would take the end
/// hook from the hold in it. What is not held stops by [`halt`](Connections::halt), holds end by their host's will.
pub(super) struct Connections<H> {
    pub(super) service: Arc<H>,
    /// How many connections there may be.
    capacity: usize,
    /// In one number, so that they can be read at one instant; see [`Census`].
    census: AtomicU64,
    /// The descriptors of those that were counted, for the audits.
    pub(super) descriptors: Option<Arc<Descriptors>>,
    left: Notify,
    /// Those that are not held.
    pub(super) waiting: Mutex<ConnectionQueue<Arc<Evict>>>,
    born: Instant,
    /// Leave to wait for those that were sent away.
    pub(super) lingering: Arc<Semaphore>,
    /// Nothing new shall begin.
    pub(super) stop: Cancellation,
    /// What is not held shall end at once.
    pub(super) halt: Cancellation,
    /// Leave to have an HTTP parser with its buffers, about 20 KiB each. Resting and held connections have none.
    speaking: Arc<Semaphore>,
    /// Those that have one.
    pub(super) parsers: Mutex<ConnectionQueue<Arc<Evict>>>,
    /// Whose turn it is to get one. Fair.
    at_the_parsers: tokio::sync::Mutex<()>,
}

/// A connection's place in the house; dropping it gives the place back.
pub(super) struct ConnectionGuard<H> {
    pub(super) connections: Arc<Connections<H>>,
}

/// How many connections there are, and how many ever came, modulo 2^32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConnectionCounts {
    pub(super) count: usize,
    came: u32,
}

impl ConnectionCounts {
    /// One that comes, in the atomic: the count is its lower half.
    const ONE: u64 = 1 << 32 | 1;

    /// How many came and how many left since then.
    pub(super) fn changes_since(self, before: ConnectionCounts) -> usize {
        let came = self.came.wrapping_sub(before.came) as usize;
        let left = (before.count + came).saturating_sub(self.count);
        came + left
    }
}

/// Something that happens once, and that whoever comes later learns too.
#[derive(Default)]
pub(super) struct Cancellation {
    cancelled: AtomicBool,
    waiting: Notify,
}

impl<H: Service> Connections<H> {
    pub(super) fn new(service: Arc<H>, capacity: usize, descriptors: Option<Arc<Descriptors>>) -> Arc<Self> {
        let capacity = capacity.max(1);
        let server_config = service.server_config();
        let waiting = Mutex::new(ConnectionQueue::new(
            most_of_one(server_config, capacity),
            server_config.max_connects_per_peer,
        ));
        let requests = server_config.max_requests.clamp(1, capacity);
        let parsers = Mutex::new(ConnectionQueue::new(most_of_one(server_config, requests), None));
        Arc::new(Connections {
            service,
            capacity,
            census: AtomicU64::new(0),
            descriptors,
            left: Notify::new(),
            waiting,
            born: Instant::now(),
            lingering: Arc::new(Semaphore::new(LINGERING)),
            stop: Cancellation::default(),
            halt: Cancellation::default(),
            speaking: Arc::new(Semaphore::new(requests.min(Semaphore::MAX_PERMITS))),
            parsers,
            at_the_parsers: tokio::sync::Mutex::new(()),
        })
    }

    /// Takes a newcomer in, or sends it away; returns when there is again room for the next.
    pub(super) async fn receive(self: &Arc<Self>, line: Arc<dyn Socket>) {
        let Some(entered) = self.enter(&line).await else { return };
        match entered {
            Ok(slot) => self.admit(slot, line),
            Err(why) => self.send_away(line, why),
        }
    }

    pub(super) fn admit(self: &Arc<Self>, slot: Arc<IdleSlot<H>>, line: Arc<dyn Socket>) {
        slot.wait(For::Request);
        let guard = self.guard();
        if let Some(descriptors) = &self.descriptors {
            line.enrol(descriptors);
        }
        tokio::spawn(serve(guard, slot, line));
    }

    /// A place for a newcomer, under every bound; `None` if it has left already.
    pub(super) async fn enter(
        self: &Arc<Self>,
        line: &Arc<dyn Socket>,
    ) -> Option<Result<Arc<IdleSlot<H>>, TurnAway>> {
        let peer = self.counted(line.peer().ok()?.ip());
        let entered = self.waiting.lock().enter(peer, self.age());
        let (ticket, instead) = match entered {
            Ok(entered) => entered,
            Err(refused) => return Some(Err(TurnAway::Peer(refused))),
        };
        let slot = IdleSlot::new(self.clone(), ticket);
        if let Err(refused) = self.have_leave(instead, &self.waiting, peer).await {
            return Some(Err(TurnAway::Peer(refused)));
        }
        while self.count() >= self.capacity {
            if !self.evict_idlest().await {
                return Some(Err(TurnAway::Full));
            }
        }
        Some(Ok(slot))
    }

    /// Has whoever has waited longest leave, and returns when it has; `false` if nobody waits.
    pub(super) async fn evict_idlest(&self) -> bool {
        loop {
            let longest = self.waiting.lock().longest(self.age());
            match longest {
                Some(evict) if has_given(&evict).await => return true,
                Some(_) => {}
                None => return false,
            }
        }
    }

    /// Has one of this peer's leave for another of its own; a second one if the first has something to be answered.
    async fn have_leave(
        &self,
        mut instead: Option<Arc<Evict>>,
        queue: &Mutex<ConnectionQueue<Arc<Evict>>>,
        peer: Option<Peer>,
    ) -> Result<(), Refused> {
        while let Some(evict) = instead {
            if has_given(&evict).await {
                break;
            }
            instead = queue.lock().another(peer, self.age())?;
        }
        Ok(())
    }

    /// The time in which its lobbies reckon.
    pub(super) fn age(&self) -> Duration {
        self.born.elapsed()
    }

    /// As whom an address is counted, if it is: not a proxy that we trust, and unless something else was said, not this
    /// machine, which is where most proxies are.
    pub(super) fn counted(&self, address: IpAddr) -> Option<Peer> {
        let server_config = self.service.server_config();
        let is_said =
            server_config.max_unheld_per_peer.is_some() || server_config.max_connects_per_peer.is_some();
        if address.is_loopback() && !is_said {
            return None;
        }
        let is_trusted = server_config.trusted_proxies.iter().any(|network| network.contains(&address));
        (!is_trusted).then(|| Peer::from(address))
    }

    pub(super) fn guard(self: &Arc<Self>) -> ConnectionGuard<H> {
        self.census.fetch_add(ConnectionCounts::ONE, SeqCst);
        ConnectionGuard { connections: self.clone() }
    }

    pub(super) fn count(&self) -> usize {
        self.census().count
    }

    pub(super) fn census(&self) -> ConnectionCounts {
        let both = self.census.load(SeqCst);
        ConnectionCounts { count: both as u32 as usize, came: (both >> 32) as u32 }
    }

    /// What bounds connections, held or not: a line.
    pub(super) fn bounds(&self) -> String {
        let (capacity, server_config) = (self.capacity, self.service.server_config());
        let (requests, of_one) =
            (server_config.max_requests.min(capacity), most_of_one(server_config, capacity));
        let mut line =
            format!("connections: {capacity} max_requests={requests} max_unheld_per_peer={of_one}");
        if let Some(most) = server_config.max_connects_per_peer {
            line.push_str(&format!(" max_connects_per_peer={most}"));
        }
        line
    }

    /// Returns when the last connection is gone.
    pub(super) async fn empty(&self) {
        while self.count() > 0 {
            let mut left = pin!(self.left.notified());
            left.as_mut().enable();
            // Again, now that nobody can leave unnoticed.
            if self.count() > 0 {
                left.await;
            }
        }
    }

    /// A parser for a connection that has sent something. Where there is none left, the connection that has one and has
    /// waited longest for its own peer leaves, or puts it down if it rests.
    pub(super) async fn parser(self: &Arc<Self>, slot: &Arc<IdleSlot<H>>) -> Result<Parser<H>, TurnAway> {
        let peer = slot.peer();
        let entered = self.parsers.lock().enter(peer, self.age());
        let (ticket, instead) = entered.map_err(TurnAway::Peer)?;
        let waiting = Applicant { connections: self, ticket: Some(ticket) };
        self.have_leave(instead, &self.parsers, peer).await.map_err(TurnAway::Peer)?;
        // One after the other, in the order in which they came. If all asked at once, a crowd would have everybody leave,
        // those who came just now and wait for nothing included.
        let _turn = self.at_the_parsers.lock().await;
        loop {
            if let Ok(permit) = self.speaking.clone().try_acquire_owned() {
                return Ok(waiting.succeed(slot, permit));
            }
            let longest = self.parsers.lock().longest(self.age());
            match longest {
                Some(evict) => {
                    has_given(&evict).await;
                }
                None => return Err(TurnAway::Busy),
            }
        }
    }
}

/// A connection that shall have a parser, and is counted already.
struct Applicant<'a, H: Service> {
    connections: &'a Arc<Connections<H>>,
    ticket: Option<Ticket>,
}

impl<H: Service> Applicant<'_, H> {
    fn succeed(mut self, slot: &Arc<IdleSlot<H>>, permit: OwnedSemaphorePermit) -> Parser<H> {
        let ticket = self.ticket.take().expect("taken here only, by value");
        slot.take_parser(ticket, permit)
    }
}

impl<H: Service> Drop for Applicant<'_, H> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.connections.parsers.lock().leave(ticket);
        }
    }
}

/// Whether a connection gives what it is asked for. One that does not answer is not waited for, and counts as gone.
async fn has_given(evict: &Evict) -> bool {
    timeout(WAY_OUT, evict.ask()).await.unwrap_or(true)
}

fn most_of_one(server_config: &ServerConfig, capacity: usize) -> usize {
    server_config.max_unheld_per_peer.unwrap_or((capacity / SHARE).max(FEWEST))
}

impl<H> Drop for ConnectionGuard<H> {
    fn drop(&mut self) {
        self.connections.census.fetch_sub(1, SeqCst);
        self.connections.left.notify_waiters();
    }
}

impl Cancellation {
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, SeqCst);
        self.waiting.notify_waiters();
    }

    pub(super) fn has_rung(&self) -> bool {
        self.cancelled.load(SeqCst)
    }

    /// Returns when it has rung.
    pub(super) async fn cancelled(&self) {
        let mut cancel = pin!(self.waiting.notified());
        cancel.as_mut().enable();
        if !self.has_rung() {
            cancel.await;
        }
    }
}
