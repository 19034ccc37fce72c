//! Idle time that is credited to a peer. While the server cannot read from a peer, its silence proves nothing.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use abeyance_core::words::peer_io::PeerIo;
use abeyance_core::words::tick::{Since, Tick};

use super::hold::Hold;
use super::outbox::Outbox;

impl Hold {
    /// The server stops reading from the peer. Its silence proves nothing until [`resume_reads`](Hold::resume_reads).
    pub(crate) fn pause_reads(&self) {
        let mut outbox = self.outbox();
        outbox.reads_paused = true;
        outbox.unreadable_since.begin(self.keeper().time().mark());
    }

    /// The server reads again.
    pub(crate) fn resume_reads(&self) {
        let mut outbox = self.outbox();
        outbox.reads_paused = false;
        self.credit_idle(&mut outbox);
    }

    /// Clears the blocked write, if all that waited was dropped.
    pub(super) fn forget_block(&self, outbox: &mut Outbox) {
        if outbox.send_buffer.is_empty() {
            outbox.blocked = Since::NOT;
            self.credit_idle(outbox);
        }
    }

    /// Credits the silence to the peer, once no write is blocked and reads are not paused.
    pub(super) fn credit_idle(&self, outbox: &mut Outbox) {
        if outbox.blocked.get().is_none()
            && !outbox.reads_paused
            && let Some(since) = outbox.unreadable_since.end()
        {
            let now = self.keeper().time().mark();
            let life = Tick(self.life.load(Relaxed)).plus(now.since(since)).min(now);
            // `fetch_max`: a sign of life that comes meanwhile must not be undone.
            self.life.fetch_max(self.proven(life, now, outbox.peer_io.as_deref()).0, Relaxed);
        }
    }

    /// Records bytes that came from the peer.
    pub(crate) fn record_received(&self, bytes: usize, peer_io: &dyn PeerIo) {
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
        let now = self.keeper().time().stamp();
        self.record_life_at(self.proven(now, now, Some(peer_io)));
    }

    /// Records bytes that came on another connection, by `POST`.
    pub(crate) fn record_posted(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
        self.record_life();
    }

    /// A sign of life, no later than the kernel can prove. While reads were paused or a write was blocked, the host may
    /// have vanished, and what it had sent before is read only now. The kernel knows when the host last answered. It is
    /// asked only if the peer was silent for a while.
    fn proven(&self, life: Tick, now: Tick, peer_io: Option<&dyn PeerIo>) -> Tick {
        const WHILE: Duration = Duration::from_secs(1);
        let known = Tick(self.life.load(Relaxed));
        if now.since(known) < WHILE || self.clocks().heartbeat.is_none() {
            return life;
        }
        peer_io.and_then(|peer_io| self.last_answer(peer_io)).map_or(life, |answer| life.min(answer))
    }
}
