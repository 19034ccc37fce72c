//! Sending newcomers away: a short answer, and a close that lets it arrive.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::timeout;

use super::farewell::linger;
use super::host::Host;
use super::house::House;
use super::word::word;
use crate::socket::Socket;
use abeyance_core::mechanisms::lobby::Refused;
use abeyance_core::words::denial::Denial;

/// How many that were sent away may be waited for at once, so that their requests do not destroy the answer on its way:
/// they have descriptors, of those that are never given to connections.
pub(super) const LINGERING: usize = 12;

/// How long one is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why a newcomer is sent away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Away {
    /// There is no place, and nobody who could make room.
    Full,
    /// Every parser is taken, and each of their connections is being answered.
    Busy,
    /// It is its peer's own doing.
    Peer(Refused),
}

impl Away {
    pub(super) fn answer(self) -> String {
        let (status, text) = match self {
            Away::Full => (StatusCode::SERVICE_UNAVAILABLE, "too many connections\n"),
            Away::Busy => (StatusCode::SERVICE_UNAVAILABLE, "too many requests at once\n"),
            Away::Peer(Refused::TooMany) => {
                (StatusCode::TOO_MANY_REQUESTS, "too many connections of yours\n")
            }
            Away::Peer(Refused::TooOften) => {
                (StatusCode::TOO_MANY_REQUESTS, "too many new connections of yours\n")
            }
        };
        // Drawn, so that those sent away together do not come back together.
        word(status, Some(fastrand::u8(1..=5)), text)
    }
}

impl From<Away> for Denial {
    fn from(why: Away) -> Self {
        match why {
            Away::Full => Denial::Door,
            Away::Busy => Denial::Busy,
            Away::Peer(Refused::TooMany) => Denial::DoorPeer,
            Away::Peer(Refused::TooOften) => Denial::DoorOften,
        }
    }
}

impl<H: Host> House<H> {
    /// Answers a newcomer without having read its request, and closes.
    pub(super) fn send_away(&self, line: Arc<dyn Socket>, why: Away) {
        self.count_away(&line, why);
        line.dismiss(why.answer().as_bytes());
        // A request that comes after the close is answered with an RST, which destroys what its peer has not read yet
        // on some systems. For more than a few at once that must do.
        let Ok(permit) = self.lingering.clone().try_acquire_owned() else { return };
        let host = self.host.clone();
        tokio::spawn(async move {
            let time = host.time();
            linger(&line, time.mark().plus(PATIENCE), time).await;
            drop((line, permit));
        });
    }

    fn count_away(&self, line: &Arc<dyn Socket>, why: Away) {
        self.host.count_turned_away();
        if let Ok(peer) = line.peer() {
            self.host.deny(why.into(), peer);
        }
    }

    /// How many that were sent away are still waited for.
    pub(super) fn sent_away(&self) -> usize {
        LINGERING - self.lingering.available_permits()
    }

    /// The same where there is no descriptor to spare: returns when it is closed.
    pub(super) async fn send_away_at_once(&self, line: Arc<dyn Socket>, why: Away) {
        self.count_away(&line, why);
        line.dismiss(why.answer().as_bytes());
        // Most requests are there already, or come at once.
        let brief = PATIENCE / 50;
        let time = self.host.time();
        let _ = timeout(brief, linger(&line, time.mark().plus(brief), time)).await;
    }
}
