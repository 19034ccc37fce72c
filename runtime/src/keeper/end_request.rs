//! The request to end a hold: the hold's own task reads it and concludes.

use abeyance_core::words::cause::{Disconnect, End, Resume};
use abeyance_core::words::event_id::Numbered;

/// What the hold's task reads when the end has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndRequest {
    pub(crate) end: End,
    /// Messages that are written before the ending. The answer of a long poll.
    pub(crate) last_messages: Vec<Numbered>,
    /// The WebSocket close code of a violation, where it says more than the cause.
    pub(crate) code: Option<u16>,
}

impl EndRequest {
    pub(crate) fn with_last_messages(end: impl Into<End>, last_messages: Vec<Numbered>) -> Self {
        EndRequest { end: end.into(), last_messages, code: None }
    }
}

impl EndRequest {
    /// Whether the peer sent a close frame, or otherwise said that it closes.
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
