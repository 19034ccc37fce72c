//! How often a peer is asked before its silence is an answer.
//!
//! A network that loses packets with the probability `p` each way leaves a question unanswered with the probability
//! `q = 1 - (1 - p)²`, since the question or its answer can be lost. A peer that is there is taken for gone if `n`
//! questions in a row stay unanswered, with the probability `qⁿ` for each silence:
//!
//! | `n` | `p` = 10 %, `q` = 0.19 | `p` = 30 %, `q` = 0.51 |
//! |---|---|---|
//! | 2 | 0.036 | 0.26 |
//! | 4 | 1.3e-3 | 0.068 |
//! | 7 | 8.9e-6 | 9.0e-3 |
//! | 12 | 2.2e-9 | 3.1e-4 |
//! | 24 | 4.9e-18 | 9.6e-8 |
//!
//! *Long polls* are asked by TCP keepalive. Nothing sends a lost probe again but the next one, and kernels count between
//! probes in whole seconds. The first comes after a `heartbeat` of silence, and then one every `again`, up to [`QUESTIONS`] of
//! them; but no more than `max_idle - heartbeat` has seconds. So `max_idle` 5 min and 60 s have 24 and more at the default
//! heartbeat; 15 s have 10, and 3 s have only 2, which one connection in thirty does not survive where a tenth is lost.
//!
//! *The other transports* send their heartbeats as data, which TCP sends again after 0.2 s, and then in intervals that
//! double: within `s` seconds that is `n = 2 + log₂(s / 0.2)` times or so, 7 in 7 s and 8 in 15 s. A WebSocket's pong is sent again
//! by the peer's kernel in the same way, so that ping and pong are each lost with `pⁿ` only.

use std::time::Duration;

use crate::words::keepalive_probes::KeepaliveProbes;

/// Kernels count between probes in whole seconds: they ask no more often than this, even if `heartbeat` is shorter.
pub(super) const LEAST_PROBE: Duration = Duration::from_secs(1);

/// No kernel that is probed that often is silent for so long.
pub(super) const LEAST_SILENCE: Duration = Duration::from_secs(2);

/// How often a silent peer is asked, where whole seconds allow it. Not more: a network that fails leaves a million of
/// peers silent at once, and each question is a packet.
const QUESTIONS: u32 = 24;

/// After so long an unanswered heartbeat was sent seven times, as data or as a probe. In less time, too many of those who
/// are there do not answer.
pub(super) const PROOF: Duration = Duration::from_secs(7);

/// How a connection is probed whose peer is not asked for signs of life, and that has a write deadline or another
/// silence of so long. Where nothing is held, nothing else notices that the peer of a fallback's WebSocket vanished.
pub fn probing_unheld(silence: Duration) -> KeepaliveProbes {
    const EVERY: Duration = Duration::from_secs(60);
    let silence = silence.max(EVERY);
    probing(EVERY, silence, silence.saturating_add(EVERY))
}

/// Asks after `every`, and then often enough within `window`.
pub(super) fn probing(every: Duration, window: Duration, give_up: Duration) -> KeepaliveProbes {
    KeepaliveProbes { every, again: (window / QUESTIONS).clamp(LEAST_PROBE, every), give_up }
}

#[cfg(test)]
mod tests {
    use super::super::{Beats, Clocks};
    use super::*;

    /// How likely a long poll is taken for gone in one silence, where so much is lost each way.
    fn wrong_end(max_idle: u64, heartbeat: u64, loss: f64) -> f64 {
        let clocks = Clocks {
            timeout: None,
            max_idle: Some(Duration::from_secs(max_idle)),
            heartbeat: Some(Duration::from_secs(heartbeat)),
            write_timeout: Duration::from_secs(10),
            beats: Beats::Kernel,
        };
        let KeepaliveProbes { every, again, .. } = clocks.probing();
        // A kernel's timers are late by up to an eighth.
        let late = |span: Duration| span.as_secs() as f64 * 1.125;
        let questions = 1.0 + ((max_idle as f64 - late(every)) / late(again)).floor();
        (1.0 - (1.0 - loss).powi(2)).powf(questions)
    }

    #[test]
    fn a_long_poll_that_loses_a_tenth_is_asked_too_often_to_be_taken_for_gone() {
        for (max_idle, heartbeat) in
            [(15, 3), (15, 5), (20, 5), (30, 10), (60, 20), (300, 25), (300, 140), (86_400, 25)]
        {
            let wrong = wrong_end(max_idle, heartbeat, 0.1);
            assert!(wrong < 1e-6, "{max_idle} s, {heartbeat} s: {wrong:e}");
        }
        for (max_idle, heartbeat) in [(60, 20), (300, 25), (86_400, 25)] {
            let wrong = wrong_end(max_idle, heartbeat, 0.3);
            assert!(wrong < 1e-6, "{max_idle} s, {heartbeat} s: {wrong:e}");
        }
    }

    #[test]
    fn a_peer_is_asked_no_more_often_than_that_takes() {
        for (every, window, again) in [(25, 275, 11), (20, 40, 1), (3, 12, 1), (60, 86_400, 60)] {
            let [every, window, again] = [every, window, again].map(Duration::from_secs);
            let asked = probing(every, window, window).again;
            assert_eq!(asked.as_secs(), again.as_secs());
        }
        let KeepaliveProbes { every, again, give_up } = probing_unheld(Duration::MAX);
        assert!(every >= again && give_up == Duration::MAX);
    }
}
