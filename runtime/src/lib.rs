//! Connections that stay open and never leak: long polling, streaming, server-sent events and WebSocket.

// The layers, lowest first; a file imports its own module or a lower layer only (`ARCHITECTURE.md`).
mod keeper; // all holds: the only locks, the only waiter on time
mod mechanisms; // pure parts: now comes in, what is due comes out
mod socket;
mod words; // plain data: causes, ids, messages, terms, ticks // the real lines: TCP, and one in memory for tests

pub use keeper::ended::Ended;
pub use keeper::held::{Held, SendError};
pub use keeper::hub::Hub;
pub use words::cause::{Disconnect, End, Resume};
pub use words::id::Id;
pub use words::message::Message;
pub use words::terms::{Transport, WhenFull, WhenSlow};
pub use words::topic::Topic;
