//! How many requests were refused, by reason.

use std::array;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use abeyance_core::sync::AtomicU64;
use abeyance_core::words::refusal_reason::RefusalReason;
use abeyance_core::words::tick::Tick;

use super::Keeper;

/// The least time between two warnings of foreign origins.
const SELDOM: Duration = Duration::from_secs(60);

/// The counts of all reasons, and when the next warning may be logged.
pub(super) struct RefusalCounts {
    counts: [AtomicU64; RefusalReason::ALL.len()],
    next_warning: AtomicU64,
}

impl RefusalCounts {
    pub(super) fn new() -> Self {
        RefusalCounts { counts: array::from_fn(|_| AtomicU64::new(0)), next_warning: AtomicU64::new(0) }
    }

    /// The reasons that ever happened, with their counts.
    pub(super) fn counts(&self) -> Vec<(&'static str, u64)> {
        let counts = RefusalReason::ALL.iter().map(|why| why.as_str()).zip(&self.counts);
        let counts = counts.map(|(word, count)| (word, count.load(Relaxed)));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// Whether a warning is due now. If so, none is due for a minute.
    fn may_warn(&self, now: Tick) -> bool {
        let next = now.plus(SELDOM).0;
        let due = |at: u64| (at <= now.0).then_some(next);
        self.next_warning.fetch_update(Relaxed, Relaxed, due).is_ok()
    }
}

impl Keeper {
    /// Counts a refusal.
    pub(crate) fn count_denial(&self, why: RefusalReason) {
        self.refusal_counts.counts[why as usize].fetch_add(1, Relaxed);
    }

    /// How often this refusal happened, if a warning is due. Only for reasons that the client hides from its user.
    pub(crate) fn warns_of_denial(&self, why: RefusalReason) -> Option<u64> {
        let count = self.refusal_counts.counts[why as usize].load(Relaxed);
        (why == RefusalReason::Origin && self.refusal_counts.may_warn(self.time().mark())).then_some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_comes_once_a_minute_at_most() {
        let refusal_counts = RefusalCounts::new();
        let warned: Vec<_> =
            (0..200).filter(|second| refusal_counts.may_warn(Tick(500 + second * 1_000))).collect();
        assert_eq!(warned, [0, 60, 120, 180]);
    }
}
