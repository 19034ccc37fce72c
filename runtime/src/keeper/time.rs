//! Served time: monotonic, and standing still while the server itself is stalled.

use std::collections::VecDeque;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::words::tick::Tick;

/// The clock of one server.
///
/// Two readings: [`now`](Time::now) asks the system; [`stamp`](Time::stamp) is one atomic load, cheap enough for every
/// message. A stamp is never earlier than the moment it was taken, so no clock that starts from it fires too soon:
///
/// 1. A stamp is the tick of the last sweep and a `LEAD`.
/// 2. No sweep moves time on by more than the `LEAD`; what comes on top is a stall, during which time stood still.
///    So time never goes back either when the sweep after a stall notices it.
#[derive(Debug)]
pub(crate) struct Time {
    origin: Instant,
    /// Milliseconds that were lost to stalls: peers get them back.
    lost: AtomicU64,
    /// The tick of the last sweep.
    swept: AtomicU64,
    /// The latest stalls, oldest first, so that moments before them can be dated.
    stalls: Mutex<VecDeque<Stall>>,
}

/// A stall, in milliseconds of real time.
#[derive(Clone, Copy, Debug)]
struct Stall {
    end: u64,
    length: u64,
}

impl Time {
    /// How often the sweep comes.
    pub(crate) const PERIOD: Duration = Duration::from_millis(25);

    /// How far one sweep may move time on. Twice the period, so that a sweep which comes a little late is no stall.
    const LEAD: Duration = Duration::from_millis(50);

    /// Ticks are rounded down; what starts from one is not to end early for that.
    const ROUNDING: Duration = Duration::from_millis(1);

    /// How many stalls are remembered. Moments before the first of them are dated too early, by those forgotten.
    const STALLS: usize = 64;

    pub(crate) fn start() -> Self {
        Time {
            origin: Instant::now(),
            lost: AtomicU64::new(0),
            swept: AtomicU64::new(0),
            stalls: Mutex::default(),
        }
    }

    /// The present, to judge what is due.
    pub(crate) fn now(&self) -> Tick {
        // In this order, or time would jump when both change in between.
        let swept = Tick(self.swept.load(Acquire));
        self.unstalled().min(swept.plus(Self::LEAD))
    }

    /// The present, for spans that start from it: not early by a part of a millisecond.
    pub(crate) fn mark(&self) -> Tick {
        self.now().plus(Self::ROUNDING)
    }

    /// A tick that is not earlier than the present, and at most the lead ahead of it.
    pub(crate) fn stamp(&self) -> Tick {
        Tick(self.swept.load(Relaxed)).plus(Self::LEAD).plus(Self::ROUNDING)
    }

    /// The tick of the moment that was `ago` in real time.
    pub(crate) fn dated(&self, ago: Duration) -> Tick {
        let lost = self.lost.load(Relaxed);
        let moment = self.real().saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX));
        // Within a stall time stood: the moment is at its beginning.
        let after = |stall: &&Stall| stall.end > moment;
        let later: u64 = self
            .stalls
            .lock()
            .iter()
            .rev()
            .take_while(after)
            .map(|stall| stall.length.min(stall.end - moment))
            .sum();
        Tick(moment.saturating_sub(lost.saturating_sub(later)))
    }

    /// Moves on to the present; what passed before nobody was held is nobody's loss.
    pub(crate) fn begin(&self) {
        self.swept.store(self.unstalled().0, Relaxed);
    }

    /// Moves on to the present and gives back what a stall has taken; says how long that was.
    pub(crate) fn sweep(&self) -> (Tick, Duration) {
        let before = Tick(self.swept.load(Relaxed));
        let mut now = self.unstalled();
        let stall = now.since(before).saturating_sub(Self::LEAD);
        if !stall.is_zero() {
            let length = stall.as_millis() as u64;
            let mut stalls = self.stalls.lock();
            if stalls.len() == Self::STALLS {
                stalls.pop_front();
            }
            stalls.push_back(Stall { end: self.real(), length });
            self.lost.fetch_add(length, Relaxed);
            now = before.plus(Self::LEAD);
        }
        self.swept.store(now.0, Release);
        (now, stall)
    }

    fn real(&self) -> u64 {
        self.origin.elapsed().as_millis() as u64
    }

    fn unstalled(&self) -> Tick {
        Tick(self.real().saturating_sub(self.lost.load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stall_of_our_own_does_not_pass_as_time() {
        let time = Time::start();
        tokio::time::advance(Duration::from_millis(50)).await;
        assert_eq!(time.sweep(), (Tick(50), Duration::ZERO));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(time.now(), Tick(100));
        assert_eq!(time.sweep(), (Tick(100), Duration::from_millis(59_950)));
        tokio::time::advance(Duration::from_millis(30)).await;
        assert_eq!(time.now(), Tick(130));
    }

    #[tokio::test(start_paused = true)]
    async fn moments_before_and_within_stalls_are_dated_as_they_were() {
        let time = Time::start();
        let mut moments = Vec::new();
        for step in [20, 700, 30, 40, 60_000, 50, 10] {
            tokio::time::advance(Duration::from_millis(step)).await;
            let (now, _) = time.sweep();
            moments.push((Instant::now(), now));
        }
        for (moment, tick) in moments {
            assert_eq!(time.dated(moment.elapsed()), tick);
        }
        assert_eq!(time.dated(Duration::from_secs(30)), Tick(190));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stamp_is_never_early() {
        let time = Time::start();
        for _ in 0..10 {
            time.sweep();
            tokio::time::advance(Time::PERIOD / 2).await;
            assert!(time.stamp() >= time.now());
            tokio::time::advance(Duration::from_secs(2)).await;
            assert!(time.stamp() >= time.now(), "also when the sweep is late");
        }
    }
}
