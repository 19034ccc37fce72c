//! When a hold is due, and for what: a judgement over ticks that others wrote down. There is no timer object.
//!
//! Ground rules:
//! 1. *Activity* sets back `timeout`; a *sign of life* sets back `max_idle`; nothing sets back the lifetime.
//! 2. While we do not read from the peer, or a write to it is blocked, its silence proves nothing: `max_idle` stands still,
//!    but no longer than its kernel answers. A host that is silent for `max_idle` is gone, no matter what we do meanwhile.
//! 3. A `timeout` or lifetime that falls due behind an unanswered heartbeat is a disconnect: the peer is not there to be resumed.
//!    A heartbeat or its answer may have been lost, and be sent again: while it is too early to tell, neither is told.
//! 4. A kernel asks a peer that takes nothing after 0.2 s, and then in intervals that double. So it may have had no answer
//!    for half of that time, and a little, from a peer that is there.

mod asking; // how often a peer is asked before its silence is an answer

use std::time::Duration;

use crate::words::cause::{Disconnect, End, Resume};
use crate::words::keepalive_probes::KeepaliveProbes;
use crate::words::tick::Tick;

pub use asking::probing_unheld;
use asking::{LEAST_PROBE, LEAST_SILENCE, PROOF};

/// The spans that bound one hold; `None` never falls due.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    pub timeout: Option<Duration>,
    pub max_idle: Option<Duration>,
    pub heartbeat: Option<Duration>,
    pub write_timeout: Duration,
    /// Whether a due heartbeat is something we send, or the kernel's own probe.
    pub beats: Beats,
}

/// Who sends the heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beats {
    /// We write one, whenever one is due.
    Ours,
    /// The kernel probes by itself after that much silence (long polls: nothing may be written before the answer).
    Kernel,
}

/// How soon to look again whether an awaited answer has come.
const AGAIN: Duration = Duration::from_secs(1);

/// What a probe, its answer and the coarseness of a kernel's timers take at most, beside the interval.
const SLACK: Duration = Duration::from_secs(1);

/// What was written down about one hold.
#[derive(Clone, Copy, Debug)]
pub struct Signs {
    /// The last message delivered to the peer or received from it, or the hold's beginning.
    pub activity: Tick,
    /// The last proof that the peer is there.
    pub life: Tick,
    /// When the first heartbeat that `life` has not answered was sent; meaningful if later than `life`.
    pub beat: Tick,
    /// When the next heartbeat is to be sent.
    pub next_beat: Tick,
    /// The end of the hold's lifetime; `Tick::NEVER` for none.
    pub expires: Tick,
    /// Since when a write has made no progress; later by what its progress is worth.
    pub blocked: Option<Tick>,
    /// Since when its silence proves nothing: a write is blocked, or we do not read, or one after the other.
    pub unreadable_since: Option<Tick>,
    /// When its kernel last answered ours, where that is known; asked for only where it matters.
    pub answer: Option<Tick>,
}

/// What a look at a hold found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing; look again then, not earlier.
    Rest(Tick),
    /// A heartbeat.
    Beat,
    /// Its end.
    End(End),
}

/// What is known of the answer to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// It was given, or there was no time for it yet.
    Given,
    /// It should be there. The heartbeat or the answer may have been lost, and be sent again.
    Awaited,
    /// It is not there: no network loses so much in a row.
    Missing,
}

/// Whether a host that took nothing for as long as its kernel was `asked`, and whose last answer is `silence` ago, is not
/// there: see the fourth ground rule.
pub fn is_unreachable(silence: Duration, asked: Duration) -> bool {
    silence >= LEAST_SILENCE.max(asked / 2 + SLACK)
}

impl Clocks {
    /// Judges one hold at `now`.
    pub fn judge(&self, signs: &Signs, now: Tick) -> Due {
        let idle = self.idle_at(signs, now);
        if idle <= now {
            return Due::End(Disconnect::Idle.into());
        }
        if let Some(since) = signs.blocked
            && since.plus(self.write_timeout) <= now
        {
            let is_unreachable =
                signs.answer.is_some_and(|answer| is_unreachable(now.since(answer), now.since(since)));
            return Due::End(match is_unreachable {
                true => Disconnect::Unreachable.into(),
                false => Disconnect::Stalled.into(),
            });
        }
        let stalled = signs.blocked.map_or(Tick::NEVER, |since| since.plus(self.write_timeout));
        let timeout = self.timeout.map_or(Tick::NEVER, |span| signs.activity.plus(span));
        for (at, cause) in [(timeout, Resume::Timeout), (signs.expires, Resume::Lifetime)] {
            if at <= now {
                return match self.answer(signs, now) {
                    Answer::Given => Due::End(cause.into()),
                    Answer::Missing => Due::End(Disconnect::Idle.into()),
                    Answer::Awaited => Due::Rest(now.plus(AGAIN).min(idle).min(stalled)),
                };
            }
        }
        let beat = self.next_beat(signs);
        if beat <= now {
            return Due::Beat;
        }
        Due::Rest(idle.min(timeout).min(signs.expires).min(beat).min(stalled))
    }

    /// How the kernel is to ask the peer for signs of life. It gives up later than any clock of ours, which knows more: a
    /// peer that fell silent is `Idle`, one that takes nothing `Stalled`, no matter which probe found it.
    pub fn probing(&self) -> KeepaliveProbes {
        let Some(heartbeat) = self.heartbeat else {
            // Peers are not asked for signs of life; but what does not arrive is given up.
            let silence = self.max_idle.unwrap_or_default().max(self.write_timeout);
            return probing_unheld(silence);
        };
        // A kernel's timers are late by up to an eighth.
        let every = self.max_idle.map_or(heartbeat, |span| heartbeat.min(span / 2)).max(LEAST_PROBE);
        let silence = self.max_idle.unwrap_or(every.saturating_mul(4)).max(LEAST_SILENCE);
        let give_up = silence.max(self.write_timeout).saturating_add(every);
        // With `max_idle` its silence counts; else that the kernel gives up.
        let window = self.max_idle.map_or(give_up, |_| silence).saturating_sub(every);
        asking::probing(every, window, give_up)
    }

    /// The earliest moment at which the peer's silence can be long enough.
    fn idle_at(&self, signs: &Signs, now: Tick) -> Tick {
        let Some(span) = self.max_idle else { return Tick::NEVER };
        let Some(since) = signs.unreadable_since else {
            return signs.life.plus(self.least_silence(span));
        };
        // Stands still: what was left when it stopped, or at a later sign, is left now.
        let standing = signs.life.plus(now.since(since.max(signs.life)));
        match signs.answer.filter(|_| self.heartbeat.is_some()) {
            Some(answer) if answer < standing => {
                let last = signs.life.max(answer);
                last.plus(span.max(LEAST_SILENCE)).max(Self::answer_due(signs, answer))
            }
            _ => standing.plus(span).max(now.plus(Duration::from_millis(1))),
        }
    }

    /// When a kernel that last answered then would have answered again, though it takes nothing.
    fn answer_due(signs: &Signs, answer: Tick) -> Tick {
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

    /// Whether a peer which is there would have answered the last heartbeats by now.
    fn answer(&self, signs: &Signs, now: Tick) -> Answer {
        let Some(heartbeat) = self.heartbeat else { return Answer::Given };
        let silence = Duration::from_secs(5).min(heartbeat / 2);
        let KeepaliveProbes { every, .. } = self.probing();
        // A kernel may be late by a quarter.
        let probed = |last: Tick, silence: Duration| {
            last.plus(every.saturating_add(silence.max(every / 4))).max(last.plus(LEAST_SILENCE))
        };
        let (doubted, proven) = match (signs.unreadable_since, self.beats) {
            (Some(_), _) => {
                let Some(answer) = signs.answer else { return Answer::Given };
                let (last, answer_due) = (signs.life.max(answer), Self::answer_due(signs, answer));
                (probed(last, silence).max(answer_due), probed(last, PROOF).max(answer_due))
            }
            (None, Beats::Kernel) => (probed(signs.life, silence), probed(signs.life, PROOF)),
            (None, Beats::Ours) if signs.beat > signs.life => {
                (signs.beat.plus(silence), signs.beat.plus(PROOF))
            }
            (None, Beats::Ours) => return Answer::Given,
        };
        if proven <= now {
            Answer::Missing
        } else if doubted <= now {
            Answer::Awaited
        } else {
            Answer::Given
        }
    }
}

#[cfg(test)]
mod tests;
