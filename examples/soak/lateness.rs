//! A histogram of how late the server's timeouts are, of fixed size.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A timeout later than so many milliseconds counts as that late; the largest is also kept exactly.
const MOST: usize = 4_096;

/// How many timeouts were how late, to the millisecond.
#[derive(Debug)]
pub(super) struct Lateness {
    counts: Box<[AtomicU32]>,
    /// In microseconds.
    largest: AtomicU64,
    /// The largest since the last call of `recent`.
    recent: AtomicU64,
}

/// What they amount to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// How many timeouts there were.
    pub(super) count: u64,
    /// 99 % were not later than this, rounded up to a millisecond.
    pub(super) most: Duration,
    pub(super) largest: Duration,
}

impl Default for Lateness {
    fn default() -> Self {
        let counts = (0..MOST).map(|_| AtomicU32::new(0)).collect();
        Lateness { counts, largest: AtomicU64::new(0), recent: AtomicU64::new(0) }
    }
}

impl Lateness {
    pub(super) fn note(&self, late: Duration) {
        let micros = late.as_micros() as u64;
        self.counts[(late.as_millis() as usize).min(MOST - 1)].fetch_add(1, Relaxed);
        self.largest.fetch_max(micros, Relaxed);
        self.recent.fetch_max(micros, Relaxed);
    }

    /// The largest since the last call.
    pub(super) fn recent(&self) -> Duration {
        Duration::from_micros(self.recent.swap(0, Relaxed))
    }

    pub(super) fn summary(&self) -> Summary {
        let counts: Vec<_> = self.counts.iter().map(|count| u64::from(count.load(Relaxed))).collect();
        let count: u64 = counts.iter().sum();
        // From the latest down, skips one in a hundred.
        let mut pass = count / 100;
        let most = counts.iter().rposition(|count| {
            let is_it = *count > pass;
            pass = pass.saturating_sub(*count);
            is_it
        });
        let largest = Duration::from_micros(self.largest.load(Relaxed));
        let most =
            most.map_or(Duration::ZERO, |millis| Duration::from_millis(millis as u64 + 1).min(largest));
        Summary { count, most, largest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lates: impl IntoIterator<Item = u64>) -> Summary {
        let lateness = Lateness::default();
        lates.into_iter().for_each(|late| lateness.note(Duration::from_micros(late)));
        lateness.summary()
    }

    #[test]
    fn the_latest_of_a_hundred_timeouts_does_not_count_as_the_99_percent() {
        let (three, late) = (Duration::from_millis(3), Duration::from_millis(900));
        assert_eq!(
            of((0..99).map(|_| 2_500).chain([900_000])),
            Summary { count: 100, most: three, largest: late }
        );
        assert_eq!(
            of((0..98).map(|_| 2_500).chain([900_000])),
            Summary { count: 99, most: late, largest: late }
        );
    }

    #[test]
    fn a_timeout_beyond_the_histogram_is_still_the_largest() {
        assert_eq!(of([9_000_000]).largest, Duration::from_secs(9));
        assert_eq!(of([]), Summary::default());
    }
}
