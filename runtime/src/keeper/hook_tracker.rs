//! Hooks that outlive their connection. When a shutdown has no more time, first only end hooks begin, then the hooks
//! that run are cut.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};

use tokio::sync::Notify;

use abeyance_core::sync::{AtomicBool, AtomicUsize, Mutex};
use abeyance_core::words::peer::Peer;

use super::{Keeper, RunningHook};

/// The hooks that outlive their connection, and whether they may go on.
#[derive(Default)]
pub(super) struct HookTracker {
    is_hurried: AtomicBool,
    are_hooks_cut: AtomicBool,
    /// Notified when hooks are cut.
    cut: Notify,
    /// How many holds have finished their connection and not their hooks.
    unfinished: AtomicUsize,
    /// The same for each peer. Its lock is a leaf.
    of_peers: Mutex<HashMap<Peer, usize>>,
}

/// A hold that has finished its connection and not its hooks. It counts among the hooks that run until it is dropped.
pub(crate) struct UnfinishedHooks {
    keeper: Arc<Keeper>,
    peer: Peer,
    /// How many bytes wait for a hook.
    waiting: usize,
    _running: RunningHook,
}

impl UnfinishedHooks {
    /// Sets how many bytes wait for a hook.
    pub(crate) fn count(&mut self, waiting: usize) {
        self.keeper.budget.changed(std::mem::replace(&mut self.waiting, waiting), waiting);
    }
}

impl Drop for UnfinishedHooks {
    fn drop(&mut self) {
        self.count(0);
        let mut of_peers = self.keeper.hook_tracker.of_peers.lock();
        if let Some(count) = of_peers.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                of_peers.remove(&self.peer);
            }
        }
        drop(of_peers);
        self.keeper.hook_tracker.unfinished.fetch_sub(1, Release);
    }
}

impl Keeper {
    /// From now on only end hooks begin. Messages that wait for `on_message` are counted as unheard.
    pub(crate) fn hurry(&self) {
        self.hook_tracker.is_hurried.store(true, Release);
    }

    /// Whether only end hooks may begin.
    pub(crate) fn is_hurried(&self) -> bool {
        self.hook_tracker.is_hurried.load(Acquire)
    }

    /// Cuts the hooks that run, except end hooks. Returns whether end hooks are still to come.
    pub(crate) fn cut_hooks(&self) -> bool {
        let counts = self.counts();
        let are_to_come = counts.held + counts.ending + self.hook_tracker.unfinished.load(Acquire) > 0;
        self.hook_tracker.are_hooks_cut.store(true, Release);
        self.hook_tracker.cut.notify_waiters();
        are_to_come
    }

    /// A hold has finished its connection and not its hooks.
    pub(crate) fn leave_hooks(self: &Arc<Self>, peer: Peer) -> UnfinishedHooks {
        *self.hook_tracker.of_peers.lock().entry(peer).or_default() += 1;
        self.hook_tracker.unfinished.fetch_add(1, Acquire);
        UnfinishedHooks { keeper: self.clone(), peer, waiting: 0, _running: self.begin_hook() }
    }

    /// How many holds of a peer have finished their connection and not their hooks.
    pub(super) fn unfinished_of(&self, peer: Peer) -> usize {
        self.hook_tracker.of_peers.lock().get(&peer).copied().unwrap_or(0)
    }

    /// Returns when the hooks that run are cut.
    pub(crate) async fn hooks_cut(&self) {
        let mut cut = pin!(self.hook_tracker.cut.notified());
        cut.as_mut().enable();
        if !self.hook_tracker.are_hooks_cut.load(Acquire) {
            cut.await;
        }
    }
}
