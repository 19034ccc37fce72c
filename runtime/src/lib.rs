//! Connections that stay open and never leak: long polling, streaming, server-sent events and WebSocket.

// The generated code of our own tests names the crate as a user does.
extern crate self as abeyance;

// The layers, lowest first; a file imports its own module or a lower layer only (`ARCHITECTURE.md`).

/// Plain data: causes, ids, messages, terms, ticks.
mod words;

/// Pure parts that know one thing each: `now` comes in, what is due comes out.
mod mechanisms;

/// All holds: the only locks, the only waiter on time.
mod keeper;

/// The real lines: TCP, and one in memory for tests.
mod socket;

/// What the application writes: annotated functions, contexts, extractors.
mod endpoint;

/// The order of things: route, admit, run the function, suspend, attend, conclude.
mod dispatch;

/// Accepting connections, taking the socket back from hyper, drain, and the main entry.
mod server;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

pub mod extract {
    #![doc = "What an annotated function can take."]

    pub use crate::endpoint::extract::{
        ClientIp, FromRef, FromRequestParts, Hub, LastEventId, Path, Query, State, States,
    };
}

/// Makes an async function an endpoint whose connections are held.
///
/// ```no_run
/// use abeyance::extract::{Path, Query};
/// use abeyance::{End, Ended, Held, Lifecycle, Message, Refuse, Suspend, suspend};
///
/// struct Seat { room: String, nick: String }
///
/// #[derive(serde::Deserialize)]
/// struct Who { nick: String }
///
/// #[suspend(path = "/rooms/{room}", timeout = "30s", max_idle = "5m", heartbeat = "20s")]
/// async fn enter(Path(room): Path<String>, Query(who): Query<Who>) -> Result<Suspend<Seat>, Refuse> {
///     if who.nick.is_empty() {
///         return Err(Refuse::bad_request("a nick, please"));
///     }
///     Ok(Suspend::with(Seat { room: room.clone(), nick: who.nick }).join(room))
/// }
///
/// impl Lifecycle for Seat {
///     async fn on_message(&mut self, held: &Held, message: Message) {
///         held.publish(&self.room, format!("{}: {}", self.nick, message.as_text().unwrap_or("")));
///     }
///     async fn on_end(self, ended: &Ended, end: End) {
///         ended.publish(&self.room, format!("{} left: {end}", self.nick));
///     }
/// }
///
/// #[abeyance::main(listen = "127.0.0.1:8080")]
/// async fn main() {}
/// ```
///
/// The function runs once for each request, before anything is answered. Its arguments are
/// [extractors](crate::extract); it returns `Suspend<C>` or `Result<Suspend<C>, E>`, where `C` is a [`Lifecycle`] and
/// `E` an answer, such as [`Refuse`]. It stays a plain function, which unit tests can call.
///
/// # Keys
///
/// | key | value | default |
/// |---|---|---|
/// | `path` | `"/rooms/{room}"`, `"/files/{*rest}"`; `{{` and `}}` are plain braces | `/` and the function's name |
/// | `transports` | `[websocket, sse, stream, long_poll]` or `transports(websocket, sse)` | all four |
/// | `timeout` | no activity for so long: the hold is resumed; a duration or `"none"` | none; `"30s"` for long polling |
/// | `max_idle` | no sign of life for so long: the peer is taken for gone; a duration or `"none"` | `"5m"` |
/// | `max_lifetime` | so old: the hold is resumed; each draws 90 to 100 % of it; a duration or `"none"` | none |
/// | `heartbeat` | how often a silent peer is asked for a sign of life; a duration or `"none"` | the least of `"25s"`, `max_idle` / 3 and `timeout` / 3 |
/// | `max_suspended` | how many holds there may be; a count | none: the server's own limit |
/// | `max_per_peer` | how many of them from one address; a count | none: the server's own limit |
/// | `max_per_key` | how many of them with one [`key`](Suspend::key); a count | none |
/// | `when_full` | what happens to a newcomer then: `"reject"` or `"resume_oldest"` | `"reject"` |
/// | `backlog` | bytes that may wait for one peer, the kernel's share included; a size of at least `"32KiB"` | `"256KiB"` |
/// | `when_slow` | what happens when more would wait: `"disconnect"` | `"disconnect"` |
/// | `max_message` | bytes the peer may send as one message; a size | `"64KiB"` |
/// | `crate` | the path to this crate, where another re-exports it: `crate = ::framework::abeyance` | `::abeyance` |
///
/// Durations are integers with `ms`, `s`, `m`, `h` or `d`, as in `"1h30m"`, of at most `"365d"`; sizes are an integer with
/// `B`, `KiB`, `MiB` or `GiB`; counts are plain integers. Whatever is faulty or cannot be meant (a `heartbeat` that is
/// no shorter than `max_idle`, a long poll without a `timeout`) does not compile, and all of it is told at once.
pub use abeyance_macros::suspend;

/// Runs the server, after the body of an async `main`.
///
/// ```no_run
/// #[abeyance::main(listen = "127.0.0.1:8080", max_suspended = 100_000, drain = "30s")]
/// async fn main() {}
/// ```
///
/// It starts a tokio runtime, runs the body, collects every [`suspend`] function of the program and serves them until
/// the process is asked to stop. The body returns nothing, a [`Server`], or a `Result` of either; an error ends the
/// process with its `Debug` text.
///
/// # Keys
///
/// | key | value | default |
/// |---|---|---|
/// | `listen` | a host and a port | `"127.0.0.1:8080"` |
/// | `max_suspended` | how many holds there may be in all; a count | the limit of file descriptors, less 64 |
/// | `max_per_peer` | how many of them from one address; a count | none |
/// | `when_full` | what happens to a newcomer then: `"reject"` or `"resume_oldest"` | `"reject"` |
/// | `drain` | how long a shutdown may take to end all holds in good order; a duration | `"10s"` |
/// | `crate` | the path to this crate, where another re-exports it | `::abeyance` |
///
/// The environment stands before the attribute: `ABEYANCE_LISTEN`, `ABEYANCE_MAX_SUSPENDED` and so on.
pub use abeyance_macros::main;
pub mod memory {
    #![doc = "A network in memory, for tests of held connections with paused time."]

    pub use crate::socket::memory::{Dialer, MemoryStream};
}

pub use axum_core::body::Body;
pub use endpoint::BoxError;
pub use endpoint::lifecycle::Lifecycle;
pub use endpoint::refuse::Refuse;
pub use endpoint::suspend::Suspend;
pub use keeper::ended::Ended;
pub use keeper::held::{Held, SendError};
pub use keeper::hub::Hub;
pub use server::builder::Server;
pub use server::running::{Drained, Running};
pub use server::start::StartError;
pub use words::cause::{Disconnect, End, Resume};
pub use words::id::Id;
pub use words::message::Message;
pub use words::terms::{Transport, WhenFull, WhenSlow};
pub use words::topic::Topic;
