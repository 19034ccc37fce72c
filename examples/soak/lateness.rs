//! How late the server's clocks are, for as many as there are, in a space that does not grow.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What comes later than so many milliseconds is counted as if it were that late; the largest is kept exactly.
const MOST: usize = 4_096;

/// How many clocks came how late, to the millisecond.
#[derive(Debug)]
pub(super) struct Lateness {
    counts: Box<[AtomicU32]>,
    /// In microseconds.
    largest: AtomicU64,
    /// The same since the last look.
    recent: AtomicU64,
}

/// What they came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// How many clocks were looked at.
    pub(super) count: u64,
    /// 99 of a hundred were not later than this; rounded up to a millisecond.
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

    /// The largest since this was last asked.
    pub(super) fn recent(&self) -> Duration {
        Duration::from_micros(self.recent.swap(0, Relaxed))
    }

    pub(super) fn summary(&self) -> Summary {
        let counts: Vec<_> = self.counts.iter().map(|count| u64::from(count.load(Relaxed))).collect();
        let count: u64 = counts.iter().sum();
        // From the latest down, one of a hundred is passed by.
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
    fn of_a_hundred_clocks_the_latest_is_not_told_as_the_most() {
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
    fn whatever_is_later_than_can_be_counted_is_still_the_largest() {
        assert_eq!(of([9_000_000]).largest, Duration::from_secs(9));
        assert_eq!(of([]), Summary::default());
    }
}
