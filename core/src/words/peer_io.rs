//! What a held connection is to the layers that must not know sockets: something to read from, write to and end.

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use super::keepalive_probes::KeepaliveProbes;

/// One held connection. Everything takes `&self`: a publisher may write while the hold's own task reads.
///
/// The three `poll_` functions are called by one task only; each remembers the waker of its last call.
pub trait PeerIo: Send + Sync + 'static {
    /// Reads what has come; `Ok(0)` is the peer's FIN, an error of kind `ConnectionReset` its RST.
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Ready when the peer has left, also behind unread bytes: `Ok` for a FIN, an error for an RST
    /// or a host that the kernel gave up on (`TimedOut`, `HostUnreachable`). Reads nothing.
    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ready when [`try_write`](PeerIo::try_write) may make progress again.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Writes what the kernel takes at once; an error of kind `WouldBlock` if nothing.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// How many bytes the kernel keeps for this peer because it has not acknowledged them (`SO_MEMINFO`); 0 where unknown.
    fn kernel_share(&self) -> usize;

    /// How long ago the peer's kernel was last heard: it acknowledged something (`tcpi_last_ack_recv`) or sent bytes
    /// (`tcpi_last_data_recv`); `None` where unknown.
    fn last_answer(&self) -> Option<Duration>;

    /// Whether the peer's kernel has no room left although it answers every probe: the peer does not read.
    /// `false` where unknown.
    fn is_shut_out(&self) -> bool;

    /// Has the kernel probe a silent peer (TCP keepalive), and give up on it.
    fn probe(&self, probing: KeepaliveProbes);

    /// Has the kernel take hardly more than `unsent` bytes that it cannot send yet. What else waits then waits with us,
    /// where it can still be dropped; by default a kernel takes megabytes for a peer that reads nothing.
    fn bound_unsent(&self, unsent: usize);

    /// Closes our side in good order (FIN), after everything that was written.
    fn shut(&self);

    /// Ends the connection at once (RST on close): nothing that still waits is sent.
    fn cut(&self);
}
