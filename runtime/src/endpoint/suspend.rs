//! What an annotated function returns to have its connection held.

use std::any::type_name;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::BoxError;
use super::erased::Typed;
use super::lifecycle::Lifecycle;
use super::outcome::Outcome;
use super::suspension::{Driver, Suspension};
use crate::keeper::held::Held;
use abeyance_core::sync::foreign::{self, Foreign};
use abeyance_core::words::message::Message;
use abeyance_core::words::topic::Topic;
use abeyance_settings::endpoint::{EndpointOptions, WhenEvicted, WhenSlow};

/// Holds the connection, with a context that lives as long as the hold.
///
/// ```
/// use abeyance::{Lifecycle, Suspend};
///
/// struct Seat { nick: String }
/// impl Lifecycle for Seat {}
///
/// let hold = Suspend::with(Seat { nick: "ada".into() }).join("lobby").reply("welcome");
/// assert_eq!(hold.context().nick, "ada");
/// ```
///
/// Clocks, send buffer and the slow policy stand in the annotation; the methods of those names override them for this one
/// hold. What cannot be meant (a header that is no header, a heartbeat longer than `max_idle`, a clock of more than a
/// year) is answered with `500 Internal Server Error` and logged with the place of the call.
#[must_use = "a connection is held only when the function returns its `Suspend`"]
pub struct Suspend<C = ()> {
    context: C,
    topics: Vec<(Topic, bool)>,
    replies: Vec<Message>,
    driver: Option<Driver>,
    headers: HeaderMap,
    protocol: Option<HeaderValue>,
    key: Option<Arc<str>>,
    settings: EndpointOptions,
    misuse: Option<Misuse>,
}

impl Suspend {
    /// Holds the connection without a context.
    pub fn new() -> Self {
        Suspend::with(())
    }
}

// No `C: Lifecycle` here: the function's return type says it once, and one error is better than two.
impl<C> Suspend<C> {
    /// Holds the connection with this context.
    pub fn with(context: C) -> Self {
        Suspend {
            context,
            topics: Vec::new(),
            replies: Vec::new(),
            driver: None,
            headers: HeaderMap::new(),
            protocol: None,
            key: None,
            settings: EndpointOptions::NONE,
            misuse: None,
        }
    }

    /// The context, for tests of the function.
    pub fn context(&self) -> &C {
        &self.context
    }

    /// Joins a topic before anything is answered, so that nothing published from then on is missed.
    ///
    /// If the topic keeps its past ([`Server::topic`](crate::Server::topic)), an SSE or long-poll client that comes
    /// back with `Last-Event-ID` gets what it missed, once and in order, or is told that something of it is gone.
    /// What it missed is looked for in the topics that the function joins now, even if it joined others before.
    ///
    /// A function that joins more than [`Server::max_topics`](crate::Server::max_topics) is answered with `500`, and that
    /// is logged.
    pub fn join(self, topic: impl Into<Topic>) -> Self {
        self.add(topic.into(), false)
    }

    /// Joins a topic, and sends a newcomer all that the topic keeps of its past: the last messages of a chat room.
    /// From a topic that keeps nothing it gets what is published from now on, as with [`join`](Suspend::join).
    ///
    /// ```
    /// use abeyance::extract::Path;
    /// use abeyance::{Retention, Server, Suspend, suspend};
    ///
    /// #[suspend(path = "/rooms/{room}")]
    /// async fn enter(Path(room): Path<String>) -> Suspend {
    ///     Suspend::new().join_with_history(format!("rooms/{room}"))
    /// }
    ///
    /// let server = Server::new().mount(enter).topic("rooms/*", Retention::new().count(20));
    /// ```
    ///
    /// A client that comes back with an id gets what it missed, as with [`join`](Suspend::join); one that missed what is
    /// gone is told, and then gets what there is. WebSocket and stream clients carry no ids: they are always new, and
    /// get it all each time, so number your messages where a client must not show one twice.
    ///
    /// A long poll is answered with the first message, and with all of them if its client sent
    /// `Accept: application/x-ndjson`. Its next poll must bring the id of the answer: without one it is new again, and
    /// gets the same at once. So join in the same way for who comes back: it may have the rest of the past yet to get.
    /// What of the past is forgotten before it gets that far is passed over.
    pub fn join_with_history(self, topic: impl Into<Topic>) -> Self {
        self.add(topic.into(), true)
    }

    fn add(mut self, topic: Topic, with_history: bool) -> Self {
        match self.topics.iter_mut().find(|(joined, _)| *joined == topic) {
            Some((_, with)) => *with |= with_history,
            None => self.topics.push((topic, with_history)),
        }
        self
    }

    /// Sends a message at once, before what is published; of several, in this order.
    ///
    /// The first answers a long poll; further ones go with it only if the client sent `Accept: application/x-ndjson`.
    pub fn reply(mut self, message: impl Into<Message>) -> Self {
        self.replies.push(message.into());
        self
    }

    /// Runs a future for as long as the hold lasts; when it returns, the hold stays. There can be one.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use abeyance::Suspend;
    /// let hold = Suspend::new().drive(|held| async move {
    ///     for tick in 0.. {
    ///         tokio::time::sleep(Duration::from_secs(1)).await;
    ///         let _ = held.send(format!("{tick}"));
    ///     }
    /// });
    /// ```
    ///
    /// It is dropped at its next await once the hold ends. A panic in it ends the hold as `Failed`.
    #[track_caller]
    pub fn drive<F, D>(self, driver: F) -> Self
    where
        F: FnOnce(Held) -> D + Send + 'static,
        D: Future<Output = ()> + Send + 'static,
    {
        self.driver(Box::new(move |held| {
            let driver = driver(held);
            Box::pin(async move {
                driver.await;
                Ok(())
            })
        }))
    }

    /// As [`drive`](Suspend::drive), with a future that may fail: an error ends the hold as `Failed`.
    #[track_caller]
    pub fn try_drive<F, D>(self, driver: F) -> Self
    where
        F: FnOnce(Held) -> D + Send + 'static,
        D: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.driver(Box::new(move |held| Box::pin(driver(held))))
    }

    #[track_caller]
    fn driver(mut self, driver: Driver) -> Self {
        if self.driver.replace(driver).is_some() {
            return self.misused(format_args!("a second driver; join both futures into one"));
        }
        self
    }

    /// Adds a header to the head of the held answer: cookies, for example. What was added before stays.
    ///
    /// Headers that say how the answer is framed belong to the transport and cannot be added.
    #[track_caller]
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: fmt::Display>,
        V: TryInto<HeaderValue, Error: fmt::Display>,
    {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(_)) if name == header::SEC_WEBSOCKET_PROTOCOL => {
                self.misused(format_args!("the header `{name}`; name the subprotocol with `protocol`"))
            }
            (Ok(name), Ok(_)) if FRAMING.contains(&name) => {
                self.misused(format_args!("the header `{name}`, which belongs to the transport"))
            }
            (Ok(name), Ok(value)) => {
                self.headers.append(name, copied(value));
                self
            }
            (Ok(name), Err(fault)) => self.misused(format_args!("a value of the header `{name}`: {fault}")),
            (Err(fault), _) => self.misused(format_args!("a header: {fault}")),
        }
    }

    /// Agrees to a WebSocket subprotocol; other transports ignore it.
    #[track_caller]
    pub fn protocol(mut self, name: impl AsRef<str>) -> Self {
        let name = name.as_ref();
        match HeaderValue::from_str(name) {
            Ok(value) if is_token(name) => {
                self.protocol = Some(value);
                self
            }
            _ => self.misused(format_args!("{name:?}, which is no name of a subprotocol")),
        }
    }

    /// Says whose hold this is: a user, an account, a device. `max_per_key` limits how many holds of this endpoint have
    /// one key, and [`Server::max_per_key`](crate::Server::max_per_key) how many at all endpoints together; [`Hub::resume_key`](crate::Hub::resume_key) ends those that have it, at all endpoints.
    pub fn key(mut self, user: impl Into<Arc<str>>) -> Self {
        self.key = Some(user.into());
        self
    }

    /// Overrides `timeout`; `None` for none. A long poll has one always: there `None` is a contradiction, and answered with
    /// `500`.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.timeout = Some(timeout.into());
        self
    }

    /// Overrides `max_idle`; `None` for none.
    pub fn max_idle(mut self, max_idle: impl Into<Option<Duration>>) -> Self {
        self.settings.max_idle = Some(max_idle.into());
        self
    }

    /// Overrides `max_lifetime`; `None` for none.
    pub fn max_lifetime(mut self, max_lifetime: impl Into<Option<Duration>>) -> Self {
        self.settings.max_lifetime = Some(max_lifetime.into());
        self
    }

    /// Overrides `heartbeat`; `None` for none.
    pub fn heartbeat(mut self, heartbeat: impl Into<Option<Duration>>) -> Self {
        self.settings.heartbeat = Some(heartbeat.into());
        self
    }

    /// Overrides `send_buffer`, in bytes; at least 32 KiB.
    pub fn send_buffer(mut self, bytes: usize) -> Self {
        self.settings.send_buffer = Some(bytes);
        self
    }

    /// Overrides `when_evicted`.
    pub fn when_evicted(mut self, when_evicted: WhenEvicted) -> Self {
        self.settings.when_evicted = Some(when_evicted);
        self
    }

    /// Overrides `when_slow`.
    pub fn when_slow(mut self, when_slow: WhenSlow) -> Self {
        self.settings.when_slow = Some(when_slow);
        self
    }

    /// Remembers what cannot be meant, since a builder cannot fail; the first stands.
    #[track_caller]
    fn misused(mut self, what: fmt::Arguments<'_>) -> Self {
        let place = Location::caller();
        self.misuse.get_or_insert_with(|| Misuse { place, what: what.to_string() });
        self
    }
}

impl<C> Suspend<C> {
    /// Gives up the context's type.
    pub(crate) fn erase<O: Outcome>(self) -> Result<Suspension, Misuse>
    where
        C: Lifecycle<O>,
    {
        match self.misuse {
            Some(misuse) => Err(misuse),
            None => Ok(Suspension {
                context: Foreign::new(Box::new(Typed::new(self.context))),
                topics: self.topics,
                replies: self.replies,
                driver: self.driver.map(Foreign::new),
                headers: self.headers,
                protocol: self.protocol,
                key: self.key,
                settings: self.settings,
            }),
        }
    }
}

impl Default for Suspend {
    fn default() -> Self {
        Suspend::new()
    }
}

// Without a bound, so that a test of a function may `unwrap_err`.
impl<C> fmt::Debug for Suspend<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suspend")
            .field("context", &type_name::<C>())
            .field("topics", &self.topics)
            .field("replies", &self.replies)
            .field("headers", &self.headers)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// What a `Suspend` was asked for and cannot be meant.
#[derive(Debug)]
pub(crate) struct Misuse {
    place: &'static Location<'static>,
    what: String,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: `Suspend` was given {}", self.place.file(), self.place.line(), self.what)
    }
}

/// Headers that say how the answer is framed and what it is.
const FRAMING: [HeaderName; 11] = [
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::SEC_WEBSOCKET_ACCEPT,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("abeyance-hold"),
];

/// The value in bytes of its own: those it came with may have a destructor, or be a slice of a large buffer.
fn copied(value: HeaderValue) -> HeaderValue {
    let mut copy = HeaderValue::from_bytes(value.as_bytes()).expect("it was a value before");
    copy.set_sensitive(value.is_sensitive());
    foreign::let_go(value);
    copy
}

/// Whether the text is a token (RFC 9110 §5.6.2).
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_survives_the_loss_of_the_type() {
        let name = String::from("room");
        let hold = Suspend::new()
            .join(&name)
            .reply("one")
            .reply(b"two")
            .header("set-cookie", "a=1")
            .header(header::SET_COOKIE, HeaderValue::from_static("b=2"))
            .protocol("chat.v1")
            .key("ada")
            .max_idle(None)
            .max_lifetime(Duration::from_secs(9))
            .send_buffer(1 << 20)
            .when_slow(WhenSlow::DropOldest)
            .when_evicted(WhenEvicted::StayAway)
            .drive(|held| async move {
                loop {
                    let _ = held.send("tick");
                    tokio::task::yield_now().await;
                }
            });
        let erased = hold.erase().expect("nothing was misused");
        assert_eq!(erased.topics, [(Topic::from("room"), false)]);
        assert_eq!(erased.replies, [Message::from("one"), Message::from(b"two")]);
        assert_eq!(erased.headers.get_all("set-cookie").iter().count(), 2);
        assert_eq!(erased.protocol, Some(HeaderValue::from_static("chat.v1")));
        assert_eq!(erased.key.as_deref(), Some("ada"));
        assert!(erased.driver.is_some());
        let lifetime = Some(Some(Duration::from_secs(9)));
        let expected = EndpointOptions {
            max_idle: Some(None),
            max_lifetime: lifetime,
            send_buffer: Some(1 << 20),
            when_slow: Some(WhenSlow::DropOldest),
            when_evicted: Some(WhenEvicted::StayAway),
            ..EndpointOptions::NONE
        };
        assert_eq!(erased.settings, expected);
    }

    #[test]
    fn what_cannot_be_meant_is_told_with_its_place() {
        let faulty = [
            Suspend::new().header("a b", "c"),
            Suspend::new().header("x-a", "line\nbreak"),
            Suspend::new().header("content-length", "3"),
            Suspend::new().header("Sec-WebSocket-Protocol", "chat"),
            Suspend::new().protocol("chat, v2"),
            Suspend::new().protocol(""),
            Suspend::new().drive(async |_| {}).try_drive(async |_| Ok(())),
        ];
        for hold in faulty {
            let misuse = hold.erase().expect_err("misused").to_string();
            assert!(misuse.starts_with(file!()), "{misuse}");
            assert!(misuse.contains("`Suspend` was given"), "{misuse}");
        }
    }

    #[test]
    fn the_first_misuse_is_the_one_that_is_told() {
        let hold = Suspend::new().header("a b", "c").protocol("").join("room");
        assert!(hold.erase().expect_err("misused").to_string().contains("a header: invalid"));
    }
}
