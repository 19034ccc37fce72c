//! The application's view of all holds.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde::Serialize;

use crate::mechanisms::ledger::Counts;
use crate::sync::AtomicU64;
use crate::words::cause::{CAUSES, Disconnect, Resume};
use crate::words::id::Id;
use crate::words::message::Message;
use crate::words::serialize;
use crate::words::terms::Transport;

use super::Keeper;
use super::hold::Hold;

/// Publishes to topics, counts holds and ends them; cheap to clone. It may outlive the server.
#[derive(Clone)]
pub struct Hub(Arc<Keeper>);

/// What has happened so far, read at one instant: `suspended = held + ending + Σ ended`.
///
/// Serialized for a status page, `ended` is a map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Tally {
    /// How many holds ever began.
    pub suspended: u64,
    /// How many are held now.
    pub held: usize,
    /// How many are ending now: the cause is fixed, the wire is not yet finished.
    pub ending: usize,
    /// The most that were held at one instant.
    pub peak: usize,
    /// How many end hooks run now.
    pub hooks_running: usize,
    /// How many end hooks panicked or overran their deadline. (Another hook's failure is its hold's cause, `failed`.)
    pub hooks_failed: u64,
    /// How many requests to be held were ever answered with `503` or `429` because a limit was reached or the server was
    /// stopping.
    pub refused: u64,
    /// How many connections were ever turned away without having been asked what they want: answered with `503` or `429`
    /// at the door, or cut while they waited, to make room for a newcomer. Counted for all endpoints together only.
    pub turned_away: u64,
    /// How many published messages were ever dropped for peers that read too slowly ([`WhenSlow`](crate::WhenSlow)).
    pub dropped: u64,
    /// How many bytes wait now for all peers together, of at most `Server::memory`: messages that their connections did
    /// not take at once, 64 bytes for the place of each, and their framing. A message that waits for a thousand peers counts
    /// a thousand times, although its bytes are shared; what the kernel has taken does not count here. Bodies that arrive by
    /// `POST` for holds count as well.
    pub waiting: usize,
    /// How many ended, by cause ([`End::as_str`](crate::End::as_str)); causes that never happened are not listed.
    #[serde(serialize_with = "serialize::map")]
    pub ended: Vec<(&'static str, u64)>,
}

/// One hold, as [`Hub::list`] saw it. Serialized, durations are numbers of seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Listed {
    /// Its id.
    pub id: Id,
    /// The function that is its endpoint.
    pub endpoint: &'static str,
    /// The path of its request.
    pub path: String,
    /// How it speaks.
    pub transport: Transport,
    /// The peer's address.
    pub peer: SocketAddr,
    /// Since when it is held.
    #[serde(serialize_with = "serialize::seconds")]
    pub held_for: Duration,
}

impl Hub {
    pub(crate) fn new(keeper: Arc<Keeper>) -> Self {
        Hub(keeper)
    }

    pub(crate) fn keeper(&self) -> &Arc<Keeper> {
        &self.0
    }

    /// Sends a message to all holds that joined `topic`; says for how many it was accepted. Never waits.
    ///
    /// Not accepted is what finds no room at a peer that reads too slowly and is dropped for that, or ends its hold
    /// ([`WhenSlow`](crate::WhenSlow)). What was accepted may still be dropped, later, in favour of something newer.
    ///
    /// A topic that [keeps its past](crate::Server::topic) records it, also when nobody is there, and all its holds get
    /// its messages in one order, that of the record. Of another topic every hold gets the messages of one publisher in
    /// the order in which they were published; of two that publish at once, each hold may hear another first.
    ///
    /// ```
    /// use abeyance::Hub;
    ///
    /// /// An axum handler: `Hub` is an extractor there.
    /// async fn publish(hub: Hub, text: String) -> String {
    ///     format!("{} are listening", hub.publish("news", text))
    /// }
    /// ```
    pub fn publish(&self, topic: impl AsRef<str>, message: impl Into<Message>) -> usize {
        self.0.publish(topic.as_ref(), &message.into())
    }

    /// How many are held now.
    pub fn held(&self) -> usize {
        self.0.counts().held
    }

    /// The most that were held at one instant.
    pub fn peak(&self) -> usize {
        self.0.counts().peak
    }

    /// The whole count, of all endpoints together.
    pub fn tally(&self) -> Tally {
        let (hooks_running, hooks_failed) = self.0.hooks();
        let sum = |counts: &[AtomicU64]| counts.iter().map(|count| count.load(Relaxed)).sum();
        let (dropped, refused) = (sum(self.0.dropped()), sum(self.0.refused()));
        let (turned_away, waiting) = (self.0.turned_away.load(Relaxed), self.0.memory.waiting());
        Tally {
            hooks_running,
            hooks_failed,
            refused,
            turned_away,
            dropped,
            waiting,
            ..self.0.counts().into()
        }
    }

    /// The count of every endpoint, by the name of its function. End hooks, what waits, and who was turned away are
    /// counted for all together only.
    pub fn tally_by_endpoint(&self) -> Vec<(&'static str, Tally)> {
        let counts = self.0.counts_by_endpoint().into_iter().zip(self.0.dropped()).zip(self.0.refused());
        let tally = |counts: Counts, dropped: &AtomicU64, refused: &AtomicU64| Tally {
            dropped: dropped.load(Relaxed),
            refused: refused.load(Relaxed),
            ..counts.into()
        };
        counts.map(|(((name, counts), dropped), refused)| (name, tally(counts, dropped, refused))).collect()
    }

    /// Everything that is held now, in no order. It takes a moment for each hold: not for a hot path.
    pub fn list(&self) -> Vec<Listed> {
        self.0.list()
    }

    /// Ends a hold in good order, as [`Held::resume`](crate::Held::resume); `false` if it is not held (any more).
    pub fn end(&self, id: Id) -> bool {
        self.0.find(id).is_some_and(|hold| self.0.end(&hold, Resume::Released.into()))
    }

    /// Ends a hold as [`Disconnect::Kicked`], telling the peer the reason; `false` if it is not held (any more).
    pub fn disconnect(&self, id: Id, reason: impl AsRef<str>) -> bool {
        let cause = Disconnect::Kicked { code: None, reason: reason.as_ref().into() };
        self.0.find(id).is_some_and(|hold| self.0.end(&hold, cause.into()))
    }

    /// Ends every hold with this [key](crate::Suspend::key), at whichever endpoint, in good order as
    /// [`Held::resume`](crate::Held::resume); says how many these were.
    ///
    /// All of them end in one step, so what one publishes in its end hook is not delivered to another. Nothing keeps
    /// the clients from coming back, and a request whose function is still running is not held yet: whoever is to stay
    /// away must be refused there.
    ///
    /// ```
    /// use abeyance::extract::{Hub, Query};
    /// use abeyance::{Suspend, suspend};
    /// # #[derive(serde::Deserialize)]
    /// # struct Who { user: String }
    ///
    /// #[suspend]
    /// async fn inbox(Query(who): Query<Who>) -> Suspend {
    ///     Suspend::new().key(who.user)
    /// }
    ///
    /// fn log_out(hub: &Hub, user: &str) {
    ///     let windows = hub.end_key(user);
    ///     println!("{user} had {windows} windows open");
    /// }
    /// ```
    pub fn end_key(&self, key: impl AsRef<str>) -> usize {
        self.0.end_key(key.as_ref(), &Resume::Released.into())
    }

    /// As [`end_key`](Hub::end_key), but ends them as [`Disconnect::Kicked`], telling the peers the reason.
    pub fn disconnect_key(&self, key: impl AsRef<str>, reason: impl AsRef<str>) -> usize {
        let cause = Disconnect::Kicked { code: None, reason: reason.as_ref().into() };
        self.0.end_key(key.as_ref(), &cause.into())
    }
}

impl Keeper {
    pub(crate) fn counts(&self) -> Counts {
        *self.books.lock().ledger.counts()
    }

    pub(crate) fn find(&self, id: Id) -> Option<Arc<Hold>> {
        self.books.lock().ledger.get(id).cloned()
    }

    fn counts_by_endpoint(&self) -> Vec<(&'static str, Counts)> {
        let books = self.books.lock();
        self.plans()
            .iter()
            .zip(0..)
            .map(|(post, index)| (post.name, *books.ledger.counts_of(index)))
            .collect()
    }

    fn list(&self) -> Vec<Listed> {
        let now = self.time.now();
        let holds: Vec<Arc<Hold>> = self.books.lock().ledger.held().cloned().collect();
        let listed = |hold: &Arc<Hold>| Listed {
            id: hold.id,
            endpoint: self.plans()[hold.post.endpoint as usize].name,
            path: hold.path.to_string(),
            transport: hold.transport(),
            peer: hold.peer(),
            held_for: now.since(hold.began),
        };
        holds.iter().map(listed).collect()
    }
}

impl Tally {
    /// How many ended for this cause ([`End::as_str`](crate::End::as_str)).
    pub fn ended(&self, cause: &str) -> u64 {
        self.ended.iter().find(|(name, _)| *name == cause).map_or(0, |(_, count)| *count)
    }

    /// Whether the books are right: every hold is held, ending or ended, exactly once.
    pub fn is_lawful(&self) -> bool {
        let ended: u64 = self.ended.iter().map(|(_, count)| count).sum();
        self.suspended == self.held as u64 + self.ending as u64 + ended
    }
}

impl From<Counts> for Tally {
    fn from(counts: Counts) -> Self {
        Tally {
            suspended: counts.suspended,
            held: counts.held,
            ending: counts.ending,
            peak: counts.peak,
            hooks_running: 0,
            hooks_failed: 0,
            refused: 0,
            turned_away: 0,
            dropped: 0,
            waiting: 0,
            ended: CAUSES.into_iter().zip(counts.ended).filter(|(_, count)| *count > 0).collect(),
        }
    }
}

/// The hub of a server that is not there yet.
impl Default for Hub {
    fn default() -> Self {
        Hub(Keeper::new())
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hub").field(&self.tally()).finish()
    }
}
