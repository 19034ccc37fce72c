//! Which connection is asked to leave, or for its parser, where there are no more of either.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

use super::connections::Connections;
use super::evict::Evict;
use super::idle_slot::{IdleSlot, Parser};
use super::service::Service;
use super::turn_away::TurnAway;
use abeyance_core::mechanisms::connection_queue::{ConnectionQueue, Refused, Ticket};
use abeyance_core::words::peer::Peer;

impl<H: Service> Connections<H> {
    /// Asks the connection that has waited longest to leave, and returns when it has left; `false` if none waits.
    pub(super) async fn evict_idlest(&self) -> bool {
        loop {
            let longest = self.unheld.lock().longest(self.age());
            match longest {
                Some(evict) if evict.ask().await => return true,
                Some(_) => {}
                None => return false,
            }
        }
    }

    /// Asks `instead` to leave, a connection of the same peer. If it stays, another one of this peer is asked.
    pub(super) async fn evict_own(
        &self,
        mut instead: Option<Arc<Evict>>,
        queue: &Mutex<ConnectionQueue<Arc<Evict>>>,
        peer: Option<Peer>,
    ) -> Result<(), Refused> {
        while let Some(evict) = instead {
            if evict.ask().await {
                break;
            }
            instead = queue.lock().another(peer, self.age())?;
        }
        Ok(())
    }

    /// A parser for a connection that has sent something. If none is left, the connection with a parser that has waited
    /// longest for its peer is asked for it: one that rests gives its parser up and stays, any other leaves.
    pub(super) async fn parser(self: &Arc<Self>, slot: &Arc<IdleSlot<H>>) -> Result<Parser<H>, TurnAway> {
        let peer = slot.peer();
        let entered = self.parsers.lock().enter(peer, self.age());
        let (ticket, instead) = entered.map_err(TurnAway::Peer)?;
        let applicant = Applicant { connections: self, ticket: Some(ticket) };
        self.evict_own(instead, &self.parsers, peer).await.map_err(TurnAway::Peer)?;
        // One after the other, in the order in which they came. If all asked at once, a crowd would evict connections
        // that have a parser since a moment ago.
        let _turn = self.parser_turn.lock().await;
        loop {
            if let Ok(permit) = self.parser_permits.clone().try_acquire_owned() {
                return Ok(applicant.succeed(slot, permit));
            }
            let longest = self.parsers.lock().longest(self.age());
            let Some(evict) = longest else { return Err(TurnAway::Busy) };
            evict.ask().await;
        }
    }
}

/// A connection that waits for a parser. The queue counts it already.
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
