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
//!     /// Who was resumed (its poll was answered, the server restarts) comes back, and has not left.
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
//! # The words
//!
//! | word | meaning |
//! |---|---|
//! | suspend, hold | The function returned `Ok(`[`Suspend`]`)`: the connection stays open and is now a *hold*. |
//! | resume | The server ends the hold on purpose and in good order; the client may come back ([`Resume`]). |
//! | disconnect | The connection is gone, or judged to be gone ([`Disconnect`]). |
//! | activity | An application message, delivered to the peer or received from it. Heartbeats are none. |
//! | sign of life | Proof that somebody is at the other end; what counts as one is below. |
//! | topic | A name that holds join, and to which messages are published. |
//! | keep, replay | A topic may keep some of its past: whoever comes back gets what it missed of that. |
//! | drain | Ending all holds in good order, one after the other, before the server stops. |
//!
//! # The life of a hold
//!
//! 1. The request's path is looked up, and a place is taken under every limit: server, endpoint, peer. Over a limit the
//!    answer is `503` or `429` with `Retry-After`; or, with `when_full = "resume_oldest"`, the oldest hold makes room.
//!    Its client may come back, or with `when_evicted = "stay_away"` is told not to ([`WhenEvicted`]).
//! 2. The annotated function runs, once, before anything is answered. What it refuses is an ordinary answer.
//! 3. It returned [`Suspend`]: the hold begins, if its [key](Suspend::key) has a place left. In this order it joins its
//!    topics, its head is written, [`on_suspend`](Lifecycle::on_suspend) runs, the [replies](Suspend::reply) go out,
//!    then what its client missed of what its topics keep, then what is published. From the end of `on_suspend` on, the [driver](Suspend::drive) runs.
//! 4. While it is held, [`on_message`](Lifecycle::on_message) runs for each message of the peer, one after the other;
//!    meanwhile the peer is not read. [`Held::send`] and [`Hub::publish`] never wait: what a peer has not taken waits
//!    in its send buffer, which is bounded in bytes, the kernel's share included. [`Hub::publish_after`] and
//!    [`Hub::publish_every`] publish later, for as long as somebody is there.
//! 5. Something ends it: a clock, a limit, the peer, the application, a fault. The first cause stands. The hold leaves
//!    its topics and gives its place back, its driver is dropped at its next await, and the polite end of its transport is
//!    written. A hook that runs goes on to its end, and the messages that had arrived follow it (next section).
//! 6. One end hook runs, once: [`on_resume`](Lifecycle::on_resume) or [`on_disconnect`](Lifecycle::on_disconnect), both
//!    of which call [`on_end`](Lifecycle::on_end) unless you write them. It owns the context and gets a snapshot,
//!    [`Ended`]. It also runs after a panic in another hook. It does not run when the process is killed, or when [`ServerHandle`] is
//!    dropped without [`shutdown`](ServerHandle::shutdown).
//!
//! At every moment `suspended = held + ending + ended`, which [`Hub::stats`] shows.
//!
//! # What a hook may rely on
//!
//! - A hook that has begun goes on to its end or to [`hook_timeout`](Server::hook_timeout): no FIN, clock, eviction or drain
//!   cancels it. A write to a database is not cut in the middle because a client left.
//! - `on_suspend` always runs, before every other hook. The end hook runs last.
//! - A message that has arrived is heard, whatever ends the hold: one that was read, one that lay whole in the socket when
//!   the end began, one whose `POST` was answered with `202`. They are given to `on_message` in their order; all of
//!   them are begun within one `hook_timeout` from the beginning of the end. What this does not suffice for is counted
//!   ([`Ended::unheard`], [`Stats::unheard`]).
//! - What is not begun is cut off, and counted, where the application [disconnects](Held::disconnect) the peer, where the peer
//!   resets the connection or floods the server, and when a drain is over. A hook that runs then has one more second. After a hook that
//!   failed, `on_suspend` among them, only the end hook runs.
//! - A WebSocket client that closes while something lies unread at its side resets the connection. If its close frame lies in
//!   the socket, that is the cause, and all that stands before it is heard.
//! - In a hook that runs when the end begins, [`Held::is_ended`] says so, and [`Held::ended`] waits for it. Sending to
//!   this peer fails; publishing to others works.
//! - A driver has no such promise: it is dropped at its next await when the end begins.
//! - The connection does not wait for hooks: it is closed, or serves its next request, meanwhile.
//!
//! # Three clocks
//!
//! | clock | measures | set back by | when it expires |
//! |---|---|---|---|
//! | `timeout` | no activity | activity | resumed, [`Resume::Timeout`] |
//! | `max_idle` | no sign of life | a sign of life | disconnected, [`Disconnect::Idle`] |
//! | `max_lifetime` | age | nothing | resumed, [`Resume::Lifetime`] |
//!
//! When `timeout` or `max_lifetime` falls due while a heartbeat has been unanswered for a while, the end is `Idle`: the
//! peer was not there to be resumed. A while is 5 s, or half of `heartbeat` if that is less. Networks lose packets, so an
//! answer that is not there may still come: the hold then ends when it does, as it was due, and as `Idle` when it has not
//! come within 7 s, or at `max_idle`.
//!
//! While a hook runs, the peer is not read, and while a write is blocked, it takes nothing: its silence proves nothing then,
//! and `max_idle` stands still, but only as long as its host answers ours. So a peer that has vanished, without a FIN or an
//! RST, has its end within `max_idle` in every state. There is one exception, for a `max_idle` of a few seconds: while a
//! write is blocked a kernel asks in intervals that double, and silence of up to half of that time and a second is none.
//! At [`write_timeout`](Server::write_timeout) such a peer is [`Stalled`](Disconnect::Stalled), or
//! [`Unreachable`](Disconnect::Unreachable) where its host has not answered either. A peer that is there and takes nothing
//! of what our kernel has for it is `Stalled` too, not idle, though no write is blocked. Nothing that we write is ever a sign of
//! life, and no clock waits for a write, a hook or a driver.
//!
//! A server that was itself stalled (its process stopped, its machine paused, all threads of its runtime blocked) for a
//! second or longer gives that time back: to the clocks, and to every deadline of hooks, functions, heads, bodies and
//! endings. A hook must not block its thread. If one does, [`main`] sees to it that other holds go on in the other threads;
//! a runtime of your own may stand still until it is over.
//!
//! # What a heartbeat proves
//!
//! | transport | heartbeat | what counts as a sign of life |
//! |---|---|---|
//! | WebSocket | a ping | bytes received, a pong among them |
//! | server-sent events, stream | a comment, an empty line | bytes received, a `POST` with the hold's token, an acknowledgement |
//! | long poll | a TCP keepalive probe | bytes received, an acknowledgement |
//!
//! A pong comes from the WebSocket implementation of the client, also through proxies. It proves that the client's
//! process runs, not that its application does: a browser answers for a page whose script is stuck.
//! An acknowledgement comes from a kernel: it proves that the host at the other end of *this* TCP connection is there.
//! Behind a reverse proxy that is the proxy. It closes our connection when its own client leaves, which is noticed at
//! once ([`Disconnect::Gone`]); a client that vanished without a word is only as well known as the proxy knows it. Where
//! that matters, use WebSocket, or let the client `POST` now and then.
//!
//! With `heartbeat = "none"` only received bytes count, so a peer that says nothing is cut after `max_idle`.
//!
//! The kernel is told of all this: it probes a silent peer after every `heartbeat` (TCP keepalive; in whole seconds, of which
//! two fit into `max_idle`), asks one that does not answer again, up to 24 times within `max_idle`, and gives up on its own a heartbeat after `max_idle` and `write_timeout`
//! (`TCP_USER_TIMEOUT`), which ends a hold as `Unreachable`. With `max_idle = "none"` that is what notices a peer that
//! vanished, after five heartbeats. A long poll cannot be asked more often than once a second, so the least `max_idle` there
//! is two. Where packets get lost, let it be at least 10 s longer than `heartbeat`: ten questions of which nine in ten
//! arrive, and nine in ten answers, all go unanswered once in ten million times; two do once in thirty. Connections that are not held, such as a fallback's WebSockets, are probed after a minute of silence and given
//! up after two.
//!
//! All of this is so on Linux. Elsewhere no kernel tells when it was last answered: there server-sent events, streams
//! and long polls of silent peers are kept until keepalive gives up on them, which data in flight delays for as long as that
//! system sends it again, and `max_idle` stands still as long as a hook runs or a write is blocked.
//!
//! # What a peer cannot do
//!
//! A peer that sends or takes a byte now and then is never silent. What it can do with that is bounded too:
//!
//! | a peer that | may do so | then |
//! |---|---|---|
//! | connects and says nothing, or sends its request's head a byte now and then | for [`head_timeout`](Server::head_timeout), or until the house is full and nobody has waited longer | it is closed, or told `408`; or cut, to make room |
//! | has connections that hold nothing | [`max_unheld_per_peer`](Server::max_unheld_per_peer) | its own that has waited longest for its peer leaves; else `429` |
//! | sends more requests at once than there are parsers | [`max_requests`](Server::max_requests), of one address as `max_unheld_per_peer` | the one leaves that has waited longest for its peer; else `503` |
//! | opens connections | [`max_connects_per_peer`](Server::max_connects_per_peer) a second | `429` |
//! | pings, sends pongs that nobody asked for, or messages in parts of less than 125 bytes (WebSocket) | 1,000 times at once, 100 times a second | [`Disconnect::Flood`] |
//! | begins a message, and does not go on (WebSocket) | for `max_idle` (where there is none, 5 minutes), not counting a second for each 512 bytes of it | [`Disconnect::Unfinished`] |
//! | sends a body, and does not go on | for [`head_timeout`](Server::head_timeout), not counting a second for each 512 bytes; or until there is no place or parser left and no connection has waited longer | `408`, or `503` to make room; the hold stays |
//! | sends large bodies to holds, all at once | a quarter of [`max_buffered`](Server::max_buffered) | `429` for the largest; the holds stay |
//! | takes next to nothing of what waits for it | for [`write_timeout`](Server::write_timeout), not counting a second for each 512 bytes | [`Disconnect::Stalled`]; where it is not held, it is cut, and sooner to make room |
//! | sends what nobody asked for behind its request (all but WebSocket) | 64 KiB | [`Disconnect::Violation`] |
//! | goes on sending although its hold has ended | 16 MiB, for `close_timeout` at most | it is cut |
//!
//! Messages have no such bound: while `on_message` runs, nothing is read. Extensions, compression among them, are never agreed
//! on.
//!
//! # Coming back
//!
//! What is published while a client is away passes it by, unless its topic keeps some of its past:
//!
//! ```
//! use abeyance::{Retention, Server, Suspend, suspend};
//!
//! #[suspend(path = "/news")]
//! async fn news() -> Suspend {
//!     Suspend::new().join("news")
//! }
//!
//! let server = Server::new().mount(news).topic("news", Retention::default());
//! ```
//!
//! Now its messages have ids, `epoch-offset`: the epoch is drawn when the server starts, the offset counts all that is
//! kept, of whatever topic. (The past that a newcomer gets has ids `epoch.offset.came`, which also say when it came.) A
//! client brings back the last id it saw, in the header `Last-Event-ID` or as `?last_event_id=`, and gets exactly what it
//! missed in the topics that the function joins, once and in order, then what is live. If something of it is gone, it
//! gets one *resync* instead: it shall load anew what it shows, and goes on from there.
//!
//! | | server-sent events | long poll |
//! |---|---|---|
//! | where the client stands | the `id:` of events, of the first (`hold`) already; where something is gone, of the `resync` | the header `Last-Event-ID` of every answer to a held poll, also of a `204` or `503` |
//! | coming back | an `EventSource` brings its last id by itself, a new one is given `?last_event_id=` | the next poll brings it |
//! | what it missed | events, each with its id | one message a poll; with `Accept: application/x-ndjson` all that fit into the send buffer |
//! | resync | `event: resync`, with the id to go on from | an answer at once, with the header `Abeyance-Resync: true` |
//! | an id of this start of the server that is yet to come | `400` | `400` |
//!
//! A resync is due where a message of these topics that is newer than the id is forgotten, and for every text that is no
//! id of this start of the server: an `EventSource` brings back what any server gave it at this URL. It is also due where
//! the server cannot know. How far a topic had come of which nothing is left it knows of those that were forgotten last
//! ([`Server::max_retained`] says how many). A newcomer, who brings no id, gets what is published from now on; with
//! [`join_with_history`](Suspend::join_with_history) first all that is kept, and so does a client after a resync.
//! WebSocket and stream clients carry no ids: they always come as newcomers. What is not published to a topic that keeps
//! it (replies, [`Held::send`], other topics) has no id and is not replayed.
//!
//! No queue is kept for a client that is away: all it costs is what its topics keep, and that is bounded.
//!
//! | bound | default | beyond it |
//! |---|---|---|
//! | [`Retention::count`], [`Retention::bytes`], [`Retention::age`]: one topic | 1,000; 1 MiB; 10 min | its oldest messages go |
//! | [`Server::max_retained`]: all topics | 64 MiB | the oldest messages of all go |
//! | [`Server::max_topics`]: joined by one hold | 128 | [`Held::join`] fails; a function that joins more is answered with `500` |
//! | `send_buffer`: waiting for one peer | 256 KiB | `when_slow`; what is replayed waits until there is room |
//! | [`Server::max_buffered`]: waiting for all peers | 256 MiB | the largest send buffer pays, by its `when_slow` |
//!
//! What a peer's kernel has not acknowledged counts in its send buffer, so one peer gets at most a send buffer per round trip:
//! 256 KiB at 100 ms are 2.5 MB a second. A peer that reads its replay more slowly than its topics forget ends as
//! [`Slow`](Disconnect::Slow). Whoever ends as `Slow` comes back with its last id and gets the rest, if it is still kept;
//! what `drop_oldest` or `drop_newest` dropped is passed over for good. So topics that keep their past go well with
//! `when_slow = "disconnect"`.
//!
//! Order: all holds get the messages of topics that keep their past in one order, that of their ids, across these
//! topics. Of other topics every hold gets the messages of one publisher in their order; those of two that publish at
//! once may come in another order to each hold.
//!
//! # Tests
//!
//! An annotated function stays a function that a unit test can call, and [`Suspend::context`] shows what it made.
//! For the life of a hold there is [`Server::bind_memory`]: a network in [`memory`], in which paused time is exact.
//!
//! ```
//! use abeyance::{Server, Suspend, suspend};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tokio::time::Instant;
//!
//! #[suspend(path = "/wait", transports = [long_poll], timeout = "30s")]
//! async fn wait() -> Suspend {
//!     Suspend::new()
//! }
//!
//! // In a test: #[tokio::test(start_paused = true)]
//! #[tokio::main(flavor = "current_thread", start_paused = true)]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let (server, dialer) = Server::new().mount(wait).bind_memory()?;
//!     let mut peer = dialer.connect(([10, 0, 0, 1], 4000).into())?;
//!     let asked = Instant::now();
//!     peer.write_all(b"GET /wait HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await?;
//!     let mut answer = String::new();
//!     peer.read_to_string(&mut answer).await?; // half a minute, at once
//!     assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
//!     assert_eq!(asked.elapsed().as_secs(), 30);
//!     server.shutdown().await;
//!     Ok(())
//! }
//! ```
//!
//! Hooks are tested in the same way. When a hold ends, the server waits for the FIN of its peer, for `close_timeout` at
//! most, and a shutdown waits with it. So a peer that keeps its end open delays a shutdown: drop the peers first.
//!
//! Let paused time run by itself, as here, or in small steps: to a server, one large `tokio::time::advance` is a stall of
//! its own, for which its peers get the time back.

// The generated code of our own tests names the crate as a user does.
extern crate self as abeyance;

// The layers, lowest first; a file imports its own module or a lower layer only (`ARCHITECTURE.md`).

/// All holds: the only locks, the only waiter on time.
mod keeper;

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
/// `B`, `KiB`, `MiB` or `GiB`; counts are plain integers. Whatever is faulty or cannot be meant (a `heartbeat` that is
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
/// so whoever connects during a restart waits for the next process and is not refused.
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
pub use keeper::scheduled::{ScheduleError, Scheduled};
pub use server::builder::Server;
pub use server::handle::{DrainReport, ServerHandle};
pub use server::signals::shutdown_signal;
pub use server::start::{StartError, StartErrorKind};
pub use {axum_core, bytes, http, serde_json, tower_service};

/// The program of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
