//! While we cannot hear a peer, its silence proves nothing.

use std::sync::atomic::Ordering::Relaxed;

use crate::words::tick::{Since, Tick};

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
        if pen.backlog.is_empty() {
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
            self.give_back_silence(since, self.keeper().time().mark());
        }
    }

    /// Silence while we could not hear proves nothing: the peer gets that time back.
    pub(super) fn give_back_silence(&self, since: Tick, now: Tick) {
        let life = Tick(self.life.load(Relaxed));
        // Signs of life may come meanwhile: never back behind one of them.
        self.life.fetch_max(life.plus(now.since(since)).min(now).0, Relaxed);
    }
}
