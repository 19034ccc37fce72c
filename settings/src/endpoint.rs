//! The terms of a hold: what an annotation, the environment or a `Suspend` may set, with defaults and contradictions.
//!
//! The macros crate reads this same file, so that a compile error and an error at start judge alike.

mod contradiction;
mod endpoint_key;

use std::time::Duration;

pub use contradiction::Contradiction;
pub use endpoint_key::EndpointKey;

/// How a held connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Transport {
    /// WebSocket (RFC 6455).
    WebSocket,
    /// Server-sent events (WHATWG HTML, "event streams").
    Sse,
    /// An endless HTTP answer of one JSON value a line.
    Stream,
    /// A request that is answered when there is something to say.
    LongPoll,
}

/// What happens to a newcomer when a limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenFull {
    /// The newcomer is refused.
    Reject,
    /// The oldest hold under that limit is resumed, and the newcomer takes its place.
    ResumeOldest,
}

/// What a hold is told that is ended because a limit with `resume_oldest` is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenEvicted {
    /// Its client may come back after a while, and may take the place of another then. If more clients come back than
    /// there are places, they take turns without end.
    ComeBack,
    /// Its client shall stay away until its user says otherwise. It is told as it is by
    /// `Held::disconnect` with the reason `evicted`: a poll by `410`, a WebSocket by 1008, an
    /// event stream by `event: disconnected`. An `EventSource` comes back once all the same unless its page closes it.
    /// It brings the id of that event along, is answered with `204`, and is closed for good by that.
    StayAway,
}

/// What happens to what is published when a peer reads more slowly than messages come, and its send buffer has no room.
///
/// Only what is published is ever dropped. What the application sends to one hold is refused when it has no room, with
/// the message in `SendError::Full`, and what waits already is not dropped for it: whatever
/// the rule. Heads and heartbeats are no messages, and are not dropped either.
///
/// A long poll's first message is its answer, so there the rule counts only for what is published while `on_suspend`
/// still runs. That is little, but no contradiction: it may be set where long polling is all that is offered.
///
/// `Ended::dropped` and `Stats::dropped` say how many were dropped. A
/// peer that takes nothing at all is `Stalled` after `Server::write_timeout` under every rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenSlow {
    /// The peer is disconnected, as `Disconnect::Slow`.
    Disconnect,
    /// The newest message takes the place of what has waited longest, which is dropped and counted. A message that is
    /// half written is not dropped. If not even all of what may be dropped made room enough, the newest is dropped alone.
    ///
    /// What the kernel has taken cannot be dropped any more. On Linux it is asked to take little (`TCP_NOTSENT_LOWAT`);
    /// elsewhere it may take so much of the oldest that no room is left for the newest.
    DropOldest,
    /// The newest message is dropped, and counted; what waits stays.
    DropNewest,
}

/// What was written for a handler: `None` where nothing was. A clock's inner `None` is the written word `"none"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointOptions {
    /// The transports offered.
    pub transports: Option<&'static [Transport]>,
    /// How long without activity until the hold is resumed.
    pub timeout: Option<Option<Duration>>,
    /// How long without a sign of life until the peer is taken for gone.
    pub max_idle: Option<Option<Duration>>,
    /// How old a hold may get until it is resumed.
    pub max_lifetime: Option<Option<Duration>>,
    /// How often a silent peer is asked for a sign of life.
    pub heartbeat: Option<Option<Duration>>,
    /// How many holds this handler may have.
    pub max_suspended: Option<usize>,
    /// How many of them may come from one peer's address.
    pub max_per_peer: Option<usize>,
    /// How many of them may carry the same key.
    pub max_per_key: Option<usize>,
    /// What happens to a newcomer over these limits.
    pub when_full: Option<WhenFull>,
    /// What one is told that is ended for a newcomer.
    pub when_evicted: Option<WhenEvicted>,
    /// How many bytes may wait for one peer.
    pub send_buffer: Option<usize>,
    /// What happens when more would have to wait.
    pub when_slow: Option<WhenSlow>,
    /// How many bytes a peer may send as one message.
    pub max_message: Option<usize>,
}

/// The settings of a handler or of one hold with every default filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointConfig {
    /// The transports offered.
    pub transports: &'static [Transport],
    /// How long without a sign of life until the peer is taken for gone.
    pub max_idle: Option<Duration>,
    /// How old a hold may get; each hold draws 90 to 100 % of it.
    pub max_lifetime: Option<Duration>,
    /// How many holds this handler may have.
    pub max_suspended: Option<usize>,
    /// How many of them may come from one peer's address.
    pub max_per_peer: Option<usize>,
    /// How many of them may carry the same key.
    pub max_per_key: Option<usize>,
    /// What happens to a newcomer over a limit; `None` is the server's own rule.
    pub when_full: Option<WhenFull>,
    /// What one is told that is ended for a newcomer.
    pub when_evicted: WhenEvicted,
    /// How many bytes may wait for one peer.
    pub send_buffer: usize,
    /// What happens when more would have to wait.
    pub when_slow: WhenSlow,
    /// How many bytes a peer may send as one message.
    pub max_message: usize,
    timeout: Option<Option<Duration>>,
    heartbeat: Option<Option<Duration>>,
}

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

impl Transport {
    /// All transports, in the order in which one is chosen for a client that asks for none.
    pub const ALL: &'static [Transport] =
        &[Transport::LongPoll, Transport::Stream, Transport::Sse, Transport::WebSocket];

    /// The transport as it is written in annotations and in `?transport=`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Transport::WebSocket => "websocket",
            Transport::Sse => "sse",
            Transport::Stream => "stream",
            Transport::LongPoll => "long_poll",
        }
    }

    /// A list of this transport only.
    pub const fn alone(self) -> &'static [Transport] {
        match self {
            Transport::WebSocket => &[Transport::WebSocket],
            Transport::Sse => &[Transport::Sse],
            Transport::Stream => &[Transport::Stream],
            Transport::LongPoll => &[Transport::LongPoll],
        }
    }
}

/// As in `transports`: `"websocket"`.
#[cfg(feature = "serde")]
impl serde::Serialize for Transport {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl WhenFull {
    /// The rule as it is written in annotations.
    pub const fn as_str(&self) -> &'static str {
        match self {
            WhenFull::Reject => "reject",
            WhenFull::ResumeOldest => "resume_oldest",
        }
    }
}

impl WhenEvicted {
    /// The rule as it is written in annotations.
    pub const fn as_str(&self) -> &'static str {
        match self {
            WhenEvicted::ComeBack => "come_back",
            WhenEvicted::StayAway => "stay_away",
        }
    }
}

impl WhenSlow {
    /// The rule as it is written in annotations.
    pub const fn as_str(&self) -> &'static str {
        match self {
            WhenSlow::Disconnect => "disconnect",
            WhenSlow::DropOldest => "drop_oldest",
            WhenSlow::DropNewest => "drop_newest",
        }
    }
}

impl EndpointOptions {
    /// Nothing written.
    pub const NONE: EndpointOptions = EndpointOptions {
        transports: None,
        timeout: None,
        max_idle: None,
        max_lifetime: None,
        heartbeat: None,
        max_suspended: None,
        max_per_peer: None,
        max_per_key: None,
        when_full: None,
        when_evicted: None,
        send_buffer: None,
        when_slow: None,
        max_message: None,
    };

    /// These settings, and where they say nothing those of `fallback`.
    #[must_use]
    pub fn or(self, fallback: EndpointOptions) -> EndpointOptions {
        EndpointOptions {
            transports: self.transports.or(fallback.transports),
            timeout: self.timeout.or(fallback.timeout),
            max_idle: self.max_idle.or(fallback.max_idle),
            max_lifetime: self.max_lifetime.or(fallback.max_lifetime),
            heartbeat: self.heartbeat.or(fallback.heartbeat),
            max_suspended: self.max_suspended.or(fallback.max_suspended),
            max_per_peer: self.max_per_peer.or(fallback.max_per_peer),
            max_per_key: self.max_per_key.or(fallback.max_per_key),
            when_full: self.when_full.or(fallback.when_full),
            when_evicted: self.when_evicted.or(fallback.when_evicted),
            send_buffer: self.send_buffer.or(fallback.send_buffer),
            when_slow: self.when_slow.or(fallback.when_slow),
            max_message: self.max_message.or(fallback.max_message),
        }
    }

    /// The settings with every default filled in. Ask for [`contradictions`](EndpointOptions::contradictions) first.
    pub fn resolve(self) -> EndpointConfig {
        EndpointConfig {
            transports: self.transports.unwrap_or(Transport::ALL),
            max_idle: self.max_idle.unwrap_or(Some(DEFAULT_MAX_IDLE)),
            max_lifetime: self.max_lifetime.flatten(),
            max_suspended: self.max_suspended,
            max_per_peer: self.max_per_peer,
            max_per_key: self.max_per_key,
            when_full: self.when_full,
            when_evicted: self.when_evicted.unwrap_or(WhenEvicted::ComeBack),
            send_buffer: self.send_buffer.unwrap_or(DEFAULT_SEND_BUFFER),
            when_slow: self.when_slow.unwrap_or(WhenSlow::Disconnect),
            max_message: self.max_message.unwrap_or(DEFAULT_MAX_MESSAGE),
            timeout: self.timeout,
            heartbeat: self.heartbeat,
        }
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
}
