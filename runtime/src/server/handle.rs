//! A server that runs, and how it stops.

use std::future::pending;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::select;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::accept::accept;
use super::audit::{Audits, look};
use super::connections::Connections;
use super::service::Service;
use crate::dispatch::Dispatch;
use crate::dispatch::cleanup::Cleanup;
use crate::keeper::audit::Audit;
use crate::keeper::hub::Hub;
use crate::socket::Listener;
use abeyance_core::words::socket_count::SocketCount;

/// A running server.
///
/// Dropping it without [`shutdown`](ServerHandle::shutdown) cuts every connection, and logs how many.
#[derive(Debug)]
#[must_use = "dropping a running server stops it at once: keep it, and call `shutdown`"]
pub struct ServerHandle {
    service: Serving<Dispatch>,
    hub: Hub,
    cleanup: Cleanup,
    /// Dropped with it; never read.
    _audits: Audits,
}

/// It is shared among threads, and held across awaits.
const _: fn() = || {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<ServerHandle>();
};

/// What a shutdown came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainReport {
    /// How many holds' ends had not begun when the time for it was over: they ended as
    /// [`Disconnect::Shutdown`](crate::Disconnect::Shutdown).
    pub holds_cut: usize,
    /// How many connections were cut in the end: those of `holds_cut`, requests that were being answered, and those
    /// whose hold had an end that the peer did not take, or did not answer with its own close.
    pub connections_cut: usize,
    /// How many end hooks had not returned a second later. They are not waited for.
    pub hooks_unfinished: usize,
    /// Whether something of [`Server::after_drain`](crate::Server::after_drain) panicked, returned an error, or was not
    /// done in time.
    pub after_drain_failed: bool,
    /// How long it took, without `after_drain`.
    pub took: Duration,
}

impl ServerHandle {
    pub(crate) fn start(
        listener: impl Listener,
        dispatch: Arc<Dispatch>,
        hub: Hub,
        cleanup: Cleanup,
        capacity: usize,
    ) -> Self {
        dispatch.keep_time();
        let service = Serving::start(listener, dispatch, capacity);
        let audits = Audits::start(service.connections.clone(), hub.clone());
        ServerHandle { service, hub, cleanup, _audits: audits }
    }

    /// The address on which it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.service.local_addr
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

    /// One line for each handler: its path, transports, limits and source.
    pub(super) fn lines(&self) -> Vec<String> {
        self.service.connections.service.lines()
    }

    /// The settings of the server, by section, and the topics that keep something: a line each.
    pub(super) fn bounds(&self) -> Vec<String> {
        self.service.connections.service.bounds()
    }

    /// Logs where it listens, and what is in effect.
    pub(super) fn log(&self) {
        tracing::info!(addr = %self.local_addr(), "listening");
        for line in self.lines().into_iter().chain(self.bounds()) {
            tracing::info!("{line}");
        }
    }

    /// Stops in good order: accepts nothing more, ends all holds in good order, lets requests finish that are being
    /// answered, and cuts what is left when [`drain`](crate::Server::drain) has passed.
    ///
    /// The ends are spread over the drain, as that says, and what has not ended is held as before. Dropping the future
    /// cuts everything at once and waits for nothing; [`shutdown_until`](ServerHandle::shutdown_until) gives hooks a
    /// second.
    pub async fn shutdown(self) -> DrainReport {
        self.shutdown_until(pending::<()>()).await
    }

    /// As [`shutdown`](ServerHandle::shutdown), but when `hurry` is ready, what is left is cut at once: a hold whose
    /// end had not begun ends as [`Disconnect::Shutdown`](crate::Disconnect::Shutdown), and end hooks have one more
    /// second, as has then what [`Server::after_drain`](crate::Server::after_drain) was given.
    ///
    /// ```no_run
    /// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = abeyance::Server::new().mount_all().bind("127.0.0.1:8080").await?;
    /// abeyance::shutdown_signal().await?;
    /// // Until a second signal.
    /// server.shutdown_until(abeyance::shutdown_signal()).await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown_until(self, hurry: impl Future) -> DrainReport {
        let ServerHandle { service, cleanup, .. } = self;
        let mut hurry = pin!(hurry);
        let mut is_in_hurry = false;
        let deadline = service.connections.service.server_config().hook_timeout;
        let mut drained = service
            .shutdown(async {
                hurry.as_mut().await;
                is_in_hurry = true;
            })
            .await;
        let limit = timeout(deadline, async {
            if !is_in_hurry {
                hurry.await;
            }
            sleep(GRACE).await;
        });
        drained.after_drain_failed = !cleanup.run(limit).await;
        drained
    }
}

/// How long end hooks, the endings of what was still held, and what is done after the drain may take when there is no
/// more time.
const GRACE: Duration = Duration::from_secs(1);

/// A running server over any service.
pub(super) struct Serving<H: Service> {
    pub(super) local_addr: SocketAddr,
    pub(super) connections: Arc<Connections<H>>,
    accepting: JoinHandle<()>,
}

impl<H: Service> Serving<H> {
    /// How long connections may take to notice that they were cut.
    const LAST: Duration = Duration::from_millis(100);

    pub(super) fn start(listener: impl Listener, service: Arc<H>, capacity: usize) -> Self {
        let connections = Connections::new(service, capacity, listener.descriptors());
        let local_addr = listener.local_addr();
        Serving { local_addr, accepting: tokio::spawn(accept(listener, connections.clone())), connections }
    }

    /// Compares what is counted with what is open; `None` where the system does not say.
    pub(super) async fn look(&self, holds: impl Fn() -> usize) -> Option<SocketCount> {
        look(&self.connections, holds).await
    }

    pub(super) async fn shutdown(mut self, hurry: impl Future) -> DrainReport {
        let begun = Instant::now();
        let connections = &self.connections;
        let drain = connections.service.server_config().drain;
        let due = connections.service.time().mark().plus(drain);
        // Awaited, so that the port is free from here on.
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
        connections.stop.cancel();
        // A drain of no time would still have its first turn.
        let is_orderly = !drain.is_zero()
            && select! {
                biased;
                drained = connections.service.time().before(due, self.drain()) => drained.is_some(),
                _ = hurry => false,
            };
        let mut report = DrainReport {
            holds_cut: 0,
            connections_cut: 0,
            hooks_unfinished: 0,
            after_drain_failed: false,
            took: Duration::ZERO,
        };
        if !is_orderly {
            report = self.cut(report).await;
        }
        report.took = begun.elapsed();
        report
    }

    /// Ends everything in good order.
    async fn drain(&self) {
        self.connections.service.drain().await;
        self.connections.empty().await;
    }

    /// Cuts what is left when the time for the drain is over; says what that was.
    async fn cut(&self, report: DrainReport) -> DrainReport {
        let Connections { service, halt, .. } = &*self.connections;
        let (holds_cut, connections_cut) = (service.held(), self.connections.count());
        // Those of them whose hold's end had begun: most wait for their peer to close, too.
        let closing = service.ending();
        service.stop();
        halt.cancel();
        // Holds end by themselves, hooks that run go on, end hooks follow, and each is told.
        let quiet = async {
            self.connections.empty().await;
            service.quiet().await;
        };
        let _ = timeout(GRACE, quiet).await;
        let are_end_hooks_to_come = service.cut();
        let _ = timeout(Self::LAST, self.connections.empty()).await;
        if are_end_hooks_to_come {
            // Hooks that hung are cut by now. Their end hooks have no less time than others.
            let _ = timeout(GRACE, service.quiet()).await;
        }
        let hooks_unfinished = service.hooks();
        if connections_cut > closing || hooks_unfinished > 0 {
            tracing::warn!(
                holds_cut,
                connections_cut,
                hooks_unfinished,
                "not everything ended in good order"
            );
        } else if connections_cut > 0 {
            tracing::info!(
                connections_cut,
                "connections whose end had begun, and that did not close, were cut"
            );
        }
        DrainReport { holds_cut, connections_cut, hooks_unfinished, ..report }
    }
}

impl<H: Service> Drop for Serving<H> {
    fn drop(&mut self) {
        self.accepting.abort();
        let (connections, holds) = (self.connections.count(), self.connections.service.held());
        if connections > 0 {
            tracing::warn!(connections, holds, "the server was dropped without `shutdown`: cut what it had");
        }
        if connections > 0 || self.connections.service.hooks() > 0 {
            let _ = self.connections.service.cut();
            self.connections.halt.cancel();
        }
    }
}

impl<H: Service> std::fmt::Debug for Serving<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("addr", &self.local_addr).finish_non_exhaustive()
    }
}
