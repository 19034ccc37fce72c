//! Why a connection is turned away that holds nothing, and the answer that tells it.

use http::StatusCode;

use super::plain_answer::word;
use abeyance_core::mechanisms::connection_queue::Refused;
use abeyance_core::words::refusal_reason::RefusalReason;

/// How many connections that were turned away may be waited for at once, so that their requests do not destroy the answer
/// on its way. They have descriptors of those that are never given to connections.
pub(super) const LINGERING: usize = 12;

/// Why a connection is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TurnAway {
    /// There is no place, and no connection that could make room.
    Full,
    /// Every parser is taken, and each of their connections is being answered.
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
        // Drawn, so that those turned away together do not come back together.
        word(status, Some(fastrand::u8(1..=5)), text)
    }
}

impl From<TurnAway> for RefusalReason {
    fn from(why: TurnAway) -> Self {
        match why {
            TurnAway::Full => RefusalReason::Door,
            TurnAway::Busy => RefusalReason::Busy,
            TurnAway::Peer(Refused::TooMany) => RefusalReason::DoorPeer,
            TurnAway::Peer(Refused::TooOften) => RefusalReason::DoorOften,
        }
    }
}
