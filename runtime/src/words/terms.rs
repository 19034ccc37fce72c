//! The terms of a hold: what an annotation, the environment or a `Suspend` may set, with defaults and contradictions.
//!
//! The macros crate reads this same file, so that a compile error and an error at start judge alike.

use std::time::Duration;

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

/// What happens when a peer reads more slowly than messages come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenSlow {
    /// The peer is disconnected.
    Disconnect,
    /// The oldest waiting message is dropped.
    DropOldest,
    /// The newest message is dropped.
    DropNewest,
}

/// What was written for a handler: `None` where nothing was. A clock's inner `None` is the written word `"none"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub transports: Option<&'static [Transport]>,
    pub timeout: Option<Option<Duration>>,
    pub max_idle: Option<Option<Duration>>,
    pub max_lifetime: Option<Option<Duration>>,
    pub heartbeat: Option<Option<Duration>>,
    pub max_suspended: Option<usize>,
    pub max_per_peer: Option<usize>,
    pub max_per_key: Option<usize>,
    pub when_full: Option<WhenFull>,
    pub backlog: Option<usize>,
    pub when_slow: Option<WhenSlow>,
    pub max_message: Option<usize>,
}

impl Transport {
    /// All transports, in the order in which one is chosen for a client that asks for none.
    pub const ALL: [Transport; 4] =
        [Transport::LongPoll, Transport::Stream, Transport::Sse, Transport::WebSocket];

    /// The transport as it is written in annotations and in `?transport=`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Transport::WebSocket => "websocket",
            Transport::Sse => "sse",
            Transport::Stream => "stream",
            Transport::LongPoll => "long_poll",
        }
    }
}
