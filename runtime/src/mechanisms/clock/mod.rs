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
        Probing { every: EVERY, give_up: patience.max(EVERY).saturating_add(EVERY) }
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
        let patience = self.max_idle.unwrap_or(every.saturating_mul(4));
        Probing { every, give_up: patience.max(self.write_deadline).max(LEAST_SILENCE).saturating_add(every) }
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
            since.plus(answer.plus(SLACK).since(since).saturating_mul(2))
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
            last.plus(every.saturating_add(patience.max(every / 4))).max(last.plus(LEAST_SILENCE)) <= now
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
mod tests;
