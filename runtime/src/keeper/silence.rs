//! While we cannot hear a peer, its silence proves nothing.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use abeyance_core::words::line::Line;
use abeyance_core::words::tick::{Since, Tick};

use super::hold::Hold;
use super::pen::Pen;

impl Hold {
    /// We stop reading from the peer: its silence proves nothing until [`listen`](Hold::listen).
    pub(crate) fn deafen(&self) {
        let mut pen = self.pen();
        pen.is_deaf = true;
        pen.unheard.begin(self.keeper().time().mark());
    }

    /// We read again.
    pub(crate) fn listen(&self) {
        let mut pen = self.pen();
        pen.is_deaf = false;
        self.hear(&mut pen);
    }

    /// Nothing waits any more because what did was dropped: no write is blocked.
    pub(super) fn forget_block(&self, pen: &mut Pen) {
        if pen.send_buffer.is_empty() {
            pen.blocked = Since::NOT;
            self.hear(pen);
        }
    }

    /// Gives the silence back, once nothing keeps us from hearing the peer.
    pub(super) fn hear(&self, pen: &mut Pen) {
        if pen.blocked.get().is_none()
            && !pen.is_deaf
            && let Some(since) = pen.unheard.end()
        {
            let now = self.keeper().time().mark();
            let life = Tick(self.life.load(Relaxed)).plus(now.since(since)).min(now);
            // Signs of life may come meanwhile: never back behind one of them.
            self.life.fetch_max(self.proven(life, now, pen.line.as_deref()).0, Relaxed);
        }
    }

    /// Notes bytes that came from the peer.
    pub(crate) fn note_received(&self, bytes: usize, line: &dyn Line) {
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
        let now = self.keeper().time().stamp();
        self.note_life_at(self.proven(now, now, Some(line)));
    }

    /// Notes bytes that came on another connection, by `POST`.
    pub(crate) fn note_posted(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
        self.note_life();
    }

    /// A sign of life as far as it is proven: while we did not read or a write was blocked, a host may have vanished, and
    /// what it had sent before is read only now. Its kernel knows when it last answered; asked only where that was
    /// silent for a while.
    fn proven(&self, life: Tick, now: Tick, line: Option<&dyn Line>) -> Tick {
        const WHILE: Duration = Duration::from_secs(1);
        let known = Tick(self.life.load(Relaxed));
        if now.since(known) < WHILE || self.clocks().heartbeat.is_none() {
            return life;
        }
        line.and_then(|line| self.last_answer(line)).map_or(life, |answer| life.min(answer))
    }
}
