//! What an end hook is told: a snapshot, so that nothing it reads can have been recycled.

use std::net::SocketAddr;
use std::time::Duration;

use crate::words::id::Id;
use crate::words::message::Message;
use crate::words::terms::Transport;

/// What is known of a hold that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    pub(crate) id: Id,
}

impl Ended {
    /// The hold's id.
    pub fn id(&self) -> Id {
        self.id
    }
    /// The path of the request.
    pub fn path(&self) -> &str {
        unimplemented!()
    }
    /// How it spoke.
    pub fn transport(&self) -> Transport {
        unimplemented!()
    }
    /// The peer's address.
    pub fn peer(&self) -> SocketAddr {
        unimplemented!()
    }
    /// How long it was held.
    pub fn held_for(&self) -> Duration {
        unimplemented!()
    }
    /// Publishes.
    pub fn publish(&self, topic: impl AsRef<str>, message: impl Into<Message>) -> usize {
        let _ = (topic, message.into());
        unimplemented!()
    }
}
