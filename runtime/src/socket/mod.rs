//! The real [`PeerIo`]s: one over TCP, and one in memory for tests with paused time.
//!
//! A connection is an `Arc<dyn Socket>` from its acceptance to its end. hyper reads and writes through that `Arc`
//! while heads and plain answers are spoken, a hold uses the same one afterwards, so nothing is converted, and the
//! socket's one waker slot a direction belongs to the connection's one task all along.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use abeyance_core::words::peer_io::PeerIo;

use kernel::Descriptors;

pub(crate) mod kernel;
pub(crate) mod memory;
pub(crate) mod tcp;

/// A [`PeerIo`] as the server knows it.
pub(crate) trait Socket: PeerIo {
    /// The peer's address; an error if the peer has left. Not stored, because 32 bytes for each hold are too many.
    fn peer(&self) -> io::Result<SocketAddr>;

    /// Records its descriptor, if it has one.
    fn register_descriptor(&self, descriptors: &Descriptors) {
        let _ = descriptors;
    }

    /// Has the next read ask the kernel itself: bytes may lie there of which the runtime has not heard yet.
    fn assume_readable(&self) {}

    /// Writes a short last word, discards what was received, and sends a FIN, all of it at once or not at all: for a
    /// connection that was just accepted, of which no readiness is known yet.
    fn write_and_close(&self, word: &[u8]);
}

/// Where connections come from.
pub(crate) trait Listener: Send + 'static {
    /// The next connection. An error is one failed try; the listener lives on.
    fn accept(&mut self) -> impl Future<Output = io::Result<Arc<dyn Socket>>> + Send;

    /// The address on which it listens.
    fn local_addr(&self) -> SocketAddr;

    /// Whether a descriptor is kept for [`accept_on_spare`](Listener::accept_on_spare). Tries to get one if not.
    fn keep_spare(&mut self) -> bool;

    /// The next connection if one waits, on the spare descriptor: for when there is no other. Until the
    /// next [`keep_spare`](Listener::keep_spare) there is none then.
    fn accept_on_spare(&mut self) -> Option<io::Result<Arc<dyn Socket>>>;

    /// Where the descriptors of what it accepts are to be noted, if it accepts such.
    fn descriptors(&self) -> Option<Arc<Descriptors>> {
        None
    }
}

#[cfg(test)]
mod tests;
