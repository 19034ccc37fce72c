//! The application's handle on a hold.

use std::net::SocketAddr;

use crate::words::id::Id;
use crate::words::message::Message;
use crate::words::terms::Transport;
use crate::words::topic::Topic;

/// A handle on one hold; cheap to clone, and harmless after the hold has ended.
#[derive(Clone, Debug)]
pub struct Held {
    id: Id,
}

/// Why a message was not accepted; gives it back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The peer's backlog is full.
    Full(Message),
    /// The hold has ended.
    Ended(Message),
    /// The message is larger than the whole backlog.
    TooLarge(Message),
}

impl Held {
    /// The hold's id.
    pub fn id(&self) -> Id {
        self.id
    }
    /// How it speaks.
    pub fn transport(&self) -> Transport {
        unimplemented!()
    }
    /// The peer.
    pub fn peer(&self) -> SocketAddr {
        unimplemented!()
    }
    /// Sends.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        let _ = message.into();
        unimplemented!()
    }
    /// Resumes.
    pub fn resume(&self) {
        unimplemented!()
    }
    /// Resumes.
    pub fn resume_with(&self, message: impl Into<Message>) {
        let _ = message.into();
        unimplemented!()
    }
    /// Disconnects.
    pub fn disconnect(&self, reason: impl AsRef<str>) {
        let _ = reason;
        unimplemented!()
    }
    /// Disconnects.
    pub fn disconnect_with(&self, code: u16, reason: impl AsRef<str>) {
        let _ = (code, reason);
        unimplemented!()
    }
    /// Joins.
    pub fn join(&self, topic: impl Into<Topic>) {
        let _ = topic.into();
        unimplemented!()
    }
    /// Leaves.
    pub fn leave(&self, topic: impl AsRef<str>) {
        let _ = topic;
        unimplemented!()
    }
    /// Publishes.
    pub fn publish(&self, topic: impl AsRef<str>, message: impl Into<Message>) -> usize {
        let _ = (topic, message.into());
        unimplemented!()
    }
}
