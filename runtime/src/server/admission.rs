//! What becomes of a new connection: it gets a slot and a task, or a short answer and a close.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::connection::serve;
use super::connections::Connections;
use super::idle_slot::{For, IdleSlot};
use super::linger::linger;
use super::service::Service;
use super::turn_away::TurnAway;
use crate::socket::Socket;

/// How long the server waits for the close of a connection that it turned away.
const LINGERS: Duration = Duration::from_secs(1);

impl<H: Service> Connections<H> {
    /// Admits a new connection, or turns it away; returns when the next may be accepted.
    pub(super) async fn receive(self: &Arc<Self>, socket: Arc<dyn Socket>) {
        let Some(entered) = self.enter(&socket).await else { return };
        match entered {
            Ok(slot) => self.admit(slot, socket),
            Err(why) => self.turn_away(socket, why),
        }
    }

    /// A slot for a new connection, under every bound; `None` if its peer has left already.
    pub(super) async fn enter(
        self: &Arc<Self>,
        socket: &Arc<dyn Socket>,
    ) -> Option<Result<Arc<IdleSlot<H>>, TurnAway>> {
        let peer = self.counted(socket.peer().ok()?.ip());
        let entered = self.unheld.lock().enter(peer, self.age());
        let (ticket, instead) = match entered {
            Ok(entered) => entered,
            Err(refused) => return Some(Err(TurnAway::Peer(refused))),
        };
        let slot = IdleSlot::new(self.clone(), ticket);
        if let Err(refused) = self.evict_own(instead, &self.unheld, peer).await {
            return Some(Err(TurnAway::Peer(refused)));
        }
        while self.count() >= self.capacity {
            if !self.evict_idlest().await {
                return Some(Err(TurnAway::Full));
            }
        }
        Some(Ok(slot))
    }

    /// Gives a connection that has a slot its task.
    pub(super) fn admit(self: &Arc<Self>, slot: Arc<IdleSlot<H>>, socket: Arc<dyn Socket>) {
        slot.wait(For::Request);
        let guard = self.guard();
        if let Some(descriptors) = &self.descriptors {
            socket.register_descriptor(descriptors);
        }
        tokio::spawn(serve(guard, slot, socket));
    }

    /// Answers a new connection without having read its request, and closes.
    pub(super) fn turn_away(&self, socket: Arc<dyn Socket>, why: TurnAway) {
        self.count_turned_away(&socket, why);
        socket.write_and_close(why.answer().as_bytes());
        // A request that comes after the close is answered with an RST. On some systems this destroys what the peer has
        // not read yet. So the server waits for the peer, but for a few at once only.
        let Ok(permit) = self.lingering.clone().try_acquire_owned() else { return };
        let service = self.service.clone();
        tokio::spawn(async move {
            let time = service.time();
            linger(&socket, time.mark().plus(LINGERS), time).await;
            drop((socket, permit));
        });
    }

    /// The same where the descriptor is needed at once: returns when the connection is closed.
    pub(super) async fn turn_away_at_once(&self, socket: Arc<dyn Socket>, why: TurnAway) {
        self.count_turned_away(&socket, why);
        socket.write_and_close(why.answer().as_bytes());
        // Most requests are there already, or come at once: a short wait is enough.
        let brief = LINGERS / 50;
        let time = self.service.time();
        let _ = timeout(brief, linger(&socket, time.mark().plus(brief), time)).await;
    }

    fn count_turned_away(&self, socket: &Arc<dyn Socket>, why: TurnAway) {
        self.service.count_turned_away();
        if let Ok(peer) = socket.peer() {
            self.service.deny(why.into(), peer);
        }
    }
}
