//! Why a connection that is not held is turned away, and the answer that tells its peer.

use http::StatusCode;

use super::plain_answer::plain_answer;
use abeyance_core::mechanisms::connection_queue::Refused;
use abeyance_core::words::refusal_reason::RefusalReason;

/// For how many connections that were turned away the server may wait at once, so that their requests do not destroy
/// the answer on its way. Their descriptors are of those that no other connection gets.
pub(super) const LINGERING: usize = 12;

/// Why a connection is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TurnAway {
    /// There are as many connections as there may be, and none that could make room.
    Full,
    /// Every parser is taken, and each of their connections waits for its answer.
    Busy,
    /// Its own address is at a bound.
    Peer(Refused),
}

impl TurnAway {
    pub(super) fn answer(self) -> String {
        let (status, text) = match self {
            TurnAway::Full => (StatusCode::SERVICE_UNAVAILABLE, "too many connections\n"),
            TurnAway::Busy => (StatusCode::SERVICE_UNAVAILABLE, "too many requests at once\n"),
            TurnAway::Peer(Refused::TooMany) => {
                (StatusCode::TOO_MANY_REQUESTS, "too many connections of yours\n")
            }
            TurnAway::Peer(Refused::TooOften) => {
                (StatusCode::TOO_MANY_REQUESTS, "too many new connections of yours\n")
            }
        };
        // At random, so that peers that were turned away together do not come back together.
        plain_answer(status, Some(fastrand::u8(1..=5)), text)
    }
}

impl From<TurnAway> for RefusalReason {
    fn from(why: TurnAway) -> Self {
        match why {
            TurnAway::Full => RefusalReason::Connections,
            TurnAway::Busy => RefusalReason::Busy,
            TurnAway::Peer(Refused::TooMany) => RefusalReason::ConnectionPeer,
            TurnAway::Peer(Refused::TooOften) => RefusalReason::ConnectionRate,
        }
    }
}
