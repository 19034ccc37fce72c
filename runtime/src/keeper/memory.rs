//! What waits for all peers together and from them, and its bound. When that is exceeded, the largest pay first.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use abeyance_core::mechanisms::wire::Form;
use abeyance_core::sync::{AtomicU64, AtomicUsize, Mutex};
use abeyance_core::words::cause::{Disconnect, Resume};
use abeyance_core::words::tick::Tick;
use abeyance_settings::terms::WhenSlow;

use super::Keeper;
use super::end::Aftermath;
use super::hold::Hold;
use super::note::Note;

/// How many bytes wait for all peers: what every pen says of itself, at every moment at which no pen is in hand.
#[derive(Default)]
pub(super) struct Memory {
    waiting: AtomicUsize,
    /// Whose turn it is to make room. Others wait for it and do not go on: while one looks for the largest, many could
    /// queue faster than it frees, and the bound would be none.
    turn: Mutex<()>,
    /// When the log last told of it.
    told: AtomicU64,
}

/// How often the log tells at most.
const TELL: Duration = Duration::from_secs(1);

impl Memory {
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
        self.memory.waiting().saturating_add(more) <= self.policy().max_buffered / 2
    }

    /// Keeps what waits for all peers within its bound. To be called by whoever has queued something, once every lock is
    /// released; it is one load unless the bound is exceeded.
    ///
    /// It frees an eighth of the bound more than it must, so that looking at all holds is paid for by many messages.
    pub(super) fn relieve(&self) {
        let bound = self.policy().max_buffered;
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
        let books = self.books.lock();
        let holds = books.ledger.held().chain(books.ledger.ending());
        let waiting = holds.map(|hold| (hold.pen().payable(), hold)).filter(|(waiting, _)| *waiting > 0);
        let mut payers: Vec<_> = waiting.map(|(waiting, hold)| (waiting, hold.clone())).collect();
        drop(books);
        payers.sort_unstable_by_key(|(waiting, _)| Reverse(*waiting));
        payers.into_iter().map(|(_, hold)| hold).collect()
    }

    /// Has one after the other pay until no more than `goal` waits; gives back what is left to do outside of every lock.
    ///
    /// Whose messages may be dropped is ended only if all that did not suffice: what was sent to one peer alone is never
    /// dropped, and yet the bound stands.
    fn collect(&self, payers: &[Arc<Hold>], goal: usize) -> Vec<Aftermath> {
        let mut paid = Vec::new();
        for is_last_resort in [false, true] {
            for hold in payers {
                let excess = self.memory.waiting().saturating_sub(goal);
                if excess == 0 {
                    return paid;
                }
                let drops = hold.post.terms.when_slow != WhenSlow::Disconnect;
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
    fn end_for_others(&self, hold: &Hold) -> Option<Aftermath> {
        let mut pen = hold.pen();
        if pen.payable() == 0 {
            // Its peer has read on since it was looked at.
            return None;
        }
        let is_inbound = pen.inbound as usize > pen.outbound();
        let note = match &mut pen.opening {
            _ if is_inbound => Disconnect::Overload.into(),
            // A poll is never cut without an answer. What came to it while it opened is its answer already now.
            Some(opening) if hold.form == Form::LongPoll => {
                Note::with_farewell(Resume::Answered, opening.take().collect())
            }
            _ => Disconnect::Slow.into(),
        };
        drop(pen);
        let begun = self.books.lock().end(hold, note);
        begun.map_or_else(|note| hold.break_off(note.farewell.len()), Some)
    }
}

impl Hold {
    /// Drops what its terms allow until that has freed `enough`; `None` if there is nothing.
    fn drop_for_others(&self, enough: usize) -> Option<Aftermath> {
        let mut pen = self.pen();
        let before = pen.dropped;
        pen.drop_published(self.post.terms.when_slow, enough);
        if pen.dropped == before {
            return None;
        }
        self.forget_block(&mut pen);
        Some(Aftermath { room: pen.room.clone(), ..Aftermath::default() })
    }

    /// Ends an ending that takes too much: what waits is given up, the ending itself too. `None` if it was already. So many
    /// messages more are lost with it.
    fn break_off(&self, more: usize) -> Option<Aftermath> {
        let mut pen = self.pen();
        pen.undelivered += more as u32;
        if pen.send_buffer.is_empty() || std::mem::replace(&mut pen.is_broken_off, true) {
            return None;
        }
        pen.give_up_backlog();
        pen.is_cut = true;
        Some(Aftermath { waker: pen.waker(), ..Aftermath::default() })
    }
}
