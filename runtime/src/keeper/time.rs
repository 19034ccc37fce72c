//! Served time: monotonic, and it stands still while the server itself is stalled.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use tokio::time::Instant;

use abeyance_core::sync::{AtomicU64, Mutex};
use abeyance_core::words::tick::Tick;
use abeyance_settings::amount::LONGEST;

/// The clock of one server.
///
/// Two readings: [`now`](Time::now) asks the system; [`stamp`](Time::stamp) is one atomic load, cheap enough for every
/// message. No clock that starts from a stamp fires too soon, and none runs late because the server was busy:
///
/// 1. A stamp is the tick of the last sweep and a `LEAD`. If the next sweep comes within the lead, no stamp was early.
/// 2. If it comes later, the stamps in between may have been taken as late as that: [`latest`](Time::latest) says so.
/// 3. If it comes much later, the server was stalled: the time but for the lead is given back to every clock.
#[derive(Debug)]
pub(crate) struct Time {
    origin: Instant,
    /// Milliseconds that were lost to stalls. They are credited to every clock.
    lost: AtomicU64,
    /// The tick of the last sweep.
    swept: AtomicU64,
    /// The latest stalls, oldest first, so that moments before them can be dated.
    stalls: Mutex<VecDeque<Stall>>,
    /// The latest sweeps that came late, oldest first.
    late: Mutex<VecDeque<Late>>,
}

/// A sweep that came later than its lead.
#[derive(Clone, Copy, Debug)]
struct Late {
    /// The value of every stamp that was taken before this sweep.
    stamp: Tick,
    /// When it came.
    end: Tick,
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

    /// How far stamps are ahead of the last sweep: twice the period, so that few sweeps come later.
    const LEAD: Duration = Duration::from_millis(50);

    /// A sweep that comes so late finds that the server was stalled: it could not read from peers meanwhile.
    const STALL: Duration = Duration::from_secs(1);

    /// How many late sweeps are remembered. Stamps before the first of them may be early, by as much as their sweep was
    /// late.
    const LATE: usize = 1024;

    /// Ticks are rounded down. A span that starts from a tick must not end early for that.
    const ROUNDING: Duration = Duration::from_millis(1);

    /// How many stalls are remembered. Moments before the first of them are dated too early, by those forgotten.
    const STALLS: usize = 64;

    pub(crate) fn start() -> Self {
        Time {
            origin: Instant::now(),
            lost: AtomicU64::new(0),
            swept: AtomicU64::new(0),
            stalls: Mutex::default(),
            late: Mutex::default(),
        }
    }

    /// The present, to judge what is due.
    pub(crate) fn now(&self) -> Tick {
        // `swept` is read first. Otherwise time would jump if both change in between.
        let swept = Tick(self.swept.load(Acquire));
        self.unstalled().min(swept.plus(Self::STALL))
    }

    /// The present, for deadlines outside the sweep. Until a stall is noticed, it stands at the last sweep. Otherwise
    /// deadlines with less time left than a stall takes to be noticed would pass.
    pub(crate) fn served(&self) -> Tick {
        let swept = Tick(self.swept.load(Acquire));
        let now = self.unstalled();
        if now.since(swept) >= Self::STALL { swept } else { now }
    }

    /// The longest time until a moment. `None` if it has come.
    pub(crate) fn left(&self, due: Tick) -> Option<Duration> {
        let served = self.served();
        // If they differ, the next sweep finds how much was lost.
        let least = if served < self.unstalled() { Self::PERIOD } else { Duration::ZERO };
        // A caller that waits for longer asks again. The clock of the system does not reach `Tick::NEVER`.
        (due > served).then(|| due.since(self.unstalled()).clamp(least, LONGEST))
    }

    /// The present, for spans that start from it. It is rounded up, so that they do not end early.
    pub(crate) fn mark(&self) -> Tick {
        self.now().plus(Self::ROUNDING)
    }

    /// The present or a little later. It costs one load; see [`latest`](Time::latest).
    pub(crate) fn stamp(&self) -> Tick {
        Tick(self.swept.load(Relaxed)).plus(Self::LEAD).plus(Self::ROUNDING)
    }

    /// The latest moment at which a stamp can have been taken.
    pub(crate) fn latest(&self, stamp: Tick) -> Tick {
        let late = self.late.lock();
        match late.binary_search_by_key(&stamp, |late| late.stamp) {
            Ok(at) => late[at].end.max(stamp),
            Err(_) => stamp,
        }
    }

    /// The tick of the moment that was `ago` in real time.
    pub(crate) fn dated(&self, ago: Duration) -> Tick {
        let lost = self.lost.load(Relaxed);
        let moment = self.real().saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX));
        // Time stood still within a stall: the moment is at the start of the stall.
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

    /// The server starts. Until now time stood still, except for the second before a stall is noticed.
    pub(crate) fn begin(&self) {
        let (now, real) = (self.now(), self.unstalled());
        self.lost.fetch_add(real.since(now).as_millis() as u64, Relaxed);
        self.swept.store(now.0, Release);
    }

    /// The tick of the last sweep. What that sweep found due is due by this tick.
    pub(crate) fn swept(&self) -> Tick {
        Tick(self.swept.load(Acquire))
    }

    /// Moves to the present and credits the time of a stall. Returns the present and the length of the stall.
    pub(crate) fn sweep(&self) -> (Tick, Duration) {
        let before = Tick(self.swept.load(Relaxed));
        let mut now = self.unstalled();
        let mut stall = Duration::ZERO;
        if now.since(before) >= Self::STALL {
            stall = now.since(before) - Self::LEAD;
            let length = stall.as_millis() as u64;
            let mut stalls = self.stalls.lock();
            if stalls.len() == Self::STALLS {
                stalls.pop_front();
            }
            stalls.push_back(Stall { end: self.real(), length });
            self.lost.fetch_add(length, Relaxed);
            now = before.plus(Self::LEAD);
        } else if now.since(before) > Self::LEAD {
            let mut late = self.late.lock();
            if late.len() == Self::LATE {
                late.pop_front();
            }
            let stamp = before.plus(Self::LEAD).plus(Self::ROUNDING);
            late.push_back(Late { stamp, end: now.plus(Self::ROUNDING) });
        }
        self.swept.store(now.0, Release);
        (now, stall)
    }

    /// Milliseconds since the clock was made, stalls included.
    pub(crate) fn real(&self) -> u64 {
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
        assert_eq!(time.now(), Tick(1_050), "before anyone has noticed");
        assert_eq!(time.sweep(), (Tick(100), Duration::from_millis(59_950)));
        tokio::time::advance(Duration::from_millis(30)).await;
        assert_eq!(time.now(), Tick(130));
    }

    #[tokio::test(start_paused = true)]
    async fn time_stands_until_the_server_starts() {
        let time = Time::start();
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(time.now(), Tick(1_000));
        time.begin();
        assert_eq!((time.now(), time.swept()), (Tick(1_000), Tick(1_000)));
        tokio::time::advance(Duration::from_millis(25)).await;
        assert_eq!(time.sweep(), (Tick(1_025), Duration::ZERO));
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
        assert_eq!(time.dated(Duration::from_secs(30)), Tick(840));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stamp_is_never_early_however_late_the_sweep() {
        let time = Time::start();
        for late in [0, 10, 40, 300, 900] {
            time.sweep();
            tokio::time::advance(Time::PERIOD / 2).await;
            assert!(time.stamp() >= time.now());
            tokio::time::advance(Duration::from_millis(late)).await;
            let (stamp, taken) = (time.stamp(), time.now());
            time.sweep();
            assert!(time.latest(stamp) >= taken);
            assert!(time.latest(stamp) <= taken.plus(Time::LEAD).plus(Time::ROUNDING), "and hardly late");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_server_does_not_lose_time() {
        let time = Time::start();
        for _ in 0..100 {
            tokio::time::advance(Duration::from_millis(200)).await;
            assert_eq!(time.sweep().1, Duration::ZERO);
        }
        assert_eq!(time.now(), Tick(20_000));
    }
}
