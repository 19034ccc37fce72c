//! What an end hook is given: a snapshot, so that nothing in it can belong to another connection.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use abeyance_core::sync::foreign;
use abeyance_core::words::hold_id::HoldId;
use abeyance_core::words::message::Message;
use abeyance_settings::endpoint::Transport;

use super::Keeper;
use super::hold::Hold;
use super::hub::Hub;

/// A snapshot of a hold that has ended.
///
/// It is a copy: nothing in it changes or is used again for another connection.
#[derive(Clone)]
pub struct Ended {
    keeper: Arc<Keeper>,
    id: HoldId,
    path: Box<str>,
    transport: Transport,
    peer: SocketAddr,
    held_for: Duration,
    silent_for: Duration,
    messages_in: u64,
    messages_out: u64,
    bytes_in: u64,
    bytes_out: u64,
    undelivered: u64,
    dropped: u64,
    unheard: u64,
    is_delivered: bool,
}

impl Ended {
    pub(crate) fn of(hold: &Hold, is_delivered: bool) -> Self {
        let keeper = hold.keeper().clone();
        let now = keeper.time().mark();
        let outbox = hold.outbox();
        Ended {
            id: hold.id,
            path: hold.path.clone(),
            transport: hold.transport(),
            peer: hold.peer(),
            held_for: now.since(hold.began),
            silent_for: now.since(abeyance_core::words::tick::Tick(hold.life.load(Relaxed))),
            messages_in: u64::from(hold.messages_in.load(Relaxed)),
            messages_out: outbox.messages_out,
            bytes_in: hold.bytes_in.load(Relaxed),
            bytes_out: outbox.bytes_out,
            undelivered: u64::from(outbox.undelivered()),
            dropped: outbox.dropped,
            unheard: 0,
            is_delivered,
            keeper: {
                drop(outbox);
                keeper
            },
        }
    }

    /// Updates the counts of the peer's messages after the wire was finished.
    pub(crate) fn heard(&mut self, hold: &Hold, unheard: u64) {
        self.messages_in = u64::from(hold.messages_in.load(Relaxed));
        self.unheard = unheard;
    }

    /// The hold's id.
    pub fn id(&self) -> HoldId {
        self.id
    }

    /// The path of the request that was held.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The transport.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The peer's address; behind a trusted proxy, the one the proxy named, with port 0.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// From the beginning of the hold to the end of its wire, without what stalls of the server took.
    pub fn held_for(&self) -> Duration {
        self.held_for
    }

    /// From the last sign of life to the end of its wire.
    pub fn silent_for(&self) -> Duration {
        self.silent_for
    }

    /// How many messages of the peer `on_message` was called with.
    pub fn messages_in(&self) -> u64 {
        self.messages_in
    }

    /// How many messages were handed to the peer's connection.
    pub fn messages_out(&self) -> u64 {
        self.messages_out
    }

    /// How many bytes the peer sent, framing and the bodies of its `POST`s included, the request's head not.
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in
    }

    /// How many bytes were handed to the peer's connection, framing and head included.
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out
    }

    /// How many accepted messages were not handed to the peer's connection because the hold ended before. What was
    /// [dropped](Ended::dropped) is not counted here again.
    pub fn undelivered(&self) -> u64 {
        self.undelivered
    }

    /// How many published messages [`when_slow`](crate::WhenSlow) dropped, whether they had waited for a while or never
    /// got that far.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many messages had arrived from the peer, whole, without a call of `on_message`: the time for all that still
    /// waited was over (one [hook deadline](crate::Server::hook_timeout)), a hook had failed, or the end cut them off
    /// ([`Kicked`](crate::Disconnect::Kicked), [`Reset`](crate::Disconnect::Reset),
    /// [`Overload`](crate::Disconnect::Overload), [`Shutdown`](crate::Disconnect::Shutdown), and where the peer speaks by
    /// `POST`, [`Violation`](crate::Disconnect::Violation)).
    ///
    /// What lay in the socket is counted as far as it was read: 256 KiB, where the end cut it off.
    pub fn unheard(&self) -> u64 {
        self.unheard
    }

    /// Whether the kernel took the whole ending for the peer (which may have vanished by then); `false` where the cause
    /// has none, as for a peer that is gone.
    pub fn is_delivered(&self) -> bool {
        self.is_delivered
    }

    /// The application's view of all holds, to publish later or to end others.
    pub fn hub(&self) -> Hub {
        Hub::new(self.keeper.clone())
    }

    /// Sends a message to all holds that joined `topic`, and returns for how many it was accepted. Never waits.
    pub fn publish(&self, topic: impl AsRef<str>, message: impl Into<Message>) -> usize {
        foreign::aside(move || self.keeper.publish(topic.as_ref(), &message.into()))
    }
}

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ended")
            .field("id", &self.id)
            .field("path", &self.path)
            .field("transport", &self.transport)
            .field("peer", &self.peer)
            .field("held_for", &self.held_for)
            .field("silent_for", &self.silent_for)
            .field("messages_in", &self.messages_in)
            .field("messages_out", &self.messages_out)
            .field("undelivered", &self.undelivered)
            .field("dropped", &self.dropped)
            .field("unheard", &self.unheard)
            .field("is_delivered", &self.is_delivered)
            .finish_non_exhaustive()
    }
}
