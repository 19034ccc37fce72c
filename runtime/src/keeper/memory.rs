//! What waits for all peers together.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// How many bytes wait for all peers: what every pen says of itself, at every moment at which no pen is in hand.
#[derive(Default)]
pub(super) struct Memory {
    waiting: AtomicUsize,
}

impl Memory {
    /// A pen was put down with this much waiting.
    pub(super) fn changed(&self, before: usize, after: usize) {
        if after > before {
            self.waiting.fetch_add(after - before, Relaxed);
        } else if after < before {
            self.waiting.fetch_sub(before - after, Relaxed);
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }
}
