//! A connection's place while it is not held: whether it waits, and how it is asked to leave.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use parking_lot::Mutex;

use super::host::Host;
use super::house::{Bell, House};
use crate::mechanisms::lobby::Ticket;
use crate::socket::Socket;

/// The place of one connection in the lobby, from its acceptance or the end of its hold to its hold or its end.
/// A held connection has none, so this may be large.
pub(super) struct Place<H: Host> {
    house: Arc<House<H>>,
    ticket: Mutex<Option<Ticket>>,
    /// As the ticket says, so that whoever waits already need not ask the lobby.
    waits: AtomicBool,
    /// It has sent a whole head.
    is_heard: AtomicBool,
    way_out: Arc<WayOut>,
}

/// How a connection is asked to leave, and how it says that it did.
#[derive(Default)]
pub(super) struct WayOut {
    asked: Bell,
    gone: Bell,
}

impl<H: Host> Place<H> {
    pub(super) fn new(house: Arc<House<H>>, ticket: Ticket) -> Arc<Self> {
        Arc::new(Place {
            house,
            ticket: Mutex::new(Some(ticket)),
            waits: AtomicBool::new(false),
            is_heard: AtomicBool::new(false),
            way_out: Arc::default(),
        })
    }

    /// The place of a connection that was held until now.
    pub(super) fn back(house: &Arc<House<H>>, peer: SocketAddr) -> Arc<Self> {
        let ticket = house.lobby.lock().come_back(house.counted(peer.ip()));
        let place = Place::new(house.clone(), ticket);
        place.is_heard.store(true, SeqCst);
        place.wait();
        place
    }

    /// It waits from now on: it can be asked to leave.
    pub(super) fn wait(&self) {
        if self.waits.swap(true, SeqCst) {
            return;
        }
        if let Some(ticket) = &mut *self.ticket.lock() {
            self.house.lobby.lock().wait(ticket, self.way_out.clone());
        }
    }

    /// A whole head has come; `false` if the connection was asked to leave before that.
    pub(super) fn begin(&self) -> bool {
        self.is_heard.store(true, SeqCst);
        let begun = match &mut *self.ticket.lock() {
            Some(ticket) => self.house.lobby.lock().begin(ticket),
            None => true,
        };
        if begun {
            self.waits.store(false, SeqCst);
        }
        begun
    }

    /// Returns when it was asked to leave.
    pub(super) async fn asked(&self) {
        self.way_out.asked.rung().await;
    }

    /// Leaves because it was asked to.
    pub(super) fn make_way(&self, line: &Arc<dyn Socket>) {
        // Whoever was answered may not have read it all yet, and an RST would destroy that. Of the others the kernel
        // shall remember nothing.
        if !self.is_heard.load(SeqCst) {
            line.cut();
        }
    }

    /// It is held now, somebody else's, or gone.
    pub(super) fn leave(&self) {
        if let Some(ticket) = self.ticket.lock().take() {
            self.house.lobby.lock().leave(ticket);
        }
        self.way_out.gone.ring();
    }
}

impl<H: Host> Drop for Place<H> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl WayOut {
    /// Asks the connection to leave.
    pub(super) fn ask(&self) {
        self.asked.ring();
    }

    /// Returns when its socket is closed.
    pub(super) async fn gone(&self) {
        self.gone.rung().await;
    }
}

impl std::fmt::Debug for WayOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WayOut").finish_non_exhaustive()
    }
}
