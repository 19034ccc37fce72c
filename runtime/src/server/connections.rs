//! All connections of one server: how many there are, which of them are not held, and how all are told to stop.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::cancellation::Cancellation;
use super::evict::Evict;
use super::service::Service;
use super::turn_away::LINGERING;
use crate::settings::ServerConfig;
use crate::socket::kernel::Descriptors;
use abeyance_core::mechanisms::connection_queue::ConnectionQueue;
use abeyance_core::words::peer::Peer;

/// Unless set, the connections of one address that are not held may be a quarter of all connections, and have a quarter
/// of all parsers; but always [`FEWEST`].
const SHARE: usize = 4;
const FEWEST: usize = 16;

/// All connections of one server.
///
/// They are only counted: a list of their tasks would cost each hold 16 bytes, and aborting a task would keep the end
/// hook of its hold from running. [`halt`](Connections::halt) stops what is not held; the service ends the holds.
pub(super) struct Connections<H> {
    pub(super) service: Arc<H>,
    /// How many connections there may be.
    pub(super) capacity: usize,
    /// Two counts in one number, so that both can be read at one instant; see [`ConnectionCounts`].
    counts: AtomicU64,
    /// The descriptors of all that were counted, for the audits.
    pub(super) descriptors: Option<Arc<Descriptors>>,
    left: Notify,
    /// The connections that are not held.
    pub(super) unheld: Mutex<ConnectionQueue<Arc<Evict>>>,
    born: Instant,
    /// Permits to wait for the close of connections that were turned away.
    pub(super) lingering: Arc<Semaphore>,
    /// Nothing new may begin.
    pub(super) stop: Cancellation,
    /// What is not held ends at once.
    pub(super) halt: Cancellation,
    /// Permits to have an HTTP parser with its buffers, about 20 KiB each. Resting and held connections have none.
    pub(super) parser_permits: Arc<Semaphore>,
    /// The connections that have a parser.
    pub(super) parsers: Mutex<ConnectionQueue<Arc<Evict>>>,
    /// Whose turn it is to get a parser. Fair.
    pub(super) parser_turn: tokio::sync::Mutex<()>,
}

/// Counts a connection for as long as it lives.
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

impl<H: Service> Connections<H> {
    pub(super) fn new(service: Arc<H>, capacity: usize, descriptors: Option<Arc<Descriptors>>) -> Arc<Self> {
        let capacity = capacity.max(1);
        let server_config = service.server_config();
        let per_second = server_config.max_connects_per_peer;
        let unheld = ConnectionQueue::new(most_of_one(server_config, capacity), per_second);
        let requests = server_config.max_requests.clamp(1, capacity);
        let parsers = ConnectionQueue::new(most_of_one(server_config, requests), None);
        Arc::new(Connections {
            service,
            capacity,
            counts: AtomicU64::new(0),
            descriptors,
            left: Notify::new(),
            unheld: Mutex::new(unheld),
            born: Instant::now(),
            lingering: Arc::new(Semaphore::new(LINGERING)),
            stop: Cancellation::default(),
            halt: Cancellation::default(),
            parser_permits: Arc::new(Semaphore::new(requests.min(Semaphore::MAX_PERMITS))),
            parsers: Mutex::new(parsers),
            parser_turn: tokio::sync::Mutex::new(()),
        })
    }

    /// The clock of the queues.
    pub(super) fn age(&self) -> Duration {
        self.born.elapsed()
    }

    /// As which peer an address is counted, if it is. A trusted proxy is not counted. Nor is this machine, where most
    /// proxies are, unless a bound was set.
    pub(super) fn counted(&self, address: IpAddr) -> Option<Peer> {
        let server_config = self.service.server_config();
        let is_bound_set =
            server_config.max_unheld_per_peer.is_some() || server_config.max_connects_per_peer.is_some();
        if address.is_loopback() && !is_bound_set {
            return None;
        }
        let is_trusted = server_config.trusted_proxies.iter().any(|network| network.contains(&address));
        (!is_trusted).then(|| Peer::from(address))
    }

    pub(super) fn guard(self: &Arc<Self>) -> ConnectionGuard<H> {
        self.counts.fetch_add(ConnectionCounts::ONE, SeqCst);
        ConnectionGuard { connections: self.clone() }
    }

    pub(super) fn count(&self) -> usize {
        self.counts().count
    }

    pub(super) fn counts(&self) -> ConnectionCounts {
        let both = self.counts.load(SeqCst);
        ConnectionCounts { count: both as u32 as usize, came: (both >> 32) as u32 }
    }

    /// How many connections were turned away and are not closed yet.
    pub(super) fn lingering(&self) -> usize {
        LINGERING - self.lingering.available_permits()
    }

    /// Returns when the last connection is gone.
    pub(super) async fn empty(&self) {
        while self.count() > 0 {
            let mut left = pin!(self.left.notified());
            left.as_mut().enable();
            // Again, now that a leaving connection wakes this task.
            if self.count() > 0 {
                left.await;
            }
        }
    }
}

fn most_of_one(server_config: &ServerConfig, capacity: usize) -> usize {
    server_config.max_unheld_per_peer.unwrap_or((capacity / SHARE).max(FEWEST))
}

impl<H> Drop for ConnectionGuard<H> {
    fn drop(&mut self) {
        self.connections.counts.fetch_sub(1, SeqCst);
        self.connections.left.notify_waiters();
    }
}
