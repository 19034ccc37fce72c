//! The application's view of all holds.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde::Serialize;

use abeyance_core::mechanisms::ledger::Counts;
use abeyance_core::mechanisms::wire::Encoded;
use abeyance_core::sync::{AtomicU64, foreign};
use abeyance_core::words::cause::{CAUSES, Disconnect, Resume};
use abeyance_core::words::hold_id::HoldId;
use abeyance_core::words::message::Message;
use abeyance_core::words::serialize;
use abeyance_core::words::topic::Topic;
use abeyance_settings::endpoint::Transport;

use super::Keeper;
use super::hold::Hold;
use super::message_class::MessageClass;

/// Publishes to topics, counts holds and ends them; cheap to clone. It may outlive the server.
#[derive(Clone)]
pub struct Hub(Arc<Keeper>);

/// What has happened so far, read at one instant: `suspended = held + ending + Σ ended`.
///
/// Serialized for a status page, `ended` is a map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// How many holds ever began.
    pub suspended: u64,
    /// How many are held now.
    pub held: usize,
    /// How many are ending now: the cause is fixed, the wire is not yet finished.
    pub ending: usize,
    /// The most that were held at one instant.
    pub peak: usize,
    /// How many hooks run now for holds whose connection is finished: end hooks, and the hooks before them.
    pub hooks_running: usize,
    /// How many hooks failed after their hold's end had begun, end hooks among them. (Before it a hook's failure is its
    /// hold's cause, `failed`.)
    pub hooks_failed: u64,
    /// How many requests to be held were ever answered with `503` or `429` because a limit was reached or the server
    /// was stopping.
    pub refused: u64,
    /// How many requests and connections were ever refused, by reason. Reasons that never happened are not listed, and
    /// what a fallback answers is not counted. Counted for all endpoints together only.
    ///
    /// | reason | answer |
    /// |---|---|
    /// | `origin`: the page's is not allowed | `403` |
    /// | `function` said no; `argument`: one of its arguments could not be made of the request | its own |
    /// | `failed`: the function panicked, or returned a `Suspend` that cannot be meant | `500` |
    /// | `function_late`: it was not ready in time | `503` |
    /// | `max_suspended`, `endpoint_max_suspended` | `503` |
    /// | `max_per_peer`, `endpoint_max_per_peer`, `max_per_key`, `endpoint_max_per_key` | `429` |
    /// | `draining`: the server is shutting down | `503` |
    /// | `not_found`, `method` | `404`, `405` or `501` |
    /// | `transport`: not offered; `upgrade`: missing, or another version; `handshake`: otherwise wrong | `406`, `426`, `400` |
    /// | `malformed`: no HTTP, or what a proxy may read otherwise | `400` or `431` |
    /// | `head_late`, `body_late`, `too_large`, `expectation` | `408`, `408`, `413`, `417` |
    /// | `last_event_id`: of a message that is yet to come | `400` |
    /// | `stay_away`: an event stream that was evicted and told to stay away | `204` |
    /// | `preflight`: a page of an allowed origin asked for a header that is not in `allowed_headers` | `204` |
    /// | `token`: of no hold; `inbox`: too many messages wait for `on_message` | `404`, `429` |
    /// | `connections`: all are in use; `max_requests` | `503` |
    /// | `max_unheld_per_peer`, `max_connects_per_peer` | `429` |
    ///
    /// Of `origin` there is also a warning in the log, once a minute at most, since browsers hide the reason.
    #[serde(serialize_with = "serialize::map")]
    pub refusals: Vec<(&'static str, u64)>,
    /// How many connections were ever turned away before their request was read: answered with `503` or `429` when they
    /// were accepted, or closed while they were idle, to make room for a new one. Counted for all endpoints together
    /// only.
    pub turned_away: u64,
    /// How many published messages were ever dropped for peers that read too slowly ([`WhenSlow`](crate::WhenSlow)).
    pub dropped: u64,
    /// How many messages of peers ever arrived without a call of `on_message`
    /// ([`Ended::unheard`](crate::Ended::unheard)).
    pub unheard: u64,
    /// How many bytes wait now for all peers together and from them, of at most `Server::max_buffered`. For them:
    /// messages that their connections did not take at once, 64 bytes of overhead for each, and their framing. A
    /// message that waits for a thousand peers counts a thousand times, although its bytes are shared; what the kernel
    /// has taken does not count here. From them: bytes that no hook was called with yet, such as half a message, a
    /// `POST`, or the next request behind a long poll.
    pub waiting: usize,
    /// How many ended, by cause ([`End::as_str`](crate::End::as_str)); causes that never happened are not listed.
    #[serde(serialize_with = "serialize::map")]
    pub ended: Vec<(&'static str, u64)>,
}

/// One hold, as [`Hub::list`] saw it. Serialized, durations are numbers of seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HoldInfo {
    /// Its id.
    pub id: HoldId,
    /// Its endpoint, as the path in the annotation: `/rooms/{room}`.
    pub endpoint: &'static str,
    /// The path of its request.
    pub path: String,
    /// The transport.
    pub transport: Transport,
    /// The peer's address.
    pub peer: SocketAddr,
    /// For how long it has been held.
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

    /// Sends a message to all holds that joined `topic`, and returns for how many it was accepted. Never waits.
    ///
    /// A hold does not accept a message for which its send buffer has no room: the message is dropped, or the hold ends
    /// ([`WhenSlow`](crate::WhenSlow)). A message that was accepted may still be dropped later, in favour of a newer
    /// one.
    ///
    /// A topic that [keeps its past](crate::Server::topic) records it, also when it has no members, and all its holds
    /// get its messages in one order, that of the record. On other topics every hold gets the messages of one publisher
    /// in the order in which they were published. Messages of two concurrent publishers may come in another order to
    /// each hold.
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
        foreign::aside(move || self.0.publish(topic.as_ref(), &message.into()))
    }

    /// How many holds there are now, those that are ending not included.
    pub fn held_count(&self) -> usize {
        self.0.counts().held
    }

    /// The most that were held at one instant.
    pub fn peak(&self) -> usize {
        self.0.counts().peak
    }

    /// The whole count, of all endpoints together.
    pub fn stats(&self) -> Stats {
        let (hooks_running, hooks_failed) = self.0.hooks();
        let sum = |counts: &[AtomicU64]| counts.iter().map(|count| count.load(Relaxed)).sum();
        let (dropped, refused) = (sum(self.0.dropped()), sum(self.0.refused()));
        let unheard = sum(self.0.unheard());
        let (turned_away, waiting) = (self.0.turned_away.load(Relaxed), self.0.budget.waiting());
        Stats {
            hooks_running,
            hooks_failed,
            refused,
            refusals: self.0.refusal_counts.counts(),
            turned_away,
            dropped,
            unheard,
            waiting,
            ..self.0.counts().into()
        }
    }

    /// The count of every endpoint, by its path as it is in the annotation (`/rooms/{room}`); two functions may have
    /// one name, and one function two paths. End hooks, what waits, refusals by reason and connections that were turned
    /// away are counted for all together only.
    pub fn stats_by_endpoint(&self) -> Vec<(&'static str, Stats)> {
        let count = |counts: &[AtomicU64], at: usize| counts.get(at).map_or(0, |count| count.load(Relaxed));
        let stats = |(at, (name, counts)): (usize, (&'static str, Counts))| {
            let (dropped, refused) = (count(self.0.dropped(), at), count(self.0.refused(), at));
            let unheard = count(self.0.unheard(), at);
            (name, Stats { dropped, refused, unheard, ..counts.into() })
        };
        self.0.counts_by_endpoint().into_iter().enumerate().map(stats).collect()
    }

    /// How many holds have joined `topic` now.
    pub fn member_count(&self, topic: impl AsRef<str>) -> usize {
        self.0.count_members(topic.as_ref())
    }

    /// All holds, in no order, those that are ending not included. It takes a moment for each hold: not for a hot path.
    pub fn list(&self) -> Vec<HoldInfo> {
        self.0.list()
    }

    /// Ends a hold in good order, as [`Held::resume`](crate::Held::resume); `false` if it is not held (any more).
    pub fn resume(&self, id: HoldId) -> bool {
        self.0.find(id).is_some_and(|hold| self.0.end(&hold, Resume::Released.into()))
    }

    /// Ends a hold as [`Disconnect::Kicked`], telling the peer the reason; `false` if it is not held (any more).
    pub fn disconnect(&self, id: HoldId, reason: impl AsRef<str>) -> bool {
        let cause = Disconnect::kicked(None, reason.as_ref());
        self.0.find(id).is_some_and(|hold| self.0.end(&hold, cause.into()))
    }

    /// Sends a message to every hold with this [key](crate::Suspend::key), at all endpoints, and returns how many
    /// accepted it. Never waits.
    ///
    /// For each hold it is as [`Held::send`](crate::Held::send): where the send buffer has no room, the message is not
    /// accepted, and nothing else happens. A long poll is answered with it.
    ///
    /// ```
    /// # use abeyance::Hub;
    /// fn notify(hub: &Hub, user: &str, text: &str) -> bool {
    ///     // In at least one window.
    ///     hub.send_to_key(user, text) > 0
    /// }
    /// ```
    pub fn send_to_key(&self, key: impl AsRef<str>, message: impl Into<Message>) -> usize {
        foreign::aside(move || {
            let message = message.into();
            let encoded = Encoded::new(&message);
            let holds = self.0.of_key(key.as_ref());
            holds.iter().filter(|hold| hold.send(&encoded, MessageClass::Direct).is_ok()).count()
        })
    }

    /// Has every hold with this [key](crate::Suspend::key) join a topic, as [`Held::join`](crate::Held::join); returns
    /// how many have joined it now. A hold that has joined as many topics as it may does not.
    ///
    /// A hold that begins later joins what its function joins, and nothing else.
    ///
    /// ```
    /// # use abeyance::Hub;
    /// fn invite(hub: &Hub, user: &str, room: &str) {
    ///     hub.join_key(user, format!("rooms/{room}"));
    /// }
    /// ```
    pub fn join_key(&self, key: impl AsRef<str>, topic: impl Into<Topic>) -> usize {
        let topic = topic.into();
        let holds = self.0.of_key(key.as_ref());
        holds.iter().filter(|hold| self.0.join(hold, topic.clone()).is_ok()).count()
    }

    /// Has every hold with this [key](crate::Suspend::key) leave a topic, as [`Held::leave`](crate::Held::leave); says
    /// how many were in it.
    pub fn leave_key(&self, key: impl AsRef<str>, topic: impl AsRef<str>) -> usize {
        let holds = self.0.of_key(key.as_ref());
        holds.iter().filter(|hold| self.0.leave(hold, topic.as_ref())).count()
    }

    /// Ends every hold with this [key](crate::Suspend::key), at all endpoints, in good order as
    /// [`Held::resume`](crate::Held::resume), and returns how many ends began.
    ///
    /// All of them end in one step, so what one publishes in its end hook is not delivered to another. The clients may
    /// come back, and a request whose function is still running is not held yet. To keep a client away, refuse it in
    /// the function.
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
    ///     let windows = hub.resume_key(user);
    ///     println!("{user} had {windows} windows open");
    /// }
    /// ```
    pub fn resume_key(&self, key: impl AsRef<str>) -> usize {
        self.0.end_key(key.as_ref(), &Resume::Released.into())
    }

    /// As [`resume_key`](Hub::resume_key), but ends them as [`Disconnect::Kicked`], telling the peers the reason.
    pub fn disconnect_key(&self, key: impl AsRef<str>, reason: impl AsRef<str>) -> usize {
        let cause = Disconnect::kicked(None, reason.as_ref());
        self.0.end_key(key.as_ref(), &cause.into())
    }
}

impl Keeper {
    pub(crate) fn counts(&self) -> Counts {
        *self.registry.lock().ledger.counts()
    }

    pub(crate) fn find(&self, id: HoldId) -> Option<Arc<Hold>> {
        self.registry.lock().ledger.get(id).cloned()
    }

    /// The holds with this key, at all endpoints, oldest first.
    fn of_key(&self, key: &str) -> Vec<Arc<Hold>> {
        let key = Arc::from(key);
        let registry = self.registry.lock();
        registry.limits.of_key(&key).into_iter().filter_map(|id| registry.ledger.get(id).cloned()).collect()
    }

    fn counts_by_endpoint(&self) -> Vec<(&'static str, Counts)> {
        let registry = self.registry.lock();
        self.plans()
            .iter()
            .zip(0..)
            .map(|(plan, index)| (plan.path, *registry.ledger.counts_of(index)))
            .collect()
    }

    fn list(&self) -> Vec<HoldInfo> {
        let now = self.time.now();
        let holds: Vec<Arc<Hold>> = self.registry.lock().ledger.held().cloned().collect();
        let listed = |hold: &Arc<Hold>| HoldInfo {
            id: hold.id,
            endpoint: self.plans()[hold.config.endpoint as usize].path,
            path: hold.path.to_string(),
            transport: hold.transport(),
            peer: hold.peer(),
            held_for: now.since(hold.began),
        };
        holds.iter().map(listed).collect()
    }
}

impl Stats {
    /// How many ended for this cause ([`End::as_str`](crate::End::as_str)).
    pub fn ended(&self, cause: &str) -> u64 {
        self.ended.iter().find(|(name, _)| *name == cause).map_or(0, |(_, count)| *count)
    }

    /// How many were refused for this reason (`"origin"`, `"function"`, ..).
    pub fn refusals(&self, why: &str) -> u64 {
        self.refusals.iter().find(|(word, _)| *word == why).map_or(0, |(_, count)| *count)
    }

    /// Whether the counts agree: every hold is held, ending or ended, exactly once.
    pub fn is_lawful(&self) -> bool {
        let ended: u64 = self.ended.iter().map(|(_, count)| count).sum();
        self.suspended == self.held as u64 + self.ending as u64 + ended
    }
}

impl From<Counts> for Stats {
    fn from(counts: Counts) -> Self {
        Stats {
            suspended: counts.suspended,
            held: counts.held,
            ending: counts.ending,
            peak: counts.peak,
            hooks_running: 0,
            hooks_failed: 0,
            refused: 0,
            refusals: Vec::new(),
            turned_away: 0,
            dropped: 0,
            unheard: 0,
            waiting: 0,
            ended: CAUSES.into_iter().zip(counts.ended).filter(|(_, count)| *count > 0).collect(),
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hub").field(&self.stats()).finish()
    }
}
