//! The settings of a hold: what an annotation, the environment or a `Suspend` may set, with defaults and contradictions.

mod contradiction;
mod rules;
mod transport;

use std::time::Duration;

use crate::kind::{Clock, Count, Size};
use crate::settings;

pub use contradiction::Contradiction;
pub use rules::{WhenEvicted, WhenFull, WhenSlow};
pub use transport::{Transport, Transports};

/// The `max_idle` of a handler that says nothing.
pub const DEFAULT_MAX_IDLE: Duration = Duration::from_secs(300);
/// The `timeout` of a long poll whose handler says nothing: an unanswered poll must end some time.
pub const DEFAULT_POLL_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest `heartbeat` chosen by default: below the 30 s after which some proxies cut a silent connection.
pub const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(25);
/// The `send_buffer` of a handler that says nothing, in bytes.
pub const DEFAULT_SEND_BUFFER: usize = 256 << 10;
/// The least `send_buffer`, in bytes: what the kernel keeps for a peer counts, and is seldom less than half of this.
pub const LEAST_SEND_BUFFER: usize = 32 << 10;
/// The `max_message` of a handler that says nothing, in bytes.
pub const DEFAULT_MAX_MESSAGE: usize = 64 << 10;

settings! {
    /// What was written for an endpoint: `None` where nothing was. A clock's inner `None` is the written word `"none"`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    options EndpointOptions;

    /// The settings of an endpoint or of one hold, with every default filled in.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    config EndpointConfig {}

    keys EndpointKey;

    "How a hold speaks and ends" {
        /// The transports that are offered.
        pub transports Transports: Transports = Transport::ALL, "all four";

        /// How long there may be no activity: then the hold is resumed. A message is activity, a heartbeat is not.
        timeout Timeout: Clock, "`none`; `30s` for long polls";

        /// How long there may be no sign of life from the peer: then it is taken for gone, and disconnected.
        pub max_idle MaxIdle: Clock = Some(DEFAULT_MAX_IDLE), "`5m`";

        /// How old a hold may get: then it is resumed. Each hold draws 90 to 100 % of it, so that clients which came
        /// together do not come back together.
        pub max_lifetime MaxLifetime: Clock = None, "`none`";

        /// How often a silent peer is asked for a sign of life. The first time comes at a random part of it.
        heartbeat Heartbeat: Clock, "the least of `25s`, a third of `max_idle` and a third of `timeout`";
    }

    "How many holds there may be" {
        /// How many holds the endpoint may have. The server's `max_suspended` applies as well.
        pub max_suspended MaxSuspended: Count, "`none`";

        /// How many of its holds may come from one address. The server's `max_per_peer` applies as well.
        pub max_per_peer MaxPerPeer: Count, "`none`";

        /// How many of its holds may have the same key (`Suspend::key`). The server's `max_per_key` applies as well. A
        /// hold without a key is not counted.
        pub max_per_key MaxPerKey: Count, "`none`";

        /// What happens to a newcomer over one of these limits: `reject` or `resume_oldest`.
        pub when_full WhenFull: WhenFull, "the server's `when_full`";

        /// What the client is told whose hold is resumed for a newcomer: `come_back` or `stay_away`.
        pub when_evicted WhenEvicted: WhenEvicted = WhenEvicted::ComeBack, "`come_back`";
    }

    "Memory of one hold" {
        /// How many bytes may wait for one peer, those included which the kernel holds for it. At least 32 KiB.
        pub send_buffer SendBuffer: Size = DEFAULT_SEND_BUFFER, "`256KiB`";

        /// What happens when more would have to wait: `disconnect`, `drop_oldest` or `drop_newest`.
        pub when_slow WhenSlow: WhenSlow = WhenSlow::Disconnect, "`disconnect`";

        /// How many bytes a peer may send as one message.
        pub max_message MaxMessage: Size = DEFAULT_MAX_MESSAGE, "`64KiB`";
    }
}

impl EndpointConfig {
    /// How long a hold of this transport may be without activity: only a long poll has a default.
    pub fn timeout(&self, transport: Transport) -> Option<Duration> {
        let default = (transport == Transport::LongPoll).then_some(DEFAULT_POLL_TIMEOUT);
        self.timeout.unwrap_or(default)
    }

    /// How often a silent peer of this transport is asked for a sign of life, by default often enough that two
    /// may be lost before a clock falls due.
    pub fn heartbeat(&self, transport: Transport) -> Option<Duration> {
        self.heartbeat.unwrap_or_else(|| {
            let clocks = [self.max_idle, self.timeout(transport)];
            let thirds = clocks.into_iter().flatten().map(|clock| clock / 3);
            Some(thirds.fold(DEFAULT_HEARTBEAT, Duration::min))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn what_is_not_written_has_the_documented_default() {
        let terms = EndpointOptions::default().resolve();
        assert_eq!(EndpointOptions::default(), EndpointOptions::NONE);
        assert_eq!(terms.transports, Transport::ALL);
        assert_eq!(terms.max_idle, Some(secs(300)));
        assert_eq!((terms.max_lifetime, terms.max_suspended, terms.when_full), (None, None, None));
        assert_eq!((terms.send_buffer, terms.max_message), (262_144, 65_536));
        assert_eq!((terms.when_slow, terms.when_evicted), (WhenSlow::Disconnect, WhenEvicted::ComeBack));
        assert_eq!(terms.timeout(Transport::LongPoll), Some(secs(30)));
        assert_eq!(terms.timeout(Transport::Sse), None);
        assert_eq!(terms.heartbeat(Transport::LongPoll), Some(secs(10)));
        assert_eq!(terms.heartbeat(Transport::WebSocket), Some(secs(25)));
    }

    #[test]
    fn the_default_heartbeat_fits_into_every_clock_thrice() {
        let options = EndpointOptions {
            timeout: Some(Some(secs(12))),
            max_idle: Some(Some(secs(9))),
            ..EndpointOptions::NONE
        };
        assert_eq!(options.resolve().heartbeat(Transport::Sse), Some(secs(3)));
        let without = EndpointOptions { heartbeat: Some(None), ..options };
        assert_eq!(without.resolve().heartbeat(Transport::Sse), None);
        let none = EndpointOptions { max_idle: Some(None), ..EndpointOptions::NONE };
        assert_eq!(none.resolve().heartbeat(Transport::WebSocket), Some(secs(25)));
    }

    #[test]
    fn what_was_written_first_stands() {
        let first = EndpointOptions { timeout: Some(None), send_buffer: Some(1), ..EndpointOptions::NONE };
        let second =
            EndpointOptions { timeout: Some(Some(secs(1))), max_message: Some(2), ..EndpointOptions::NONE };
        let both = first.or(second);
        assert_eq!((both.timeout, both.send_buffer, both.max_message), (Some(None), Some(1), Some(2)));
    }

    #[test]
    fn every_key_can_be_set_from_text() {
        let mut options = EndpointOptions::NONE;
        for key in EndpointKey::ALL.iter().copied() {
            assert_eq!(EndpointKey::named(key.as_str()), Some(key));
            let value = match key {
                EndpointKey::Transports => "sse, websocket",
                EndpointKey::Timeout | EndpointKey::MaxLifetime => "1h",
                EndpointKey::MaxIdle => "none",
                EndpointKey::Heartbeat => "20s",
                EndpointKey::MaxSuspended | EndpointKey::MaxPerPeer | EndpointKey::MaxPerKey => "7",
                EndpointKey::WhenFull => "resume_oldest",
                EndpointKey::WhenEvicted => "stay_away",
                EndpointKey::SendBuffer | EndpointKey::MaxMessage => "64KiB",
                EndpointKey::WhenSlow => "drop_newest",
            };
            assert_eq!(options.set(key, value), Ok(()), "{}", key.as_str());
        }
        let hour = Some(Some(Duration::from_secs(3600)));
        let expected = EndpointOptions {
            transports: Some(&[Transport::Sse, Transport::WebSocket]),
            timeout: hour,
            max_idle: Some(None),
            max_lifetime: hour,
            heartbeat: Some(Some(Duration::from_secs(20))),
            max_suspended: Some(7),
            max_per_peer: Some(7),
            max_per_key: Some(7),
            when_full: Some(WhenFull::ResumeOldest),
            when_evicted: Some(WhenEvicted::StayAway),
            send_buffer: Some(65_536),
            when_slow: Some(WhenSlow::DropNewest),
            max_message: Some(65_536),
        };
        assert_eq!(options, expected);
    }

    #[test]
    fn a_wrong_text_changes_nothing_and_says_what_is_right() {
        let mut options = EndpointOptions::NONE;
        for (key, value, hint) in [
            (EndpointKey::Transports, "sse,ws", "write websocket"),
            (EndpointKey::Timeout, "30", "write \"30s\""),
            (EndpointKey::WhenFull, "evict", "\"resume_oldest\""),
            (EndpointKey::WhenEvicted, "stay-away", "\"come_back\" or \"stay_away\""),
            (EndpointKey::WhenSlow, "drop", "\"disconnect\", \"drop_oldest\" or \"drop_newest\""),
            (EndpointKey::WhenSlow, "Drop_Oldest", "\"drop_oldest\""),
            (EndpointKey::MaxPerKey, "0", "refuse everybody"),
        ] {
            let fault = options.set(key, value).unwrap_err().to_string();
            assert!(fault.contains(hint), "{fault}");
        }
        assert_eq!(options, EndpointOptions::NONE);
    }
}
