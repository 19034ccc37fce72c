//! An event that happens once. A task that asks later learns of it, too.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use tokio::sync::Notify;

/// Tells any number of tasks, once, to stop.
#[derive(Default)]
pub(super) struct Cancellation {
    is_cancelled: AtomicBool,
    waiting: Notify,
}

impl Cancellation {
    pub(super) fn cancel(&self) {
        self.is_cancelled.store(true, SeqCst);
        self.waiting.notify_waiters();
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(SeqCst)
    }

    /// Returns when it is cancelled.
    pub(super) async fn cancelled(&self) {
        let mut told = pin!(self.waiting.notified());
        told.as_mut().enable();
        if !self.is_cancelled() {
            told.await;
        }
    }
}
