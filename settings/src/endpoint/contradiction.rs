//! Options that cannot both be meant.

use std::fmt;

use super::{DEFAULT_MAX_IDLE, EndpointKey, EndpointOptions, LEAST_SEND_BUFFER, Transport};
use crate::amount::{LONGEST, spell_duration, spell_size};

/// Two settings that cannot both be meant, or one whose value cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// The setting to blame; it was always written, never a default.
    pub key: EndpointKey,
    /// The setting it contradicts; itself if the value alone is wrong.
    pub other: EndpointKey,
    sentence: String,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Contradiction {}

impl Contradiction {
    fn new(key: EndpointKey, other: EndpointKey, sentence: impl Into<String>) -> Self {
        Contradiction { key, other, sentence: sentence.into() }
    }

    fn alone(key: EndpointKey, sentence: impl Into<String>) -> Self {
        Contradiction::new(key, key, sentence)
    }

    /// A transport is listed again.
    pub fn twice(transport: Transport) -> Self {
        Contradiction::alone(EndpointKey::Transports, format!("`{}` stands here twice", transport.as_str()))
    }

    /// No transport is listed.
    pub fn no_transport() -> Self {
        Contradiction::alone(
            EndpointKey::Transports,
            "without a transport no client can be held: list some, or leave the key out to offer all four",
        )
    }
}

impl EndpointOptions {
    /// Everything in these settings that cannot be meant, defaults included; empty if all is well.
    pub fn contradictions(&self) -> Vec<Contradiction> {
        let mut found = Vec::new();
        self.judge_transports(&mut found);
        self.judge_lengths(&mut found);
        self.judge_heartbeat(&mut found);
        self.judge_lifetime(&mut found);
        self.judge_vanished(&mut found);
        self.judge_counts(&mut found);
        self.judge_sizes(&mut found);
        found
    }

    fn judge_transports(&self, found: &mut Vec<Contradiction>) {
        let offered = self.transports.unwrap_or(Transport::ALL);
        if offered.is_empty() {
            found.push(Contradiction::no_transport());
        }
        for (place, transport) in offered.iter().enumerate() {
            if offered[..place].contains(transport) {
                found.push(Contradiction::twice(*transport));
            }
        }
        if self.timeout == Some(None) && offered.contains(&Transport::LongPoll) {
            let cure = match self.transports {
                Some([Transport::LongPoll]) => "give it a duration",
                Some(_) => "give it a duration, or take `long_poll` out of `transports`",
                None => {
                    "long_poll is offered because no `transports` are written: list those without it, \
                     or give `timeout` a duration"
                }
            };
            let sentence =
                format!("a long poll needs a `timeout`, or it would wait for ever for its answer; {cure}");
            found.push(Contradiction::new(EndpointKey::Timeout, EndpointKey::Transports, sentence));
        }
    }

    /// Each clock by itself. Only code can write what is found here.
    fn judge_lengths(&self, found: &mut Vec<Contradiction>) {
        let clocks = [
            (EndpointKey::Timeout, self.timeout),
            (EndpointKey::MaxIdle, self.max_idle),
            (EndpointKey::MaxLifetime, self.max_lifetime),
            (EndpointKey::Heartbeat, self.heartbeat),
        ];
        for (key, clock) in clocks.into_iter().filter_map(|(key, clock)| Some((key, clock.flatten()?))) {
            let name = key.as_str();
            if clock.is_zero() {
                let sentence = format!("`{name}` is zero; to switch it off write \"none\"");
                found.push(Contradiction::alone(key, sentence));
            }
            if clock > LONGEST {
                let long = spell_duration(clock);
                let sentence =
                    format!("`{name}` ({long}) is longer than a year; to switch it off write \"none\"");
                found.push(Contradiction::alone(key, sentence));
            }
        }
    }

    /// A heartbeat must come before the clocks that it is to feed.
    fn judge_heartbeat(&self, found: &mut Vec<Contradiction>) {
        let Some(Some(heartbeat)) = self.heartbeat else { return };
        let spelled = spell_duration(heartbeat);
        if let Some(max_idle) = self.max_idle.unwrap_or(Some(DEFAULT_MAX_IDLE))
            && heartbeat >= max_idle
        {
            let default = if self.max_idle.is_none() { ", the default" } else { "" };
            let sentence = format!(
                "`heartbeat` ({spelled}) must be shorter than `max_idle` ({}{default}), or a living peer is taken for \
                 gone before it is asked",
                spell_duration(max_idle),
            );
            found.push(Contradiction::new(EndpointKey::Heartbeat, EndpointKey::MaxIdle, sentence));
        }
        if let Some(Some(timeout)) = self.timeout
            && heartbeat >= timeout
        {
            let sentence = format!(
                "`heartbeat` ({spelled}) must be shorter than `timeout` ({}), or a quiet peer cannot be told from a \
                 dead one when the timeout comes",
                spell_duration(timeout),
            );
            found.push(Contradiction::new(EndpointKey::Heartbeat, EndpointKey::Timeout, sentence));
        }
    }

    fn judge_lifetime(&self, found: &mut Vec<Contradiction>) {
        if let (Some(Some(lifetime)), Some(Some(timeout))) = (self.max_lifetime, self.timeout)
            && lifetime <= timeout
        {
            let sentence = format!(
                "`max_lifetime` ({}) must be longer than `timeout` ({}), or the timeout never comes",
                spell_duration(lifetime),
                spell_duration(timeout),
            );
            found.push(Contradiction::new(EndpointKey::MaxLifetime, EndpointKey::Timeout, sentence));
        }
    }

    /// Some clock must notice a peer that vanished. A long poll always has a `timeout`, or `judge_transports` refuses it.
    fn judge_vanished(&self, found: &mut Vec<Contradiction>) {
        let is_unbounded = self.max_idle == Some(None)
            && self.heartbeat == Some(None)
            && self.timeout.flatten().is_none()
            && self.max_lifetime.flatten().is_none()
            && self.transports != Some(&[Transport::LongPoll]);
        if is_unbounded {
            let sentence = "with `max_idle` and `heartbeat` both \"none\", and neither `timeout` nor `max_lifetime`, \
                            nothing would ever notice a dead peer; give one of them a duration";
            found.push(Contradiction::new(EndpointKey::MaxIdle, EndpointKey::Heartbeat, sentence));
        }
    }

    fn judge_counts(&self, found: &mut Vec<Contradiction>) {
        let counts = [
            (EndpointKey::MaxSuspended, self.max_suspended),
            (EndpointKey::MaxPerPeer, self.max_per_peer),
            (EndpointKey::MaxPerKey, self.max_per_key),
        ];
        for (key, count) in counts {
            let name = key.as_str();
            if count == Some(0) {
                found.push(Contradiction::alone(
                    key,
                    format!("`{name}` is zero, which would refuse everybody"),
                ));
            }
            if let (Some(count), Some(all)) = (count, self.max_suspended)
                && count > all
            {
                let sentence =
                    format!("`{name}` ({count}) is above `max_suspended` ({all}) and never reached");
                found.push(Contradiction::new(key, EndpointKey::MaxSuspended, sentence));
            }
        }
    }

    fn judge_sizes(&self, found: &mut Vec<Contradiction>) {
        if let Some(send_buffer) = self.send_buffer.filter(|send_buffer| *send_buffer < LEAST_SEND_BUFFER) {
            let sentence = format!(
                "`send_buffer` ({}) must be at least {}: what the kernel keeps for a peer counts",
                spell_size(send_buffer),
                spell_size(LEAST_SEND_BUFFER),
            );
            found.push(Contradiction::alone(EndpointKey::SendBuffer, sentence));
        }
        if self.max_message == Some(0) {
            found.push(Contradiction::alone(
                EndpointKey::MaxMessage,
                "`max_message` is zero, which no message fits",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    type Texts = &'static [(EndpointKey, &'static str)];

    fn written(options: Texts) -> Vec<(EndpointKey, EndpointKey)> {
        let mut read = EndpointOptions::NONE;
        for (key, value) in options {
            read.set(*key, value).expect("a value in the test's own hand");
        }
        read.contradictions().into_iter().map(|found| (found.key, found.other)).collect()
    }

    #[test]
    fn sensible_settings_contradict_nothing() {
        let sensible: [Texts; 13] = [
            &[],
            &[(EndpointKey::Timeout, "30s"), (EndpointKey::MaxIdle, "5m"), (EndpointKey::Heartbeat, "20s")],
            &[(EndpointKey::Timeout, "1h"), (EndpointKey::MaxIdle, "1m")],
            &[(EndpointKey::Heartbeat, "1m")],
            &[(EndpointKey::Heartbeat, "none")],
            &[(EndpointKey::MaxIdle, "none")],
            &[(EndpointKey::MaxLifetime, "20s")],
            &[(EndpointKey::MaxLifetime, "1m"), (EndpointKey::MaxIdle, "5m")],
            &[(EndpointKey::Transports, "websocket"), (EndpointKey::Timeout, "none")],
            &[
                (EndpointKey::MaxSuspended, "5"),
                (EndpointKey::MaxPerPeer, "5"),
                (EndpointKey::MaxPerKey, "1"),
            ],
            &[(EndpointKey::SendBuffer, "32KiB"), (EndpointKey::MaxMessage, "1GiB")],
            &[
                (EndpointKey::Transports, "long_poll"),
                (EndpointKey::MaxIdle, "none"),
                (EndpointKey::Heartbeat, "none"),
            ],
            // Messages also wait for a poll, until `on_suspend` is through.
            &[(EndpointKey::Transports, "long_poll"), (EndpointKey::WhenSlow, "drop_oldest")],
        ];
        for options in sensible {
            assert_eq!(written(options), [], "{options:?}");
        }
    }

    #[test]
    fn a_contradiction_names_the_setting_to_blame_and_the_one_it_contradicts() {
        use EndpointKey::*;
        let cases: [(Texts, (EndpointKey, EndpointKey)); 14] = [
            (&[(Heartbeat, "5m"), (MaxIdle, "5m")], (Heartbeat, MaxIdle)),
            (&[(Heartbeat, "10m")], (Heartbeat, MaxIdle)),
            (&[(Heartbeat, "30s"), (Timeout, "30s")], (Heartbeat, Timeout)),
            (&[(MaxLifetime, "1m"), (Timeout, "1m")], (MaxLifetime, Timeout)),
            (&[(Timeout, "none")], (Timeout, Transports)),
            (&[(Timeout, "none"), (Transports, "long_poll")], (Timeout, Transports)),
            (&[(Timeout, "none"), (Transports, "sse, long_poll")], (Timeout, Transports)),
            (&[(Transports, "sse, sse")], (Transports, Transports)),
            (&[(Transports, "")], (Transports, Transports)),
            (&[(SendBuffer, "31KiB")], (SendBuffer, SendBuffer)),
            (&[(MaxPerPeer, "6"), (MaxSuspended, "5")], (MaxPerPeer, MaxSuspended)),
            (&[(MaxPerKey, "6"), (MaxSuspended, "5")], (MaxPerKey, MaxSuspended)),
            (&[(MaxIdle, "none"), (Heartbeat, "none")], (MaxIdle, Heartbeat)),
            (&[(MaxIdle, "none"), (Heartbeat, "none"), (MaxLifetime, "none")], (MaxIdle, Heartbeat)),
        ];
        for (options, expected) in cases {
            assert_eq!(written(options), [expected], "{options:?}");
        }
    }

    #[test]
    fn values_that_no_text_can_say_are_judged_too() {
        let options = EndpointOptions {
            timeout: Some(Some(Duration::ZERO)),
            max_suspended: Some(0),
            max_message: Some(0),
            ..EndpointOptions::NONE
        };
        let found = options.contradictions();
        let keys: Vec<EndpointKey> = found.iter().map(|found| found.key).collect();
        assert_eq!(
            keys,
            [EndpointKey::Timeout, EndpointKey::MaxSuspended, EndpointKey::MaxMessage],
            "{found:?}"
        );
    }

    #[test]
    fn the_sentence_says_when_a_default_is_contradicted() {
        let heartbeat =
            EndpointOptions { heartbeat: Some(Some(Duration::from_secs(600))), ..EndpointOptions::NONE };
        assert!(heartbeat.contradictions()[0].to_string().contains("`max_idle` (5m, the default)"));
        let timeout = EndpointOptions { timeout: Some(None), ..EndpointOptions::NONE };
        assert!(timeout.contradictions()[0].to_string().contains("no `transports` are written"));
    }
}
