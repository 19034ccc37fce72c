//! How a WebSocket peer broke the rules: the cause that ends its hold, and the close code that tells it.

use std::fmt;

use super::websocket::code;
use crate::words::cause::Disconnect;

/// How the peer broke the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolFault {
    /// The peer's message is larger than allowed.
    TooLarge,
    /// The peer broke RFC 6455, in this way.
    Protocol(&'static str),
    /// The peer's text is not UTF-8.
    NotUtf8,
    /// The peer sends too many frames that say nothing.
    Flood,
    /// The peer does not go on with what it began.
    Unfinished,
}

impl ProtocolFault {
    /// The cause of the hold's end.
    pub fn cause(self) -> Disconnect {
        match self {
            ProtocolFault::TooLarge => Disconnect::TooLarge,
            ProtocolFault::Protocol(_) | ProtocolFault::NotUtf8 => Disconnect::Violation,
            ProtocolFault::Flood => Disconnect::Flood,
            ProtocolFault::Unfinished => Disconnect::Unfinished,
        }
    }

    /// The close code that tells the peer.
    pub fn close_code(self) -> u16 {
        match self {
            ProtocolFault::TooLarge => code::TOO_LARGE,
            ProtocolFault::Protocol(_) => code::PROTOCOL,
            ProtocolFault::NotUtf8 => code::NOT_UTF8,
            ProtocolFault::Flood | ProtocolFault::Unfinished => code::POLICY,
        }
    }
}

impl fmt::Display for ProtocolFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProtocolFault::TooLarge => f.write_str("message larger than allowed"),
            ProtocolFault::Protocol(how) => f.write_str(how),
            ProtocolFault::NotUtf8 => f.write_str("text that is not UTF-8"),
            ProtocolFault::Flood => f.write_str("too many frames that say nothing"),
            ProtocolFault::Unfinished => f.write_str("a message that does not come to its end"),
        }
    }
}
