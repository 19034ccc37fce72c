//! The application's handle on a hold.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use abeyance_core::mechanisms::wire::Encoded;
use abeyance_core::sync::foreign;
use abeyance_core::words::cause::{Disconnect, Resume};
use abeyance_core::words::hold_id::HoldId;
use abeyance_core::words::message::Message;
use abeyance_core::words::topic::Topic;
use abeyance_settings::endpoint::Transport;

use super::end_request::EndRequest;
use super::hold::Hold;
use super::hub::Hub;
use super::message_class::MessageClass;
use super::publish::JoinRefusal;
use super::send::Refusal;

/// A handle on one hold: cheap to clone, and harmless after the hold has ended.
///
/// No method waits, except [`send_when_ready`](Held::send_when_ready) and [`ended`](Held::ended).
///
/// ```
/// use abeyance::{Held, Lifecycle, Message, Suspend, suspend};
///
/// struct Player {
///     room: String,
/// }
///
/// #[suspend]
/// async fn play() -> Suspend<Player> {
///     Suspend::with(Player { room: "chess".to_owned() })
/// }
///
/// impl Lifecycle for Player {
///     async fn on_suspend(&mut self, held: &Held) {
///         if held.join(self.room.as_str()).is_err() {
///             // It has joined too many topics, or its end has begun.
///             held.disconnect("no room");
///             return;
///         }
///         let _ = held.send("welcome");
///         held.publish_others(&self.room, format!("{} is here", held.peer()));
///     }
///
///     async fn on_message(&mut self, held: &Held, message: Message) {
///         match message.as_text() {
///             Some("bye") => {
///                 held.resume_with("good game");
///             }
///             Some("leave") => {
///                 held.leave(&self.room);
///                 held.resume();
///             }
///             _ => {
///                 held.publish_others(&self.room, message);
///             }
///         }
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Held(Arc<Hold>);

/// Why a message was not accepted. [`into_message`](SendError::into_message) gives it back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The peer's send buffer has no room for it now.
    Full(Message),
    /// The hold's end has begun.
    Ended(Message),
    /// The message, with its framing, is larger than the whole send buffer: there will never be room.
    TooLarge(Message),
}

/// Why [`Held::join`] did not join a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// The hold's end has begun.
    Ended,
    /// The hold has joined as many topics as it may ([`Server::max_topics`](crate::Server::max_topics)).
    #[non_exhaustive]
    TooMany {
        /// How many that is.
        max_topics: usize,
    },
}

impl Held {
    pub(crate) fn new(hold: Arc<Hold>) -> Self {
        Held(hold)
    }

    /// The hold's id.
    pub fn id(&self) -> HoldId {
        self.0.id
    }

    /// The transport.
    pub fn transport(&self) -> Transport {
        self.0.transport()
    }

    /// The peer's address; behind a trusted proxy, the one the proxy named, with port 0.
    pub fn peer(&self) -> SocketAddr {
        self.0.peer()
    }

    /// The path of the request.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// The secret with which a client speaks for this hold by `POST` and `DELETE`, as in the `Abeyance-Hold` header.
    pub fn token(&self) -> String {
        self.0.keeper().token(self.0.id)
    }

    /// The application's view of all holds, to publish later or to end others.
    pub fn hub(&self) -> Hub {
        Hub::new(self.0.keeper().clone())
    }

    /// Sends a message to this peer. A long poll is answered with it, and ends.
    ///
    /// # Errors
    /// [`SendError`] gives the message back when the send buffer has no room for it, or the hold's end has begun.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        let message = message.into();
        let refusal = match self.0.send(&Encoded::new(&message), MessageClass::Direct) {
            Ok(()) => {
                foreign::aside(|| drop(message));
                return Ok(());
            }
            Err(refusal) => refusal,
        };
        Err(match refusal {
            Refusal::Full => SendError::Full(message),
            Refusal::Ended => SendError::Ended(message),
            Refusal::TooLarge => SendError::TooLarge(message),
        })
    }

    /// Sends a message to this peer, waiting for room in its send buffer.
    ///
    /// Dropping the future before it is ready sends nothing: it is cancel-safe.
    ///
    /// # Errors
    /// [`SendError::Ended`] or [`SendError::TooLarge`], never [`SendError::Full`].
    pub fn send_when_ready(
        &self,
        message: impl Into<Message>,
    ) -> Pin<Box<dyn Future<Output = Result<(), SendError>> + Send>> {
        // Boxed: an `impl Future` would borrow what the message was made from.
        let held = self.clone();
        let mut message = message.into();
        Box::pin(async move {
            let mut pause = Duration::from_millis(2);
            loop {
                let room = held.0.room();
                let has_room = room.notified();
                match held.send(message) {
                    Err(SendError::Full(back)) => message = back,
                    done => return done,
                }
                // The kernel does not tell when its share has shrunk, so look again now and then.
                let _ = tokio::time::timeout(pause, has_room).await;
                pause = (pause * 2).min(Duration::from_millis(50));
            }
        })
    }

    /// Whether the hold's end has begun: nothing is accepted for the peer any more. A hook that runs goes on, and can
    /// check it here.
    pub fn is_ended(&self) -> bool {
        self.0.is_ended()
    }

    /// Returns when the hold's end has begun, at once if it has. For a hook that waits for something that is of no use
    /// when the peer is gone.
    ///
    /// ```
    /// use abeyance::{Held, Message};
    ///
    /// # async fn ask_the_model(_: Message) -> String { String::new() }
    /// async fn answer(held: &Held, question: Message) {
    ///     tokio::select! {
    ///         () = held.ended() => {}
    ///         text = ask_the_model(question) => {
    ///             let _ = held.send(text);
    ///         }
    ///     }
    /// }
    /// ```
    pub async fn ended(&self) {
        loop {
            let room = self.0.room();
            let told = room.notified();
            let mut told = std::pin::pin!(told);
            told.as_mut().enable();
            if self.is_ended() {
                return;
            }
            told.await;
        }
    }

    /// Ends the hold in good order ([`Resume::Released`]): the client is expected to come back or to move on.
    /// `false` if its end had begun before.
    pub fn resume(&self) -> bool {
        self.0.keeper().end(&self.0, Resume::Released.into())
    }

    /// Sends a last message and ends the hold in good order; a long poll is answered with the message. `false` if the
    /// hold's end had begun before: then the message is not sent.
    pub fn resume_with(&self, message: impl Into<Message>) -> bool {
        let end_request = EndRequest::with_last_messages(Resume::Released, vec![message.into().into()]);
        foreign::aside(move || self.0.keeper().end(&self.0, end_request))
    }

    /// Ends the hold as [`Disconnect::Kicked`] and tells the peer the reason: a WebSocket with close code 1008. `false`
    /// if the hold's end had begun before.
    pub fn disconnect(&self, reason: impl AsRef<str>) -> bool {
        self.kick(None, reason.as_ref())
    }

    /// Ends the hold as [`Disconnect::Kicked`] and tells the peer the reason: a WebSocket with close code `code`.
    ///
    /// Codes 4000 to 4999 are the application's (RFC 6455 §7.4.2); for any other the peer is told 1008.
    pub fn disconnect_with(&self, code: u16, reason: impl AsRef<str>) -> bool {
        self.kick(Some(code), reason.as_ref())
    }

    /// Joins a topic: what is published from now on comes to this hold, too. Joining twice is joining once.
    ///
    /// When the client comes back, its new hold has joined what the function joins ([`Suspend::join`]), and what it
    /// missed is looked for there. Of a topic that is joined only here it gets what is published from here on.
    ///
    /// [`Suspend::join`]: crate::Suspend::join
    ///
    /// # Errors
    /// [`JoinError`] when the hold's end has begun, or when it has joined as many topics as it may.
    pub fn join(&self, topic: impl Into<Topic>) -> Result<(), JoinError> {
        self.0.keeper().join(&self.0, topic.into()).map_err(|refusal| match refusal {
            JoinRefusal::Ended => JoinError::Ended,
            JoinRefusal::TooMany => {
                JoinError::TooMany { max_topics: self.0.keeper().server_config().max_topics }
            }
        })
    }

    /// Leaves a topic. Does nothing if it was not joined.
    pub fn leave(&self, topic: impl AsRef<str>) {
        self.0.keeper().leave(&self.0, topic.as_ref());
    }

    /// Sends a message to all holds that joined `topic`, this one included if it did, and returns for how many it was
    /// accepted. As [`Hub::publish`], also when this hold's end has begun.
    pub fn publish(&self, topic: impl AsRef<str>, message: impl Into<Message>) -> usize {
        foreign::aside(move || self.0.keeper().publish(topic.as_ref(), &message.into()))
    }

    /// As [`publish`](Held::publish), but this hold does not get the message and is not counted.
    ///
    /// ```
    /// use abeyance::{Held, Lifecycle, Message};
    ///
    /// struct Player { room: String }
    ///
    /// impl Lifecycle for Player {
    ///     async fn on_message(&mut self, held: &Held, message: Message) {
    ///         held.publish_others(&self.room, message);
    ///     }
    /// }
    /// ```
    ///
    /// A topic that [keeps its past](crate::Server::topic) keeps this message, too. It is left out for this hold only:
    /// a client that comes back is another hold, and gets the message if it has not got that far, like every other
    /// client.
    pub fn publish_others(&self, topic: impl AsRef<str>, message: impl Into<Message>) -> usize {
        foreign::aside(move || self.0.keeper().publish(topic.as_ref(), &message.into().but_for(self.0.id)))
    }

    fn kick(&self, code: Option<u16>, reason: &str) -> bool {
        self.0.keeper().end(&self.0, Disconnect::kicked(code, reason).into())
    }
}

impl Hub {
    /// The handle on a hold; `None` if it is not held (any more).
    ///
    /// An [`HoldId`] can be written down and read back (`Display`, `FromStr`, serde), so that a worker elsewhere in the
    /// application can answer a connection of which it knows only that.
    ///
    /// ```
    /// use abeyance::{HoldId, Hub};
    ///
    /// fn answer(hub: &Hub, hold: &str, result: String) -> bool {
    ///     let held = hold.parse::<HoldId>().ok().and_then(|id| hub.get(id));
    ///     held.is_some_and(|held| held.send(result).is_ok())
    /// }
    /// ```
    pub fn get(&self, id: HoldId) -> Option<Held> {
        self.keeper().find(id).filter(|hold| hold.end_request().is_none()).map(Held::new)
    }

    /// The holds that have joined `topic` now, in no order. It takes a moment for each: where only their number is
    /// asked, use [`member_count`](Hub::member_count).
    ///
    /// ```
    /// use abeyance::Hub;
    ///
    /// fn close_room(hub: &Hub, room: &str) {
    ///     for held in hub.members(room) {
    ///         held.disconnect("the room was closed");
    ///     }
    /// }
    /// ```
    pub fn members(&self, topic: impl AsRef<str>) -> Vec<Held> {
        self.keeper().members(topic.as_ref()).into_iter().map(Held::new).collect()
    }
}

impl SendError {
    /// The message that was not accepted.
    pub fn into_message(self) -> Message {
        match self {
            SendError::Full(message) | SendError::Ended(message) | SendError::TooLarge(message) => message,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::Full(_) => f.write_str("the peer's send buffer is full"),
            SendError::Ended(_) => f.write_str("the hold has ended"),
            SendError::TooLarge(message) => {
                write!(f, "{} bytes are more than the whole send buffer", message.len())
            }
        }
    }
}

impl std::error::Error for SendError {}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Ended => f.write_str("the hold has ended"),
            JoinError::TooMany { max_topics } => write!(f, "the hold has joined {max_topics} topics already"),
        }
    }
}

impl std::error::Error for JoinError {}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&self.0).finish()
    }
}
