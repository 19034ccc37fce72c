//! How many were refused, by reason.

use std::array;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use abeyance_core::sync::AtomicU64;
use abeyance_core::words::denial::Denial;
use abeyance_core::words::tick::Tick;

use super::Keeper;

/// How often there is a warning of foreign origins at most.
const SELDOM: Duration = Duration::from_secs(60);

/// The counts of all reasons, and when there may be the next warning.
pub(super) struct Denials {
    counts: [AtomicU64; Denial::ALL.len()],
    next_warning: AtomicU64,
}

impl Denials {
    pub(super) fn new() -> Self {
        Denials { counts: array::from_fn(|_| AtomicU64::new(0)), next_warning: AtomicU64::new(0) }
    }

    /// Those that ever happened.
    pub(super) fn counts(&self) -> Vec<(&'static str, u64)> {
        let counts = Denial::ALL.iter().map(|why| why.as_str()).zip(&self.counts);
        let counts = counts.map(|(word, count)| (word, count.load(Relaxed)));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// Whether a warning is due now; then there is none for a while.
    fn may_warn(&self, now: Tick) -> bool {
        let next = now.plus(SELDOM).0;
        let due = |at: u64| (at <= now.0).then_some(next);
        self.next_warning.fetch_update(Relaxed, Relaxed, due).is_ok()
    }
}

impl Keeper {
    /// Counts a refusal.
    pub(crate) fn count_denial(&self, why: Denial) {
        self.denials.counts[why as usize].fetch_add(1, Relaxed);
    }

    /// Whether to warn of a refusal of this kind, which happened so often: now and then, where the client hides the reason.
    pub(crate) fn warns_of_denial(&self, why: Denial) -> Option<u64> {
        let count = self.denials.counts[why as usize].load(Relaxed);
        (why == Denial::Origin && self.denials.may_warn(self.time().mark())).then_some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_comes_once_a_minute_at_most() {
        let denials = Denials::new();
        let warned: Vec<_> = (0..200).filter(|second| denials.may_warn(Tick(500 + second * 1_000))).collect();
        assert_eq!(warned, [0, 60, 120, 180]);
    }
}
