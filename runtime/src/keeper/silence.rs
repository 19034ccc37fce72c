//! While we cannot hear a peer, its silence proves nothing.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use abeyance_core::words::peer_io::PeerIo;
use abeyance_core::words::tick::{Since, Tick};

use super::hold::Hold;
use super::outbox::Outbox;

impl Hold {
    /// We stop reading from the peer: its silence proves nothing until [`listen`](Hold::listen).
    pub(crate) fn pause_reads(&self) {
        let mut outbox = self.outbox();
        outbox.is_deaf = true;
        outbox.unheard.begin(self.keeper().time().mark());
    }

    /// We read again.
    pub(crate) fn resume_reads(&self) {
        let mut outbox = self.outbox();
        outbox.is_deaf = false;
        self.credit_idle(&mut outbox);
    }

    /// Nothing waits any more because what did was dropped: no write is blocked.
    pub(super) fn forget_block(&self, outbox: &mut Outbox) {
        if outbox.send_buffer.is_empty() {
            outbox.blocked = Since::NOT;
            self.credit_idle(outbox);
        }
    }

    /// Gives the silence back, once nothing keeps us from hearing the peer.
    pub(super) fn credit_idle(&self, outbox: &mut Outbox) {
        if outbox.blocked.get().is_none()
            && !outbox.is_deaf
            && let Some(since) = outbox.unheard.end()
        {
            let now = self.keeper().time().mark();
            let life = Tick(self.life.load(Relaxed)).plus(now.since(since)).min(now);
            // Signs of life may come meanwhile: never back behind one of them.
            self.life.fetch_max(self.proven(life, now, outbox.socket.as_deref()).0, Relaxed);
        }
    }

    /// Notes bytes that came from the peer.
    pub(crate) fn note_received(&self, bytes: usize, socket: &dyn PeerIo) {
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
        let now = self.keeper().time().stamp();
        self.note_life_at(self.proven(now, now, Some(socket)));
    }

    /// Notes bytes that came on another connection, by `POST`.
    pub(crate) fn note_posted(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
        self.note_life();
    }

    /// A sign of life as far as it is proven: while we did not read or a write was blocked, a host may have vanished, and
    /// what it had sent before is read only now. Its kernel knows when it last answered; asked only where that was
    /// silent for a while.
    fn proven(&self, life: Tick, now: Tick, socket: Option<&dyn PeerIo>) -> Tick {
        const WHILE: Duration = Duration::from_secs(1);
        let known = Tick(self.life.load(Relaxed));
        if now.since(known) < WHILE || self.clocks().heartbeat.is_none() {
            return life;
        }
        socket.and_then(|socket| self.last_answer(socket)).map_or(life, |answer| life.min(answer))
    }
}
