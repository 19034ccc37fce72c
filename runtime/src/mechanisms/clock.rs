//! When a hold is due, and for what: a judgement over ticks that others wrote down. There is no timer object.
//!
//! Ground rules:
//! 1. *Activity* sets back `timeout`; a *sign of life* sets back `max_idle`; nothing sets back the lifetime.
//! 2. While we do not read from the peer, or a write to it is blocked, its silence proves nothing: `max_idle` stands still.
//! 3. A `timeout` or lifetime that falls due behind an unanswered heartbeat is a disconnect: the peer is not there to be resumed.

use std::time::Duration;

use crate::words::cause::{Disconnect, End, Resume};
use crate::words::tick::Tick;

/// The spans that bound one hold; `None` never falls due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    pub(crate) timeout: Option<Duration>,
    pub(crate) max_idle: Option<Duration>,
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) write_deadline: Duration,
    /// Whether a due heartbeat is something we send, or the kernel's own probe.
    pub(crate) beats: Beats,
}

/// Who sends the heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beats {
    /// We write one, whenever one is due.
    Ours,
    /// The kernel probes by itself after that much silence (long polls: nothing may be written before the answer).
    Kernel,
}

/// Kernels count between probes in whole seconds: they ask no more often than this, whatever the `heartbeat`.
const LEAST_PROBE: Duration = Duration::from_secs(1);

/// What was written down about one hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signs {
    /// The last message delivered to the peer or received from it, or the hold's beginning.
    pub(crate) activity: Tick,
    /// The last proof that the peer is there.
    pub(crate) life: Tick,
    /// When the first heartbeat that `life` has not answered was sent; meaningful if later than `life`.
    pub(crate) beat: Tick,
    /// When the next heartbeat is to be sent.
    pub(crate) next_beat: Tick,
    /// The end of the hold's lifetime; `Tick::NEVER` for none.
    pub(crate) expires: Tick,
    /// Since when a write has made no progress; later by what its progress is worth.
    pub(crate) blocked: Option<Tick>,
    /// Since when its silence proves nothing: a write is blocked, or we do not read, or one after the other.
    pub(crate) unheard: Option<Tick>,
}

/// What a look at a hold found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing; look again then, not earlier.
    Rest(Tick),
    /// A heartbeat.
    Beat,
    /// Its end.
    End(End),
}

impl Clocks {
    /// Judges one hold at `now`.
    pub(crate) fn judge(&self, signs: &Signs, now: Tick) -> Due {
        if let Some(since) = signs.blocked
            && since.plus(self.write_deadline) <= now
        {
            return Due::End(Disconnect::Stalled.into());
        }
        let idle = self.idle_at(signs, now);
        if idle <= now {
            return Due::End(Disconnect::Idle.into());
        }
        let timeout = self.timeout.map_or(Tick::NEVER, |span| signs.activity.plus(span));
        for (at, cause) in [(timeout, Resume::Timeout), (signs.expires, Resume::Lifetime)] {
            if at <= now {
                return Due::End(match self.is_unanswered(signs, now) {
                    true => Disconnect::Idle.into(),
                    false => cause.into(),
                });
            }
        }
        let beat = self.next_beat(signs);
        if beat <= now {
            return Due::Beat;
        }
        let stalled = signs.blocked.map_or(Tick::NEVER, |since| since.plus(self.write_deadline));
        Due::Rest(idle.min(timeout).min(signs.expires).min(beat).min(stalled))
    }

    /// The earliest moment at which the peer's silence can be long enough.
    fn idle_at(&self, signs: &Signs, now: Tick) -> Tick {
        let Some(span) = self.max_idle else { return Tick::NEVER };
        let at = signs.life.plus(span);
        match signs.unheard {
            // Stands still: what was left when it stopped, or at a later sign, is left now.
            Some(since) => now.plus(at.since(since.max(signs.life)).max(Duration::from_millis(1))),
            None => at,
        }
    }

    fn next_beat(&self, signs: &Signs) -> Tick {
        match (self.heartbeat, self.beats) {
            (Some(_), Beats::Ours) => signs.next_beat,
            _ => Tick::NEVER,
        }
    }

    /// Whether a heartbeat was sent long enough ago that a peer which is there would have answered.
    fn is_unanswered(&self, signs: &Signs, now: Tick) -> bool {
        let Some(heartbeat) = self.heartbeat else { return false };
        if signs.unheard.is_some() {
            return false;
        }
        let (heartbeat, sent) = match self.beats {
            Beats::Ours => (heartbeat, signs.beat),
            Beats::Kernel => {
                let every = heartbeat.max(LEAST_PROBE);
                (every, signs.life.plus(every))
            }
        };
        let patience = Duration::from_secs(5).min(heartbeat / 2);
        sent > signs.life && sent.plus(patience) <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn clocks() -> Clocks {
        Clocks {
            timeout: Some(30 * SECOND),
            max_idle: Some(300 * SECOND),
            heartbeat: Some(10 * SECOND),
            write_deadline: 10 * SECOND,
            beats: Beats::Ours,
        }
    }

    fn signs() -> Signs {
        Signs {
            activity: Tick(0),
            life: Tick(0),
            beat: Tick(0),
            next_beat: Tick(4_000),
            expires: Tick::NEVER,
            blocked: None,
            unheard: None,
        }
    }

    #[test]
    fn a_quiet_hold_rests_until_its_next_heartbeat() {
        assert_eq!(clocks().judge(&signs(), Tick(0)), Due::Rest(Tick(4_000)));
        assert_eq!(clocks().judge(&signs(), Tick(4_000)), Due::Beat);
    }

    #[test]
    fn a_peer_that_answers_is_resumed_at_its_timeout() {
        let signs = Signs { beat: Tick(24_000), life: Tick(24_010), next_beat: Tick(34_000), ..signs() };
        assert_eq!(clocks().judge(&signs, Tick(29_999)), Due::Rest(Tick(30_000)));
        assert_eq!(clocks().judge(&signs, Tick(30_000)), Due::End(Resume::Timeout.into()));
    }

    #[test]
    fn a_timeout_behind_an_unanswered_heartbeat_is_idle() {
        let sent_long_ago = Signs { beat: Tick(24_000), life: Tick(20_000), ..signs() };
        assert_eq!(clocks().judge(&sent_long_ago, Tick(30_000)), Due::End(Disconnect::Idle.into()));
        let sent_just_now = Signs { beat: Tick(29_000), life: Tick(20_000), ..signs() };
        assert_eq!(clocks().judge(&sent_just_now, Tick(30_000)), Due::End(Resume::Timeout.into()));
    }

    #[test]
    fn an_unanswered_probe_of_the_kernel_counts_like_a_heartbeat() {
        let clocks = Clocks { beats: Beats::Kernel, ..clocks() };
        let answered = Signs { life: Tick(29_000), ..signs() };
        assert_eq!(clocks.judge(&answered, Tick(30_000)), Due::End(Resume::Timeout.into()));
        let silent = Signs { life: Tick(10_000), ..signs() };
        assert_eq!(clocks.judge(&silent, Tick(30_000)), Due::End(Disconnect::Idle.into()));
    }

    #[test]
    fn a_kernel_is_not_expected_to_probe_more_than_once_a_second() {
        let (timeout, heartbeat) = (Some(2 * SECOND), Some(SECOND / 2));
        let clocks = Clocks { beats: Beats::Kernel, timeout, heartbeat, ..clocks() };
        let answered = Signs { life: Tick(1_000), ..signs() };
        assert_eq!(clocks.judge(&answered, Tick(2_000)), Due::End(Resume::Timeout.into()));
        assert_eq!(clocks.judge(&signs(), Tick(2_000)), Due::End(Disconnect::Idle.into()));
    }

    #[test]
    fn silence_for_max_idle_is_idle() {
        let clocks = Clocks { timeout: None, heartbeat: None, ..clocks() };
        assert_eq!(clocks.judge(&signs(), Tick(299_999)), Due::Rest(Tick(300_000)));
        assert_eq!(clocks.judge(&signs(), Tick(300_000)), Due::End(Disconnect::Idle.into()));
    }

    #[test]
    fn max_idle_stands_still_while_we_do_not_read() {
        let clocks = Clocks { timeout: None, heartbeat: None, ..clocks() };
        let deaf = Signs { unheard: Some(Tick(200_000)), ..signs() };
        assert_eq!(clocks.judge(&deaf, Tick(900_000)), Due::Rest(Tick(1_000_000)));
    }

    #[test]
    fn a_write_without_progress_is_stalled_whatever_else_is_due() {
        let since = Some(Tick(20_000));
        let blocked = Signs { blocked: since, unheard: since, ..signs() };
        assert_eq!(clocks().judge(&blocked, Tick(30_000)), Due::End(Disconnect::Stalled.into()));
    }

    #[test]
    fn the_lifetime_ends_a_busy_hold() {
        let signs = Signs { activity: Tick(59_000), life: Tick(59_000), expires: Tick(60_000), ..signs() };
        assert_eq!(clocks().judge(&signs, Tick(60_000)), Due::End(Resume::Lifetime.into()));
    }
}
