//! Whether a connection waits for its own peer. The server learns it, and may have the connection make room for others.

use std::sync::Weak;

use http::Extensions;

/// A connection that is informed.
pub(crate) trait WaitObserver: Send + Sync {
    /// What the answer needs has to come from the peer.
    fn waits(&self);

    /// So many bytes of it came, or nothing more is needed.
    fn goes_on(&self, came: usize);
}

/// The connection of a request. It goes with the request's extensions, and keeps nothing alive: the application may keep
/// those for as long as it likes.
#[derive(Clone)]
pub(crate) struct WaitState(Weak<dyn WaitObserver>);

impl WaitState {
    pub(crate) fn new(connection: Weak<dyn WaitObserver>) -> Self {
        WaitState(connection)
    }

    /// That of a request with these extensions.
    pub(crate) fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get::<WaitState>().cloned()
    }

    pub(super) fn waits(&self) {
        if let Some(connection) = self.0.upgrade() {
            connection.waits();
        }
    }

    pub(super) fn goes_on(&self, came: usize) {
        if let Some(connection) = self.0.upgrade() {
            connection.goes_on(came);
        }
    }
}
