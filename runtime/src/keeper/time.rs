//! Served time: monotonic, and standing still while the server itself is stalled.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use crate::words::tick::Tick;

/// The clock of one server.
///
/// Two readings: [`now`](Time::now) asks the system; [`stamp`](Time::stamp) is one atomic load, cheap enough for every
/// message. A stamp is never earlier than the moment it was taken, so no clock that starts from it fires too soon.
#[derive(Debug)]
pub(crate) struct Time {
    origin: Instant,
    /// Milliseconds that were lost to stalls: peers get them back.
    lost: AtomicU64,
    /// The tick of the last sweep.
    swept: AtomicU64,
}

impl Time {
    /// How often the sweep comes.
    pub(crate) const PERIOD: Duration = Duration::from_millis(25);

    /// A sweep that comes later than this was stalled: no peer could have been heard meanwhile.
    const STALL: Duration = Duration::from_secs(1);

    pub(crate) fn start() -> Self {
        Time { origin: Instant::now(), lost: AtomicU64::new(0), swept: AtomicU64::new(0) }
    }

    /// The exact tick.
    pub(crate) fn now(&self) -> Tick {
        // Between the end of a stall and the sweep that notices it, time must not have jumped either.
        self.unstalled().min(Tick(self.swept.load(Relaxed)).plus(Self::STALL))
    }

    /// A tick that is at most one period ahead of the exact one.
    pub(crate) fn stamp(&self) -> Tick {
        Tick(self.swept.load(Relaxed)).plus(Self::PERIOD)
    }

    /// Moves on to the present; what passed before nobody was held is nobody's loss.
    pub(crate) fn begin(&self) {
        self.swept.store(self.unstalled().0, Relaxed);
    }

    /// Moves on to the present and gives back what a stall has taken; says how long that was.
    pub(crate) fn sweep(&self) -> (Tick, Duration) {
        let before = Tick(self.swept.load(Relaxed));
        let mut now = self.unstalled();
        let mut stall = Duration::ZERO;
        if now.since(before) > Self::STALL {
            stall = now.since(before).saturating_sub(Self::PERIOD);
            self.lost.fetch_add(stall.as_millis() as u64, Relaxed);
            now = before.plus(Self::PERIOD);
        }
        self.swept.store(now.0, Relaxed);
        (now, stall)
    }

    fn unstalled(&self) -> Tick {
        let real = self.origin.elapsed().as_millis() as u64;
        Tick(real.saturating_sub(self.lost.load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stall_of_our_own_does_not_pass_as_time() {
        let time = Time::start();
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(time.sweep(), (Tick(500), Duration::ZERO));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(time.now(), Tick(1_500));
        assert_eq!(time.sweep(), (Tick(525), Duration::from_millis(59_975)));
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(time.now(), Tick(625));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stamp_is_never_early() {
        let time = Time::start();
        for _ in 0..10 {
            time.sweep();
            tokio::time::advance(Time::PERIOD).await;
            assert!(time.stamp() >= time.now());
        }
    }
}
