//! One held connection: its fixed facts, its clocks, and its outbox behind a lock.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::Notify;

use abeyance_core::mechanisms::clock::{Beats, Clocks};
use abeyance_core::mechanisms::wire::WireForm;
use abeyance_core::sync::{AtomicU32, AtomicU64, Mutex};
use abeyance_core::words::hold_id::HoldId;
use abeyance_core::words::peer_io::PeerIo;
use abeyance_core::words::tick::Tick;
use abeyance_settings::endpoint::Transport;

use super::Keeper;
use super::hold_config::HoldConfig;
use super::outbox::Outbox;
use super::outbox_guard::OutboxGuard;

/// One hold. An idle hold costs little more than this struct, so what only some holds need is boxed.
pub(crate) struct Hold {
    pub(crate) id: HoldId,
    pub(crate) config: Arc<HoldConfig>,
    pub(crate) form: WireForm,
    peer: Address,
    pub(crate) path: Box<str>,
    pub(crate) began: Tick,
    pub(super) expires: Tick,
    pub(super) activity: AtomicU64,
    pub(super) life: AtomicU64,
    pub(super) beat: AtomicU64,
    pub(super) next_beat: AtomicU64,
    pub(super) bytes_in: AtomicU64,
    pub(super) messages_in: AtomicU32,
    /// Locked by [`outbox`](Hold::outbox) only.
    outbox: Mutex<Outbox>,
}

/// An address in 18 bytes. A `SocketAddr` has 32, for flow labels and scopes that do not identify a peer.
struct Address {
    ip: Ipv6Addr,
    port: u16,
}

/// What a new hold is made from.
pub(crate) struct NewHold {
    pub(crate) form: WireForm,
    pub(crate) peer: SocketAddr,
    pub(crate) path: Box<str>,
    pub(crate) peer_io: Arc<dyn PeerIo>,
}

impl Hold {
    pub(crate) fn begin(id: HoldId, now: Tick, config: Arc<HoldConfig>, new_hold: NewHold) -> Arc<Self> {
        let NewHold { form, peer, path, peer_io } = new_hold;
        // Drawn, so that holds that began together do not end together.
        let lifetime = config.endpoint_config.max_lifetime.map(|span| span - drawn(span / 10));
        let hold = Hold {
            id,
            config,
            form,
            peer: peer.into(),
            path,
            began: now,
            expires: lifetime.map_or(Tick::NEVER, |span| now.plus(span)),
            activity: now.0.into(),
            life: now.0.into(),
            beat: 0.into(),
            next_beat: 0.into(),
            bytes_in: 0.into(),
            messages_in: 0.into(),
            outbox: Mutex::new(Outbox::new(peer_io)),
        };
        hold.draw_first_beat(now);
        Arc::new(hold)
    }

    pub(crate) fn keeper(&self) -> &Arc<Keeper> {
        &self.config.keeper
    }

    /// Locks the outbox.
    pub(super) fn outbox(&self) -> OutboxGuard<'_> {
        OutboxGuard::new(&self.config, self.outbox.lock())
    }

    /// Whether no thread has locked the outbox.
    #[cfg(test)]
    pub(super) fn is_outbox_free(&self) -> bool {
        self.outbox.try_lock().is_some()
    }

    /// The peer's address; behind a trusted proxy, the one the proxy named, with port 0.
    pub(crate) fn peer(&self) -> SocketAddr {
        SocketAddr::new(self.peer.ip.to_canonical(), self.peer.port)
    }

    pub(crate) fn transport(&self) -> Transport {
        self.form.transport()
    }

    /// Records that a message was delivered or received.
    pub(crate) fn record_activity(&self) {
        raise(&self.activity, self.keeper().time().stamp());
    }

    /// Records a sign of life.
    pub(crate) fn record_life(&self) {
        self.record_life_at(self.keeper().time().stamp());
    }

    pub(super) fn record_life_at(&self, at: Tick) {
        raise(&self.life, at);
    }

    /// Records an application message from the peer.
    pub(crate) fn record_message(&self) {
        self.messages_in.fetch_add(1, Relaxed);
        self.record_activity();
    }

    /// Notified when there may be room in the send buffer.
    pub(super) fn room(&self) -> Arc<Notify> {
        self.outbox().room.get_or_insert_with(Arc::default).clone()
    }

    pub(crate) fn clocks(&self) -> Clocks {
        let endpoint_config = &self.config.endpoint_config;
        let transport = self.transport();
        Clocks {
            timeout: endpoint_config.timeout(transport),
            max_idle: endpoint_config.max_idle,
            heartbeat: endpoint_config.heartbeat(transport),
            write_timeout: self.keeper().server_config().write_timeout,
            beats: if transport == Transport::LongPoll { Beats::Kernel } else { Beats::Ours },
        }
    }
}

/// A random part of a span.
pub(super) fn drawn(span: Duration) -> Duration {
    Duration::from_millis(fastrand::u64(..=u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
}

/// Sets a clock's start to a later tick. Between two sweeps all stamps are equal, so mostly this is one load.
fn raise(start: &AtomicU64, to: Tick) {
    if start.load(Relaxed) < to.0 {
        // Not `store`: a thread that is slow between stamp and store must not set it back.
        start.fetch_max(to.0, Relaxed);
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        Address { ip, port: address.port() }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold")
            .field("id", &self.id)
            .field("transport", &self.transport())
            .field("peer", &self.peer())
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
