//! The note an end leaves: what the hold's own task reads and concludes from.

use abeyance_core::words::cause::{Disconnect, End, Resume};
use abeyance_core::words::event_id::Numbered;

/// What the hold's task reads when an end has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndRequest {
    pub(crate) end: End,
    /// Messages that still go out before the ending; of a long poll, its answer.
    pub(crate) last_messages: Vec<Numbered>,
    /// A closer word than the cause gives, where a protocol has one: the WebSocket close code of a violation.
    pub(crate) code: Option<u16>,
}

impl EndRequest {
    pub(crate) fn with_last_messages(end: impl Into<End>, last_messages: Vec<Numbered>) -> Self {
        EndRequest { end: end.into(), last_messages, code: None }
    }
}

impl EndRequest {
    /// Whether the peer said that it leaves.
    pub(crate) fn is_goodbye(&self) -> bool {
        matches!(self.end, End::Disconnect(Disconnect::Closed { .. }))
    }
}

impl From<End> for EndRequest {
    fn from(end: End) -> Self {
        EndRequest { end, last_messages: Vec::new(), code: None }
    }
}

impl From<Resume> for EndRequest {
    fn from(cause: Resume) -> Self {
        End::from(cause).into()
    }
}

impl From<Disconnect> for EndRequest {
    fn from(cause: Disconnect) -> Self {
        End::from(cause).into()
    }
}
