//! Kernels of which nothing is known. Keepalive, which every kernel has, is all that notices a silent peer there.

use std::time::Duration;

use tokio::net::TcpStream;

/// Bytes the kernel keeps for what the peer has not acknowledged: unknown, so only our own send buffer counts.
pub(in crate::socket) fn queued(_socket: &TcpStream) -> usize {
    0
}

/// How long ago the peer's kernel was last heard: unknown.
pub(in crate::socket) fn last_answer(_socket: &TcpStream) -> Option<Duration> {
    None
}

/// Whether the peer's window is shut: unknown.
pub(in crate::socket) fn is_shut_out(_socket: &TcpStream) -> bool {
    false
}

/// Has no deadline for data that is not acknowledged but the kernel's own.
pub(in crate::socket) fn give_up_after(_socket: &TcpStream, _silence: Duration) {}

/// Takes as much as the kernel likes.
pub(in crate::socket) fn bound_unsent(_socket: &TcpStream, _unsent: usize) {}

/// The accepted sockets: none is noted.
#[derive(Debug, Default)]
pub(crate) struct Descriptors;

impl Descriptors {
    /// Adds a socket that was accepted.
    pub(in crate::socket) fn add(&self, _socket: &TcpStream) {}

    /// How many of them are open: the system does not say.
    pub(crate) fn open(&self) -> Option<usize> {
        None
    }
}
