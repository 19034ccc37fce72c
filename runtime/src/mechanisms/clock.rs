//! When a hold is due, and for what: a judgement over ticks that others wrote down. There is no timer object.
//!
//! Ground rules:
//! 1. *Activity* sets back `timeout`; a *sign of life* sets back `max_idle`; nothing sets back the lifetime.
//! 2. While we do not read from the peer, or a write to it is blocked, its silence proves nothing: `max_idle` stands still,
//!    but no longer than its kernel answers. A host that is silent for `max_idle` is gone, whatever we do meanwhile.
//! 3. A `timeout` or lifetime that falls due behind an unanswered heartbeat is a disconnect: the peer is not there to be resumed.
//! 4. A kernel asks a peer that takes nothing after 0.2 s, and then in intervals that double. So it may have had no answer
//!    for half of that time, and a little, from a peer that is there.

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

/// No kernel that is probed that often is silent for so long.
const LEAST_SILENCE: Duration = Duration::from_secs(2);

/// What a probe, its answer and the coarseness of a kernel's timers take at most, beside the interval.
const SLACK: Duration = Duration::from_secs(1);

/// How a kernel asks its peer's for a sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probing {
    /// After so much silence.
    pub(crate) every: Duration,
    /// It gives up on a peer that has left something unanswered, or taken nothing, for so long.
    pub(crate) give_up: Duration,
}

impl Probing {
    /// How a connection is probed whose peer is not asked for signs of life, and that has a write deadline or another
    /// patience of so long. Where nothing is held, nothing else notices that the peer of a fallback's WebSocket vanished.
    pub(crate) fn unheld(patience: Duration) -> Self {
        const EVERY: Duration = Duration::from_secs(60);
        Probing { every: EVERY, give_up: patience.max(EVERY) + EVERY }
    }
}

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
    /// When its kernel last answered ours, where that is known; asked for only where it matters.
    pub(crate) answer: Option<Tick>,
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

/// Whether a host that took nothing for as long as its kernel was `asked`, and whose last answer is `silence` ago, is not
/// there: see the fourth ground rule.
pub(crate) fn is_unreachable(silence: Duration, asked: Duration) -> bool {
    silence >= LEAST_SILENCE.max(asked / 2 + SLACK)
}

impl Clocks {
    /// Judges one hold at `now`.
    pub(crate) fn judge(&self, signs: &Signs, now: Tick) -> Due {
        let idle = self.idle_at(signs, now);
        if idle <= now {
            return Due::End(Disconnect::Idle.into());
        }
        if let Some(since) = signs.blocked
            && since.plus(self.write_deadline) <= now
        {
            let is_unreachable =
                signs.answer.is_some_and(|answer| is_unreachable(now.since(answer), now.since(since)));
            return Due::End(match is_unreachable {
                true => Disconnect::Unreachable.into(),
                false => Disconnect::Stalled.into(),
            });
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

    /// How the kernel is to ask the peer for signs of life. It gives up later than any clock of ours, which knows more: a
    /// peer that fell silent is `Idle`, one that takes nothing `Stalled`, whoever asked it.
    pub(crate) fn probing(&self) -> Probing {
        let Some(heartbeat) = self.heartbeat else {
            // Nobody is asked for signs of life; but what does not arrive is given up.
            let patience = self.max_idle.unwrap_or_default().max(self.write_deadline);
            return Probing::unheld(patience);
        };
        // A kernel's timers are late by up to an eighth.
        let every = self.max_idle.map_or(heartbeat, |span| heartbeat.min(span / 2)).max(LEAST_PROBE);
        let patience = self.max_idle.unwrap_or(every * 4);
        Probing { every, give_up: patience.max(self.write_deadline).max(LEAST_SILENCE) + every }
    }

    /// The earliest moment at which the peer's silence can be long enough.
    fn idle_at(&self, signs: &Signs, now: Tick) -> Tick {
        let Some(span) = self.max_idle else { return Tick::NEVER };
        let Some(since) = signs.unheard else {
            return signs.life.plus(self.least_silence(span));
        };
        // Stands still: what was left when it stopped, or at a later sign, is left now.
        let standing = signs.life.plus(now.since(since.max(signs.life)));
        match signs.answer.filter(|_| self.heartbeat.is_some()) {
            Some(answer) if answer < standing => {
                let last = signs.life.max(answer);
                last.plus(span.max(LEAST_SILENCE)).max(Self::patience(signs, answer))
            }
            _ => standing.plus(span).max(now.plus(Duration::from_millis(1))),
        }
    }

    /// When a kernel that last answered then would have answered again, though it takes nothing.
    fn patience(signs: &Signs, answer: Tick) -> Tick {
        signs.blocked.map_or(Tick(0), |since| {
            // Where `is_unreachable` begins to say so.
            since.plus(answer.plus(SLACK).since(since) * 2)
        })
    }

    /// A long poll's peer is heard when its kernel is probed, and no more often.
    fn least_silence(&self, span: Duration) -> Duration {
        match (self.heartbeat, self.beats) {
            (Some(_), Beats::Kernel) => span.max(LEAST_SILENCE),
            _ => span,
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
        let patience = Duration::from_secs(5).min(heartbeat / 2);
        let probed = |last: Tick| {
            let every = self.probing().every;
            last.plus(every + patience.max(every / 4)).max(last.plus(LEAST_SILENCE)) <= now
        };
        if signs.unheard.is_some() {
            return signs.answer.is_some_and(|answer| {
                probed(signs.life.max(answer)) && Self::patience(signs, answer) <= now
            });
        }
        match self.beats {
            Beats::Ours => signs.beat > signs.life && signs.beat.plus(patience) <= now,
            Beats::Kernel => probed(signs.life),
        }
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
            answer: None,
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

    #[test]
    fn max_idle_goes_on_where_even_the_kernel_is_silent() {
        let clocks = Clocks { timeout: None, ..clocks() };
        let since = Some(Tick(100_000));
        let deaf = Signs { unheard: since, next_beat: Tick::NEVER, ..signs() };
        let answered = |at| Signs { answer: Some(Tick(at)), ..deaf };
        assert_eq!(clocks.judge(&answered(150_000), Tick(449_999)), Due::Rest(Tick(450_000)));
        assert_eq!(clocks.judge(&answered(150_000), Tick(450_000)), Due::End(Disconnect::Idle.into()));
        assert_eq!(clocks.judge(&deaf, Tick(450_000)), Due::Rest(Tick(650_000)), "nobody knows");
        let unasked = Clocks { heartbeat: None, ..clocks };
        assert_eq!(unasked.judge(&answered(150_000), Tick(450_000)), Due::Rest(Tick(650_000)));
    }

    #[test]
    fn a_peer_that_takes_nothing_answers_in_growing_intervals_and_is_not_idle() {
        let clocks = Clocks {
            timeout: None,
            max_idle: Some(2 * SECOND),
            heartbeat: Some(SECOND / 2),
            write_deadline: 60 * SECOND,
            beats: Beats::Ours,
        };
        let since = Some(Tick(10_000));
        let blocked = |answer| Signs {
            blocked: since,
            unheard: since,
            life: Tick(10_000),
            next_beat: Tick::NEVER,
            answer: Some(Tick(answer)),
            ..signs()
        };
        // When a kernel whose timers are an eighth late asks, and has its answer 0.3 s later.
        let (mut asked, mut interval) = (10_000, 225);
        while asked + interval < 70_000 {
            let signs = blocked(asked);
            asked += interval;
            let due = clocks.judge(&signs, Tick(asked + 300));
            assert!(!matches!(due, Due::End(_)), "{due:?} at {asked}");
            interval *= 2;
        }
        // The next one, after 3 s, is not answered.
        let Due::Rest(at) = clocks.judge(&blocked(13_000), Tick(14_000)) else { panic!("not yet") };
        assert_eq!(at, Tick(18_000));
        assert_eq!(clocks.judge(&blocked(13_000), at), Due::End(Disconnect::Idle.into()));
    }

    #[test]
    fn a_write_deadline_of_a_host_that_answers_no_more_is_unreachable() {
        let since = Some(Tick(20_000));
        let blocked = Signs { blocked: since, unheard: since, ..signs() };
        let at = |answer| clocks().judge(&Signs { answer: Some(Tick(answer)), ..blocked }, Tick(30_000));
        assert_eq!(at(19_999), Due::End(Disconnect::Unreachable.into()));
        assert_eq!(at(23_000), Due::End(Disconnect::Unreachable.into()), "the next probe was not answered");
        assert_eq!(at(26_200), Due::End(Disconnect::Stalled.into()));
        let hasty = Clocks { write_deadline: SECOND / 2, ..clocks() };
        let due = hasty.judge(&Signs { answer: since, ..blocked }, Tick(20_500));
        assert_eq!(due, Due::End(Disconnect::Stalled.into()), "that early nobody can tell");
    }

    #[test]
    fn a_timeout_of_a_host_that_is_silent_while_we_do_not_read_is_idle() {
        let deaf = Signs { unheard: Some(Tick(5_000)), ..signs() };
        let at = |answer| clocks().judge(&Signs { answer, ..deaf }, Tick(30_000));
        assert_eq!(at(None), Due::End(Resume::Timeout.into()));
        assert_eq!(at(Some(Tick(20_000))), Due::End(Resume::Timeout.into()));
        assert_eq!(at(Some(Tick(14_000))), Due::End(Disconnect::Idle.into()));
    }

    #[test]
    fn a_long_poll_is_not_idle_before_its_kernel_could_be_probed_twice() {
        let tiny = Clocks {
            timeout: None,
            max_idle: Some(SECOND),
            heartbeat: Some(SECOND / 3),
            beats: Beats::Kernel,
            ..clocks()
        };
        assert_eq!(tiny.judge(&signs(), Tick(1_999)), Due::Rest(Tick(2_000)));
        assert_eq!(tiny.judge(&signs(), Tick(2_000)), Due::End(Disconnect::Idle.into()));
    }

    #[test]
    fn a_kernel_probes_in_time_and_gives_up_behind_every_clock_of_ours() {
        let span = |seconds: f64| Some(Duration::from_secs_f64(seconds)).filter(|span| !span.is_zero());
        for max_idle in [0.0, 0.5, 1.0, 2.0, 10.0, 300.0] {
            for heartbeat in [0.0, 0.1, 0.7, 1.9, 9.0, 25.0, 290.0] {
                for write_deadline in [0.3, 10.0, 600.0] {
                    let clocks = Clocks {
                        timeout: None,
                        max_idle: span(max_idle),
                        heartbeat: span(heartbeat),
                        write_deadline: Duration::from_secs_f64(write_deadline),
                        beats: Beats::Kernel,
                    };
                    let Probing { every, give_up } = clocks.probing();
                    let case = format!("{clocks:?}: {every:?}, {give_up:?}");
                    assert!(every >= SECOND, "{case}");
                    assert!(give_up >= clocks.write_deadline + SECOND, "{case}");
                    let Some(max_idle) = clocks.max_idle else { continue };
                    let idle = clocks.least_silence(max_idle);
                    assert!(give_up >= idle + SECOND, "{case}");
                    if clocks.heartbeat.is_some() {
                        // With the whole seconds and the timers of a kernel, and a while for the answer.
                        let silence = every.as_secs_f64() * 1.125 + 0.2;
                        assert!(silence < idle.as_secs_f64(), "{case}");
                    }
                }
            }
        }
    }
}
