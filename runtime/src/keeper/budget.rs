//! What waits for all peers together and from them, and its bound. When that is exceeded, the largest pay first.

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

/// How many bytes wait for all peers: what every pen says of itself, at every moment at which no pen is in hand.
#[derive(Default)]
pub(super) struct Budget {
    waiting: AtomicUsize,
    /// Whose turn it is to make room. Others wait for it and do not go on: while one looks for the largest, many could
    /// queue faster than it frees, and the bound would be none.
    turn: Mutex<()>,
    /// When the log last told of it.
    told: AtomicU64,
}

/// How often the log tells at most.
const TELL: Duration = Duration::from_secs(1);

impl Budget {
    /// A pen was put down with this much waiting.
    pub(super) fn changed(&self, before: usize, after: usize) {
        if after > before {
            self.waiting.fetch_add(after - before, Relaxed);
        } else if after < before {
            self.waiting.fetch_sub(before - after, Relaxed);
        }
    }

    /// Not when the log has been told within the last second.
    fn is_worth_telling(&self, now: Tick) -> bool {
        let told = self.told.load(Relaxed);
        // The first is told whenever it comes.
        let is_due = told == 0 || Tick(told).plus(TELL) <= now;
        is_due && self.told.compare_exchange(told, now.0.max(1), Relaxed, Relaxed).is_ok()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Whether nobody has the turn.
    #[cfg(test)]
    pub(super) fn is_free(&self) -> bool {
        self.turn.try_lock().is_some()
    }
}

impl Keeper {
    /// Whether so many more bytes may wait that will be heard and not be given up. Half of the bound: who is merely slow
    /// must not pay for them.
    pub(crate) fn has_room_ahead(&self, more: usize) -> bool {
        self.memory.waiting().saturating_add(more) <= self.server_config().max_buffered / 2
    }

    /// Keeps what waits for all peers within its bound. To be called by whoever has queued something, once every lock is
    /// released; it is one load unless the bound is exceeded.
    ///
    /// It frees an eighth of the bound more than it must, so that looking at all holds is paid for by many messages.
    pub(super) fn relieve(&self) {
        let bound = self.server_config().max_buffered;
        if self.memory.waiting() <= bound {
            return;
        }
        let turn = self.memory.turn.lock();
        if self.memory.waiting() <= bound {
            // Whoever had the turn before has made room for us too.
            return;
        }
        let payers = self.payers();
        let paid = self.collect(&payers, bound - bound / 8);
        drop(turn);
        if !paid.is_empty() && self.memory.is_worth_telling(self.time().now()) {
            tracing::warn!(
                bound,
                holds = paid.len(),
                "too much waits for all peers: the largest send buffers pay; told once a second at most"
            );
        }
        for aftermath in paid {
            self.finish(aftermath);
        }
        // Only now: it may be the last handle on a hold.
        drop(payers);
    }

    /// For or from whom something waits, the largest first. Endings too: theirs count as well until they are written.
    fn payers(&self) -> Vec<Arc<Hold>> {
        let registry = self.registry.lock();
        let holds = registry.ledger.held().chain(registry.ledger.ending());
        let waiting = holds.map(|hold| (hold.outbox().payable(), hold)).filter(|(waiting, _)| *waiting > 0);
        let mut payers: Vec<_> = waiting.map(|(waiting, hold)| (waiting, hold.clone())).collect();
        drop(registry);
        payers.sort_unstable_by_key(|(waiting, _)| Reverse(*waiting));
        payers.into_iter().map(|(_, hold)| hold).collect()
    }

    /// Has one after the other pay until no more than `goal` waits; gives back what is left to do outside of every lock.
    ///
    /// Whose messages may be dropped is ended only if all that did not suffice: what was sent to one peer alone is never
    /// dropped, and yet the bound stands.
    fn collect(&self, payers: &[Arc<Hold>], goal: usize) -> Vec<EndEffects> {
        let mut paid = Vec::new();
        for is_last_resort in [false, true] {
            for hold in payers {
                let excess = self.memory.waiting().saturating_sub(goal);
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

    /// Ends a hold, or the ending that it is at; `None` if that frees nothing.
    fn end_for_others(&self, hold: &Hold) -> Option<EndEffects> {
        let mut outbox = hold.outbox();
        if outbox.payable() == 0 {
            // Its peer has read on since it was looked at.
            return None;
        }
        let is_inbound = outbox.inbound as usize > outbox.outbound();
        let end_request = match &mut outbox.opening {
            _ if is_inbound => Disconnect::Overload.into(),
            // A poll is never cut without an answer. What came to it while it opened is its answer already now.
            Some(opening) if hold.form == WireForm::LongPoll => {
                EndRequest::with_last_messages(Resume::Answered, opening.take().collect())
            }
            _ => Disconnect::Slow.into(),
        };
        drop(outbox);
        let begun = self.registry.lock().end(hold, end_request);
        begun.map_or_else(|end_request| hold.break_off(end_request.last_messages.len()), Some)
    }
}

impl Hold {
    /// Drops what its terms allow until that has freed `enough`; `None` if there is nothing.
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

    /// Ends an ending that takes too much: what waits is given up, the ending itself too. `None` if it was already. So many
    /// messages more are lost with it.
    fn break_off(&self, more: usize) -> Option<EndEffects> {
        let mut outbox = self.outbox();
        outbox.undelivered += more as u32;
        if outbox.send_buffer.is_empty() || std::mem::replace(&mut outbox.is_broken_off, true) {
            return None;
        }
        outbox.give_up_backlog();
        outbox.is_cut = true;
        Some(EndEffects { waker: outbox.waker(), ..EndEffects::default() })
    }
}
