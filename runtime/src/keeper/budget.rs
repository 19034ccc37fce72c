//! The bytes that wait for all peers together and from them, and their bound. Above it, the largest holds pay first.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use abeyance_core::mechanisms::wire::WireForm;
use abeyance_core::sync::{AtomicU64, AtomicUsize, Mutex};
use abeyance_core::words::cause::{Disconnect, Resume};
use abeyance_core::words::tick::Tick;
use abeyance_settings::endpoint::WhenSlow;

use super::Keeper;
use super::end::EndEffects;
use super::end_request::EndRequest;
use super::hold::Hold;

/// How many bytes wait for all peers and from them: the sum over all outboxes while none is locked, and the bodies that
/// arrive.
#[derive(Default)]
pub(super) struct Budget {
    waiting: AtomicUsize,
    /// Held by the thread that makes room. Other threads over the bound wait for it. If they went on, they could queue
    /// faster than one thread frees, and there would be no bound.
    turn: Mutex<()>,
    /// When the last warning was logged.
    told: AtomicU64,
}

/// The least time between two warnings.
const TELL: Duration = Duration::from_secs(1);

impl Budget {
    /// Replaces `before` bytes of the sum with `after`.
    pub(super) fn changed(&self, before: usize, after: usize) {
        if after > before {
            self.waiting.fetch_add(after - before, Relaxed);
        } else if after < before {
            self.waiting.fetch_sub(before - after, Relaxed);
        }
    }

    /// Whether a warning is due: not if one was logged within the last second.
    fn is_worth_telling(&self, now: Tick) -> bool {
        let told = self.told.load(Relaxed);
        // The first warning is always due.
        let is_due = told == 0 || Tick(told).plus(TELL) <= now;
        is_due && self.told.compare_exchange(told, now.0.max(1), Relaxed, Relaxed).is_ok()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Whether no thread has the turn.
    #[cfg(test)]
    pub(super) fn is_free(&self) -> bool {
        self.turn.try_lock().is_some()
    }
}

impl Keeper {
    /// Whether `more` bytes may wait that a hook is sure to get and that are never given up. They may use half of the
    /// bound, so that slow peers do not pay for them.
    pub(crate) fn has_room_ahead(&self, more: usize) -> bool {
        self.budget.waiting().saturating_add(more) <= self.server_config().max_buffered / 2
    }

    /// Keeps what waits for all peers within its bound. Call it after something was queued, with every lock released.
    /// It costs one load unless the bound is exceeded.
    ///
    /// It frees an eighth of the bound more than it must, so that many messages share the cost of a look at all holds.
    pub(super) fn relieve(&self) {
        let bound = self.server_config().max_buffered;
        if self.budget.waiting() <= bound {
            return;
        }
        let turn = self.budget.turn.lock();
        if self.budget.waiting() <= bound {
            // The thread that had the turn before has freed enough.
            return;
        }
        let payers = self.payers();
        let paid = self.collect(&payers, bound - bound / 8);
        drop(turn);
        if !paid.is_empty() && self.budget.is_worth_telling(self.time().now()) {
            tracing::warn!(
                bound,
                holds = paid.len(),
                "too much waits for all peers: the largest send buffers pay; told once a second at most"
            );
        }
        for effects in paid {
            self.apply(effects);
        }
        // Dropped last: a payer may be the last handle on a hold.
        drop(payers);
    }

    /// The holds for or from which something waits, the largest first. Endings are among them: their bytes count until
    /// they are written.
    fn payers(&self) -> Vec<Arc<Hold>> {
        let registry = self.registry.lock();
        let holds = registry.ledger.held().chain(registry.ledger.ending());
        let waiting = holds.map(|hold| (hold.outbox().payable(), hold)).filter(|(waiting, _)| *waiting > 0);
        let mut payers: Vec<_> = waiting.map(|(waiting, hold)| (waiting, hold.clone())).collect();
        drop(registry);
        payers.sort_unstable_by_key(|(waiting, _)| Reverse(*waiting));
        payers.into_iter().map(|(_, hold)| hold).collect()
    }

    /// Makes one hold after the other pay until no more than `goal` bytes wait. Returns what is left to do with every
    /// lock released.
    ///
    /// A hold whose messages may be dropped is ended only if dropping did not suffice: direct messages are never
    /// dropped, and yet the bound must be kept.
    fn collect(&self, payers: &[Arc<Hold>], goal: usize) -> Vec<EndEffects> {
        let mut paid = Vec::new();
        for is_last_resort in [false, true] {
            for hold in payers {
                let excess = self.budget.waiting().saturating_sub(goal);
                if excess == 0 {
                    return paid;
                }
                let drops = hold.config.endpoint_config.when_slow != WhenSlow::Disconnect;
                paid.extend(match (drops, is_last_resort) {
                    (true, false) => hold.drop_for_others(excess),
                    (false, true) => None,
                    _ => self.end_for_others(hold),
                });
            }
        }
        paid
    }

    /// Ends a hold, or breaks off its ending. `None` if that frees nothing.
    fn end_for_others(&self, hold: &Hold) -> Option<EndEffects> {
        let mut outbox = hold.outbox();
        if outbox.payable() == 0 {
            // Its peer has read on since the payers were chosen.
            return None;
        }
        let is_inbound = outbox.inbound as usize > outbox.outbound();
        let end_request = match &mut outbox.pending {
            _ if is_inbound => Disconnect::Overload.into(),
            // A long poll never ends without an answer. What came before it was open is its answer now.
            Some(pending) if hold.form == WireForm::LongPoll => {
                EndRequest::with_last_messages(Resume::Answered, pending.take().collect())
            }
            _ => Disconnect::Slow.into(),
        };
        drop(outbox);
        let begun = self.registry.lock().end(hold, end_request);
        begun.map_or_else(|end_request| hold.break_off(end_request.last_messages.len()), Some)
    }
}

impl Hold {
    /// Drops what `when_slow` allows until `enough` bytes are free. `None` if nothing was dropped.
    fn drop_for_others(&self, enough: usize) -> Option<EndEffects> {
        let mut outbox = self.outbox();
        let before = outbox.dropped;
        outbox.drop_published(self.config.endpoint_config.when_slow, enough);
        if outbox.dropped == before {
            return None;
        }
        self.forget_block(&mut outbox);
        Some(EndEffects { room: outbox.room.clone(), ..EndEffects::default() })
    }

    /// Gives up an ending that takes too much memory, and what waits before it. `None` if that was done already. `more`
    /// messages are lost with it.
    fn break_off(&self, more: usize) -> Option<EndEffects> {
        let mut outbox = self.outbox();
        outbox.undelivered += more as u32;
        if outbox.send_buffer.is_empty() || std::mem::replace(&mut outbox.is_broken_off, true) {
            return None;
        }
        outbox.give_up_queued();
        outbox.is_cut = true;
        Some(EndEffects { waker: outbox.waker(), ..EndEffects::default() })
    }
}
