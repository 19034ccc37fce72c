//! How long a peer may take to say something whole: a message, a request's body.

use std::time::Duration;

use crate::words::min_rate;

/// The time that is left for something that is arriving.
///
/// It is used up by waiting and given back by what comes, but never to more than there was at first. So a peer may be
/// silent for that long, and need as long as it likes if it keeps to the [slowest pace](min_rate::SLOWEST); a byte now and
/// then does not do.
#[derive(Clone, Copy, Debug)]
pub struct SlowPeerTimer {
    most: Duration,
    left: Duration,
}

impl SlowPeerTimer {
    pub fn new(most: Duration) -> Self {
        SlowPeerTimer { most, left: most }
    }

    /// Something else begins to arrive.
    pub fn renew(&mut self) {
        self.left = self.most;
    }

    /// How long nothing may come.
    pub fn left(&self) -> Duration {
        self.left
    }

    /// So long it was waited, and then so many bytes came. `false` if that was too long.
    #[must_use]
    pub fn wait(&mut self, waited: Duration, came: usize) -> bool {
        self.left = self.left.saturating_sub(waited);
        let is_over = self.left.is_zero();
        if !is_over {
            self.left = self.left.saturating_add(min_rate::worth(came)).min(self.most);
        }
        !is_over
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How often it can be waited so long for so many bytes, of a thousand times.
    fn times(waited: Duration, came: usize) -> usize {
        let mut timer = SlowPeerTimer::new(10 * SECOND);
        (0..1000).take_while(|_| timer.wait(waited, came)).count()
    }

    #[test]
    fn silence_uses_it_up() {
        assert_eq!(times(10 * SECOND, 1 << 20), 0);
        assert_eq!(times(SECOND, 0), 9);
    }

    #[test]
    fn a_byte_now_and_then_does_not_bring_it_back() {
        assert_eq!(times(9 * SECOND, 1), 1);
        assert_eq!(times(SECOND, 1), 10);
        assert!(times(SECOND / 10, 5) < 1000);
    }

    #[test]
    fn the_slowest_pace_uses_up_none() {
        assert_eq!(times(SECOND, 512), 1000);
        assert_eq!(times(9 * SECOND, 9 * 512), 1000);
    }

    #[test]
    fn haste_earns_no_more_than_there_was() {
        let mut timer = SlowPeerTimer::new(10 * SECOND);
        assert!(timer.wait(Duration::ZERO, 1 << 20));
        assert_eq!(timer.left(), 10 * SECOND);
    }

    proptest! {
        /// It was never silent for that long, nor slower than the slowest min_rate for so much longer.
        #[test]
        fn it_lasts_no_longer_than_silence_and_what_came_are_worth(
            turns in prop::collection::vec((0..20_000u64, 0..20_000usize), 0..60),
        ) {
            let most = 10 * SECOND;
            let (mut timer, mut waited, mut came) = (SlowPeerTimer::new(most), Duration::ZERO, Duration::ZERO);
            for (gap, bytes) in turns {
                let gap = Duration::from_millis(gap);
                waited += gap;
                let is_left = timer.wait(gap, bytes);
                if !is_left {
                    break;
                }
                prop_assert!(gap < most && waited < most + came);
                prop_assert!(timer.left() <= most);
                came += min_rate::worth(bytes);
            }
        }
    }
}
