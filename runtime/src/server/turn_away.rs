//! Sending newcomers away: a short answer, and a close that lets it arrive.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::timeout;

use super::connections::Connections;
use super::linger::linger;
use super::plain_answer::word;
use super::service::Service;
use crate::socket::Socket;
use abeyance_core::mechanisms::connection_queue::Refused;
use abeyance_core::words::refusal_reason::RefusalReason;

/// How many that were sent away may be waited for at once, so that their requests do not destroy the answer on its way:
/// they have descriptors, of those that are never given to connections.
pub(super) const LINGERING: usize = 12;

/// How long one is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why a newcomer is sent away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TurnAway {
    /// There is no place, and nobody who could make room.
    Full,
    /// Every parser is taken, and each of their connections is being answered.
    Busy,
    /// It is its peer's own doing.
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
        // Drawn, so that those sent away together do not come back together.
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

impl<H: Service> Connections<H> {
    /// Answers a newcomer without having read its request, and closes.
    pub(super) fn send_away(&self, line: Arc<dyn Socket>, why: TurnAway) {
        self.count_away(&line, why);
        line.dismiss(why.answer().as_bytes());
        // A request that comes after the close is answered with an RST, which destroys what its peer has not read yet
        // on some systems. For more than a few at once that must do.
        let Ok(permit) = self.lingering.clone().try_acquire_owned() else { return };
        let service = self.service.clone();
        tokio::spawn(async move {
            let time = service.time();
            linger(&line, time.mark().plus(PATIENCE), time).await;
            drop((line, permit));
        });
    }

    fn count_away(&self, line: &Arc<dyn Socket>, why: TurnAway) {
        self.service.count_turned_away();
        if let Ok(peer) = line.peer() {
            self.service.deny(why.into(), peer);
        }
    }

    /// How many that were sent away are still waited for.
    pub(super) fn sent_away(&self) -> usize {
        LINGERING - self.lingering.available_permits()
    }

    /// The same where there is no descriptor to spare: returns when it is closed.
    pub(super) async fn send_away_at_once(&self, line: Arc<dyn Socket>, why: TurnAway) {
        self.count_away(&line, why);
        line.dismiss(why.answer().as_bytes());
        // Most requests are there already, or come at once.
        let brief = PATIENCE / 50;
        let time = self.service.time();
        let _ = timeout(brief, linger(&line, time.mark().plus(brief), time)).await;
    }
}
