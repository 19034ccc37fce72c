//! A real browser at the other end: headless Chromium, where it is installed. Elsewhere these tests say `skipped:`.
//!
//! What a browser hides or does by itself, and what these tests therefore do not assert:
//!
//! 1. It sends a long poll again, silently, when the connection closes unanswered, or with `408` on a connection that was
//!    used before: the page sees one fetch, the server two holds.
//! 2. Pongs come from its network process: a page whose script is stuck still answers pings.
//! 3. It opens six connections to a host over HTTP/1.1, WebSockets apart: every test has a server of its own.
//! 4. An `EventSource` sees neither the status nor `Retry-After` of an answer that is not 200.

mod api;
mod chat;
mod chat_server;
mod chromium;
mod leaving;
mod origins;
mod proxied;
mod replay;
mod server;
mod stay_away;
