//! A shutdown that has no more time: first no hook is begun any more but end hooks, then those that run are cut.

use std::pin::pin;
use std::sync::atomic::Ordering::{Acquire, Release};

use tokio::sync::Notify;

use crate::sync::AtomicBool;

use super::Keeper;

#[derive(Default)]
pub(super) struct Haste {
    is_hurried: AtomicBool,
    are_hooks_cut: AtomicBool,
    /// Told when hooks are cut.
    cut: Notify,
}

impl Keeper {
    /// From now on no hook is begun but end hooks: messages that wait for one are not heard.
    pub(crate) fn hurry(&self) {
        self.haste.is_hurried.store(true, Release);
    }

    /// Whether no hook is begun any more but end hooks.
    pub(crate) fn is_hurried(&self) -> bool {
        self.haste.is_hurried.load(Acquire)
    }

    /// Cuts the hooks that run, but for end hooks: these are still to come.
    pub(crate) fn cut_hooks(&self) {
        self.haste.are_hooks_cut.store(true, Release);
        self.haste.cut.notify_waiters();
    }

    /// Returns when the hooks that run are cut.
    pub(crate) async fn hooks_cut(&self) {
        let mut cut = pin!(self.haste.cut.notified());
        cut.as_mut().enable();
        if !self.haste.are_hooks_cut.load(Acquire) {
            cut.await;
        }
    }
}
