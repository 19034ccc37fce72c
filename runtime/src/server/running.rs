//! A server that runs, and how it stops.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::accept::accept;
use super::audit::{Audits, look};
use super::host::Host;
use super::house::House;
use crate::dispatch::Dispatch;
use crate::keeper::audit::Audit;
use crate::keeper::hub::Hub;
use crate::socket::Listener;
use crate::socket::descriptors::Descriptors;
use crate::words::look::Look;

/// A running server.
///
/// Dropping it without [`shutdown`](Running::shutdown) cuts every connection, and logs how many.
#[derive(Debug)]
#[must_use = "dropping a running server stops it at once: keep it, and call `shutdown`"]
pub struct Running {
    service: Service<Dispatch>,
    hub: Hub,
    /// Dropped with it; never read.
    _audits: Option<Audits>,
}

/// What a shutdown came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// How many holds had not ended when the time for it was over, and were cut.
    pub holds_cut: usize,
    /// How many connections were cut in the end, holds among them.
    pub connections_cut: usize,
    /// How many end hooks had not returned a second later. They are not waited for.
    pub hooks_unfinished: usize,
    /// How long it took.
    pub took: Duration,
}

impl Running {
    pub(crate) fn start(door: impl Listener, dispatch: Arc<Dispatch>, hub: Hub, capacity: usize) -> Self {
        dispatch.keep_time();
        let service = Service::start(door, dispatch, capacity);
        let audits = service
            .descriptors
            .as_ref()
            .map(|descriptors| Audits::start(service.house.clone(), descriptors.clone(), hub.clone()));
        Running { service, hub, _audits: audits }
    }

    /// The address on which it listens.
    pub fn addr(&self) -> SocketAddr {
        self.service.addr
    }

    /// The application's view of all holds.
    pub fn hub(&self) -> Hub {
        self.hub.clone()
    }

    /// Makes an audit at once, as the server does by itself now and then ([`Hub::audit`]), and says what they found:
    /// a difference counts when three in a row have seen it.
    ///
    /// Linux only, and with `/proc`; `None` elsewhere, and for [`Server::bind_memory`](crate::Server::bind_memory).
    pub async fn audit(&self) -> Option<Audit> {
        let look = self.service.look(|| self.hub.holds()).await?;
        self.hub.judge(look);
        self.hub.audit()
    }

    /// One line for each handler: its path, transports, limits and place.
    pub(super) fn lines(&self) -> Vec<String> {
        self.service.house.host.lines()
    }

    /// What bounds all handlers together, and the topics that keep something: a line each.
    pub(super) fn bounds(&self) -> Vec<String> {
        self.service.house.host.bounds()
    }

    /// Stops in good order: accepts nothing more, ends all holds in good order, lets requests finish
    /// that are being answered, and cuts what is left when `drain` has passed.
    pub async fn shutdown(self) -> Drained {
        self.service.shutdown().await
    }
}

/// A running server over any host.
pub(super) struct Service<H: Host> {
    pub(super) addr: SocketAddr,
    pub(super) house: Arc<House<H>>,
    descriptors: Option<Arc<Descriptors>>,
    accepting: JoinHandle<()>,
}

impl<H: Host> Service<H> {
    /// How long connections may take to end after their lines were cut.
    const GRACE: Duration = Duration::from_secs(1);

    pub(super) fn start(door: impl Listener, host: Arc<H>, capacity: usize) -> Self {
        let house = House::new(host, capacity);
        let (addr, descriptors) = (door.addr(), door.descriptors());
        Service { addr, descriptors, accepting: tokio::spawn(accept(door, house.clone())), house }
    }

    /// Compares the books with what is open; `None` where the system does not say.
    pub(super) async fn look(&self, holds: impl Fn() -> usize) -> Option<Look> {
        look(&self.house, self.descriptors.as_ref()?, holds).await
    }

    pub(super) async fn shutdown(mut self) -> Drained {
        let begun = Instant::now();
        let house = self.house.clone();
        let deadline = begun + house.host.policy().drain;
        // Awaited, so that the port is free from here on.
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
        house.stop.ring();
        let orderly = async {
            house.host.drain().await;
            house.empty().await;
        };
        let mut drained =
            Drained { holds_cut: 0, connections_cut: 0, hooks_unfinished: 0, took: Duration::ZERO };
        if timeout_at(deadline, orderly).await.is_err() {
            drained.holds_cut = house.host.held();
            drained.connections_cut = house.count();
            house.host.cut();
            house.halt.ring();
            // Holds that were cut end by themselves, with their end hooks.
            let quiet = async {
                house.empty().await;
                house.host.drain().await;
            };
            let _ = timeout(Self::GRACE, quiet).await;
            drained.hooks_unfinished = house.host.hooks();
        }
        drained.took = begun.elapsed();
        let Drained { holds_cut, connections_cut, hooks_unfinished, .. } = drained;
        if connections_cut > 0 || hooks_unfinished > 0 {
            tracing::warn!(holds_cut, connections_cut, hooks_unfinished, "the drain deadline has passed");
        }
        drained
    }
}

impl<H: Host> Drop for Service<H> {
    fn drop(&mut self) {
        self.accepting.abort();
        let (connections, holds) = (self.house.count(), self.house.host.held());
        if connections > 0 {
            tracing::warn!(connections, holds, "the server was dropped without `shutdown`: cut what it had");
            self.house.host.cut();
            self.house.halt.ring();
        }
    }
}

impl<H: Host> std::fmt::Debug for Service<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("addr", &self.addr).finish_non_exhaustive()
    }
}
