//! How many frames that say nothing a peer may send: pings, unasked pongs, crumbs of messages.

use crate::words::tick::Tick;

/// What one peer may still send of what says nothing: many at once, and a steady few.
///
/// Frames that carry something need no such bound: they become messages, and while `on_message` runs nothing is read.
/// These cost us a look each, and a ping an answer, for as long as the peer likes.
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameQuota {
    /// When it is whole again, in steps. Every hold has one, so this is all there is; it goes round in 497 days.
    whole: u32,
}

impl FrameQuota {
    /// How many at once: what a client that was stopped for an hour has to answer, if we asked every four seconds. Crumbs
    /// that a message is worth by its size do not count.
    pub const AT_ONCE: u32 = 1_000;

    /// How many a second, in the long run. Clients ping every twenty seconds or so, the busiest once a second; who speaks
    /// in crumbs sends one for each word, or for each twentieth of a second of sound.
    pub const A_SECOND: u32 = 100;

    /// Takes one; `false` if there is none left.
    #[must_use]
    pub fn take(&mut self, now: Tick) -> bool {
        let now = (now.0 / STEP) as u32;
        let mut taken = self.whole.wrapping_sub(now);
        if taken > FrameQuota::AT_ONCE {
            // That was in the past.
            taken = 0;
        }
        let is_left = taken < FrameQuota::AT_ONCE;
        if is_left {
            self.whole = now.wrapping_add(taken + 1);
        }
        is_left
    }
}

/// How many milliseconds it takes until one that was taken is there again.
const STEP: u64 = 1000 / FrameQuota::A_SECOND as u64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken_at(quota: &mut FrameQuota, now: Tick) -> u32 {
        (0..10_000).take_while(|_| quota.take(now)).count() as u32
    }

    #[test]
    fn so_many_may_come_at_once_and_no_more() {
        let mut quota = FrameQuota::default();
        assert_eq!(taken_at(&mut quota, Tick(5)), FrameQuota::AT_ONCE);
        assert_eq!(taken_at(&mut quota, Tick(5)), 0);
    }

    #[test]
    fn it_comes_back_with_time_and_is_never_more_than_whole() {
        let mut quota = FrameQuota::default();
        taken_at(&mut quota, Tick(0));
        assert_eq!(taken_at(&mut quota, Tick(1_000)), FrameQuota::A_SECOND);
        assert_eq!(taken_at(&mut quota, Tick(1_000_000)), FrameQuota::AT_ONCE);
    }

    #[test]
    fn a_steady_few_may_come_for_ever() {
        let mut quota = FrameQuota::default();
        for second in 0..10_000 {
            for _ in 0..FrameQuota::A_SECOND {
                assert!(quota.take(Tick(second * 1_000)));
            }
        }
    }

    #[test]
    fn it_refills_in_steps_and_good_peers_are_not_harmed() {
        let mut quota = FrameQuota::default();
        for round in 0..4 {
            for days in [0, 100, 300, 496] {
                let now = Tick((round * 497 + days) * 86_400_000);
                assert_eq!(taken_at(&mut quota, now), FrameQuota::AT_ONCE, "{now:?}");
            }
        }
    }

    #[test]
    fn a_little_more_than_a_few_may_not() {
        let mut quota = FrameQuota::default();
        let last =
            (0..10_000).find(|second| !(0..=FrameQuota::A_SECOND).all(|_| quota.take(Tick(second * 1_000))));
        assert_eq!(last, Some(u64::from(FrameQuota::AT_ONCE - FrameQuota::A_SECOND)));
    }

    proptest! {
        /// As a bucket that is filled at every step of the clock.
        #[test]
        fn it_lets_pass_what_a_bucket_would(turns in prop::collection::vec((0..5_000u64, 0..600u32), 0..60)) {
            let (mut quota, mut now, mut bucket) = (FrameQuota::default(), 0, FrameQuota::AT_ONCE);
            for (gap, wanted) in turns {
                let steps = (now + gap) / STEP - now / STEP;
                now += gap;
                bucket = (bucket + steps as u32).min(FrameQuota::AT_ONCE);
                let taken = (0..wanted).filter(|_| quota.take(Tick(now))).count() as u32;
                prop_assert_eq!(taken, wanted.min(bucket));
                bucket -= taken;
            }
        }
    }
}
