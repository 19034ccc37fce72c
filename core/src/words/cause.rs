//! Why a hold ended: one closed list, handed to the application and counted.

use std::fmt;
use std::sync::Arc;

use super::escaped::Escaped;

/// The server ended the hold on purpose and in good order; the client is expected to come back or move on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resume {
    /// The hold saw no activity for its `timeout`.
    Timeout,
    /// The hold reached its `max_lifetime`.
    Lifetime,
    /// The hold was a long poll and got its message.
    Answered,
    /// The hold was released by the application (`Held::resume`).
    Released,
    /// The hold was the oldest when a limit with `resume_oldest` was reached. What its client is told
    /// `WhenEvicted` says.
    Evicted,
    /// The hold was ended because the server is shutting down.
    Drained,
}

/// The connection is gone, or we judge that it is gone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Disconnect {
    /// The peer said goodbye: a WebSocket close frame, or a `DELETE` with the hold's token.
    #[non_exhaustive]
    Closed {
        /// The close code it gave, if any (RFC 6455 §7.4).
        code: Option<u16>,
        /// The reason it gave; empty if none.
        reason: Arc<str>,
    },
    /// The peer closed its side of the connection without a goodbye (FIN).
    Gone,
    /// The peer reset the connection (RST).
    Reset,
    /// The peer gave no sign of life for `max_idle`: an *emulated* disconnect.
    Idle,
    /// The peer's host stopped answering: the kernel gave up on it, or the write deadline passed and it had not answered since
    /// the write was blocked.
    Unreachable,
    /// The peer read too slowly: its send buffer was full, or the largest when too much waited for all peers together.
    Slow,
    /// Too much waited in the server (`Server::max_buffered`), and most of it was this peer's: half of a
    /// message, or what it had sent and no hook had heard.
    Overload,
    /// The peer took nothing for the write deadline, or next to nothing for longer (less than 512 bytes a second), though
    /// its host still answers.
    Stalled,
    /// The peer sent a message larger than `max_message`.
    TooLarge,
    /// The peer broke the protocol.
    Violation,
    /// The peer sent more that says nothing than it may: pings, unasked pongs, crumbs of messages. 1,000 at once and 100 a
    /// second are let pass.
    Flood,
    /// The peer began a message and did not go on with it: for as long as `max_idle` it came slower than 512 bytes a second.
    Unfinished,
    /// The peer was disconnected by the application (`Held::disconnect`).
    #[non_exhaustive]
    Kicked {
        /// The WebSocket close code the application gave, if any.
        code: Option<u16>,
        /// The reason the application gave.
        reason: Arc<str>,
    },
    /// The hold failed on our side: a hook or a driver panicked or returned an error, or a hook overran its deadline.
    Failed,
    /// The server stopped before the hold's end had begun.
    Shutdown,
}

/// The one end of a hold.
///
/// Displayed it is one line: control characters in the reason of a peer or of the application are escaped. The reason
/// itself is as it came.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Ended on purpose and in good order.
    Resume(Resume),
    /// The connection is gone, or judged to be gone.
    Disconnect(Disconnect),
}

impl Resume {
    /// The cause as a stable snake_case word, for metrics and logs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Resume::Timeout => "timeout",
            Resume::Lifetime => "lifetime",
            Resume::Answered => "answered",
            Resume::Released => "released",
            Resume::Evicted => "evicted",
            Resume::Drained => "drained",
        }
    }
}

impl Disconnect {
    /// The peer said goodbye.
    #[doc(hidden)]
    pub fn closed(code: Option<u16>, reason: impl Into<Arc<str>>) -> Self {
        Disconnect::Closed { code, reason: reason.into() }
    }

    /// The application says goodbye.
    #[doc(hidden)]
    pub fn kicked(code: Option<u16>, reason: impl Into<Arc<str>>) -> Self {
        Disconnect::Kicked { code, reason: reason.into() }
    }

    /// The cause as a stable snake_case word, for metrics and logs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Disconnect::Closed { .. } => "closed",
            Disconnect::Gone => "gone",
            Disconnect::Reset => "reset",
            Disconnect::Idle => "idle",
            Disconnect::Unreachable => "unreachable",
            Disconnect::Slow => "slow",
            Disconnect::Overload => "overload",
            Disconnect::Stalled => "stalled",
            Disconnect::TooLarge => "too_large",
            Disconnect::Violation => "violation",
            Disconnect::Flood => "flood",
            Disconnect::Unfinished => "unfinished",
            Disconnect::Kicked { .. } => "kicked",
            Disconnect::Failed => "failed",
            Disconnect::Shutdown => "shutdown",
        }
    }

    /// Whether the peer never said or showed that it left: we judged so from its silence.
    pub const fn is_emulated(&self) -> bool {
        matches!(self, Disconnect::Idle)
    }
}

/// Every word [`End::as_str`] can say, in the order of [`End::index`].
pub const CAUSES: [&str; 21] = [
    "timeout",
    "lifetime",
    "answered",
    "released",
    "evicted",
    "drained",
    "closed",
    "gone",
    "reset",
    "idle",
    "unreachable",
    "slow",
    "stalled",
    "too_large",
    "violation",
    "flood",
    "unfinished",
    "kicked",
    "failed",
    "shutdown",
    "overload",
];

impl End {
    /// The cause as a stable snake_case word, for metrics and logs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            End::Resume(cause) => cause.as_str(),
            End::Disconnect(cause) => cause.as_str(),
        }
    }

    /// The cause's place in [`CAUSES`], for counting.
    pub const fn index(&self) -> usize {
        match self {
            End::Resume(Resume::Timeout) => 0,
            End::Resume(Resume::Lifetime) => 1,
            End::Resume(Resume::Answered) => 2,
            End::Resume(Resume::Released) => 3,
            End::Resume(Resume::Evicted) => 4,
            End::Resume(Resume::Drained) => 5,
            End::Disconnect(Disconnect::Closed { .. }) => 6,
            End::Disconnect(Disconnect::Gone) => 7,
            End::Disconnect(Disconnect::Reset) => 8,
            End::Disconnect(Disconnect::Idle) => 9,
            End::Disconnect(Disconnect::Unreachable) => 10,
            End::Disconnect(Disconnect::Slow) => 11,
            End::Disconnect(Disconnect::Stalled) => 12,
            End::Disconnect(Disconnect::TooLarge) => 13,
            End::Disconnect(Disconnect::Violation) => 14,
            End::Disconnect(Disconnect::Flood) => 15,
            End::Disconnect(Disconnect::Unfinished) => 16,
            End::Disconnect(Disconnect::Kicked { .. }) => 17,
            End::Disconnect(Disconnect::Failed) => 18,
            End::Disconnect(Disconnect::Shutdown) => 19,
            End::Disconnect(Disconnect::Overload) => 20,
        }
    }
}

impl fmt::Display for Resume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Resume::Timeout => "resumed after its timeout",
            Resume::Lifetime => "resumed at the end of its lifetime",
            Resume::Answered => "answered",
            Resume::Released => "released by the application",
            Resume::Evicted => "evicted to make room",
            Resume::Drained => "drained for shutdown",
        })
    }
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Disconnect::Closed { code, reason } => {
                f.write_str("closed by the peer")?;
                if let Some(code) = code {
                    write!(f, " ({code})")?;
                }
                if !reason.is_empty() {
                    write!(f, ": {}", Escaped(reason))?;
                }
                Ok(())
            }
            Disconnect::Gone => f.write_str("gone"),
            Disconnect::Reset => f.write_str("reset by the peer"),
            Disconnect::Idle => f.write_str("idle: no sign of life"),
            Disconnect::Unreachable => f.write_str("unreachable"),
            Disconnect::Slow => f.write_str("too slow: send buffer full"),
            Disconnect::Overload => f.write_str("had most of what waited when too much did"),
            Disconnect::Stalled => f.write_str("stalled: took nothing, or next to nothing"),
            Disconnect::TooLarge => f.write_str("sent a message that is too large"),
            Disconnect::Violation => f.write_str("broke the protocol"),
            Disconnect::Flood => f.write_str("sent too much that says nothing"),
            Disconnect::Unfinished => f.write_str("did not finish its message"),
            Disconnect::Kicked { reason, .. } if reason.is_empty() => {
                f.write_str("disconnected by the application")
            }
            Disconnect::Kicked { reason, .. } => {
                write!(f, "disconnected by the application: {}", Escaped(reason))
            }
            Disconnect::Failed => f.write_str("failed on the server's side"),
            Disconnect::Shutdown => f.write_str("cut by the server's shutdown"),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Resume(cause) => cause.fmt(f),
            End::Disconnect(cause) => cause.fmt(f),
        }
    }
}

impl From<Resume> for End {
    fn from(cause: Resume) -> Self {
        End::Resume(cause)
    }
}

impl From<Disconnect> for End {
    fn from(cause: Disconnect) -> Self {
        End::Disconnect(cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_cannot_forge_a_second_line() {
        let reason: Arc<str> = "x\n2026-12-01 ERROR \u{1b}[31m".into();
        let closed = Disconnect::Closed { code: Some(4000), reason: reason.clone() };
        assert_eq!(closed.to_string(), "closed by the peer (4000): x\\n2026-12-01 ERROR \\u{1b}[31m");
        let kicked = End::from(Disconnect::Kicked { code: None, reason });
        let told = "disconnected by the application: x\\n2026-12-01 ERROR \\u{1b}[31m";
        assert_eq!(kicked.to_string(), told);
    }
}
