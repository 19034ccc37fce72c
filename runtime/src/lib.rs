//! Connections that stay open and never leak: long polling, streaming, server-sent events and WebSocket.

// The generated code of our own tests names the crate as a user does.
extern crate self as abeyance;

// The layers, lowest first; a file imports its own module or a lower layer only (`ARCHITECTURE.md`).

/// Plain data: causes, ids, messages, ticks.
mod words;

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
