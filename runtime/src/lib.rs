//! Connections that stay open and never leak: long polling, streaming, server-sent events and WebSocket.
//!
//! You annotate an async function, implement the hooks you care about, and run the generated server. Every held
//! connection is bounded, timed and accounted for, and its end is reported exactly once, with the cause.
//!
//! ```no_run
//! use abeyance::extract::{Path, Query};
//! use abeyance::{Disconnect, Ended, Held, Retention, Lifecycle, Message, Refusal, Server, Suspend, suspend};
//!
//! /// What the application keeps while one connection is held.
//! struct Seat { room: String, nick: String }
//!
//! #[derive(serde::Deserialize)]
//! struct Who { nick: String }
//!
//! #[suspend(path = "/rooms/{room}")]
//! async fn enter(Path(room): Path<String>, Query(who): Query<Who>) -> Result<Suspend<Seat>, Refusal> {
//!     if who.nick.is_empty() {
//!         return Err(Refusal::bad_request("a nick, please"));
//!     }
//!     let room = format!("rooms/{room}");
//!     Ok(Suspend::with(Seat { room: room.clone(), nick: who.nick }).join(room))
//! }
//!
//! impl Lifecycle for Seat {
//!     async fn on_message(&mut self, held: &Held, message: Message) {
//!         held.publish(&self.room, format!("{}: {}", self.nick, message.as_text().unwrap_or("")));
//!     }
//!     /// A client that was resumed (its poll was answered, the server restarts) comes back: it has not left.
//!     async fn on_disconnect(self, ended: &Ended, cause: Disconnect) {
//!         ended.publish(&self.room, format!("{} left: {cause}", self.nick));
//!     }
//! }
//!
//! #[abeyance::main(listen = "127.0.0.1:8080")]
//! async fn main() -> Server {
//!     Server::new().topic("rooms/*", Retention::default())
//! }
//! ```
//!
//! Without the macro: `let server = `[`Server::new`]`().mount(enter).bind("127.0.0.1:8080").await?;`. Keep it: dropping
//! it cuts every connection. [`shutdown`](ServerHandle::shutdown) ends in good order, and `abeyance::shutdown_signal` tells
//! when: it waits for SIGTERM or SIGINT.
//!
//! The same function serves all four transports. `?transport=websocket|sse|stream|long_poll` chooses by name; then
//! `Upgrade: websocket`, then `Accept: text/event-stream`; a plain request gets the first offered of long poll, stream
//! and server-sent events.
//!
//! # Where to read on
//!
//! - [`guide`]: concepts, transports, protocol, replay, limits, settings, operations, proxies, testing, recipes
//! - [`macro@suspend`], [`Suspend`], [`Lifecycle`]: what you write
//! - [`Held`], [`Ended`], [`Hub`]: what hooks and the rest of the application call
//! - [`Server`], [`ServerHandle`], [`macro@main`]: running it
//! - [`extract`]: what an annotated function takes
//! - [`Resume`], [`Disconnect`], [`End`]: why a hold ended

// The generated code of our own tests names the crate as a user does.
extern crate self as abeyance;

// The layers, lowest first; a file imports its own module or a lower layer only (`ARCHITECTURE.md`).

mod keeper;
/// All holds: the only locks, the only waiter on time.
mod settings;

/// The keeper in many orders of its threads.
#[cfg(all(test, shuttle))]
mod model;

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

#[doc(hidden)]
#[cfg(feature = "__fuzzing")]
#[path = "fuzzing.rs"]
pub mod __fuzzing;

pub mod guide;

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
/// use abeyance::{Disconnect, Ended, Held, Lifecycle, Message, Refusal, Suspend, suspend};
///
/// struct Seat { room: String, nick: String }
///
/// #[derive(serde::Deserialize)]
/// struct Who { nick: String }
///
/// #[suspend(path = "/rooms/{room}", max_idle = "2m", heartbeat = "20s")]
/// async fn enter(Path(room): Path<String>, Query(who): Query<Who>) -> Result<Suspend<Seat>, Refusal> {
///     if who.nick.is_empty() {
///         return Err(Refusal::bad_request("a nick, please"));
///     }
///     Ok(Suspend::with(Seat { room: room.clone(), nick: who.nick }).join(room))
/// }
///
/// impl Lifecycle for Seat {
///     async fn on_message(&mut self, held: &Held, message: Message) {
///         held.publish(&self.room, format!("{}: {}", self.nick, message.as_text().unwrap_or("")));
///     }
///     async fn on_disconnect(self, ended: &Ended, cause: Disconnect) {
///         ended.publish(&self.room, format!("{} left: {cause}", self.nick));
///     }
/// }
///
/// #[abeyance::main(listen = "127.0.0.1:8080")]
/// async fn main() {}
/// ```
///
/// The function runs once for each request, before anything is answered. Its arguments are
/// [extractors](crate::extract); it returns `Suspend<C>` or `Result<Suspend<C>, E>`, where `C` is a [`Lifecycle`] and
/// `E` an answer, such as [`Refusal`]. It stays a plain function, which unit tests can call.
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
/// | `max_per_key` | how many with one [`key`](Suspend::key); a hold without a key is not counted; a count | none |
/// | `when_full` | what happens to a newcomer then: `"reject"` or `"resume_oldest"` | that of the server |
/// | `when_evicted` | what the oldest is told that is resumed for a newcomer: `"come_back"` or `"stay_away"` ([`WhenEvicted`]) | `"come_back"` |
/// | `send_buffer` | bytes that may wait for one peer, the kernel's share included; a size of at least `"32KiB"` | `"256KiB"` |
/// | `when_slow` | what happens when more is published than may wait: `"disconnect"`, `"drop_oldest"` or `"drop_newest"` ([`WhenSlow`]) | `"disconnect"` |
/// | `max_message` | bytes the peer may send as one message; a size | `"64KiB"` |
/// | `crate` | the path to this crate, where another re-exports it: `crate = ::framework::abeyance` | `::abeyance` |
///
/// Durations are integers with `ms`, `s`, `m`, `h` or `d`, as in `"1h30m"`, of at most `"365d"`; sizes are an integer with
/// `B`, `KiB`, `MiB` or `GiB`; counts are plain integers. A fault, or a contradiction (a `heartbeat` that is
/// no shorter than `max_idle`, a long poll without a `timeout`) does not compile, and all of it is told at once.
///
/// The limit for a key is checked after the function, which names the key. The first heartbeat comes at a random part
/// of `heartbeat`.
///
/// The environment stands before the annotation: `ABEYANCE_ENTER_MAX_IDLE` for `max_idle` of the function `enter`. Two
/// functions of one name share their variables.
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
/// The environment comes first (`ABEYANCE_LISTEN`, `ABEYANCE_MAX_SUSPENDED` and so on), then the [`Server`] that the
/// body returned, then the attribute.
///
/// # The end
///
/// SIGTERM or SIGINT drains the server: the ends of all holds are spread over `drain`, as [`Server::drain`] says. When
/// that has passed, or at a second signal, what is left is cut. An end hook that has not returned a second later is
/// dropped at its next await. The process ends with 0, after a second signal with 128 and the signal's number; with 1
/// if what [`Server::after_drain`] was given failed.
///
/// # A socket that is handed over
///
/// Where `LISTEN_FDS` and `LISTEN_PID` name one TCP socket that listens, as systemd's socket activation does, the server
/// takes it and `listen` has no effect. Anything else that is handed over is an error. Such a socket outlives the process,
/// so a client that connects during a restart waits for the next process and is not refused.
pub use abeyance_macros::main;
pub mod memory {
    #![doc = "A network in memory, for tests of held connections with paused time."]

    pub use crate::socket::memory::{Dialer, MemoryStream};
}

pub use abeyance_core::words::cause::{Disconnect, End, Resume};
pub use abeyance_core::words::hold_id::{HoldId, ParseHoldIdError};
pub use abeyance_core::words::message::Message;
pub use abeyance_core::words::retention::Retention;
pub use abeyance_core::words::topic::Topic;
pub use abeyance_settings::endpoint::{Transport, WhenEvicted, WhenFull, WhenSlow};
pub use axum_core::body::Body;
pub use endpoint::BoxError;
pub use endpoint::lifecycle::Lifecycle;
pub use endpoint::outcome::Outcome;
pub use endpoint::refusal::Refusal;
pub use endpoint::suspend::Suspend;
pub use keeper::audit::Audit;
pub use keeper::end_log::EndRecord;
pub use keeper::ended::Ended;
pub use keeper::held::{Held, JoinError, SendError};
pub use keeper::hub::{HoldInfo, Hub, Stats};
pub use keeper::schedule::ScheduleError;
pub use keeper::scheduled::Scheduled;
pub use serde_json::Error as JsonError;
pub use server::builder::Server;
pub use server::handle::{DrainReport, ServerHandle};
pub use server::signals::shutdown_signal;
pub use server::start::{StartError, StartErrorKind};
pub use {axum_core, bytes, http, tower_service};

/// The program of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
