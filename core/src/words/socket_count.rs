//! What one look at the server's connections found, for the audit.

use std::time::Duration;

/// The connections as the registry has them, and the sockets as the kernel has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketCount {
    /// How many connections the registry had when the look began.
    pub connections: usize,
    /// How many came and left while it lasted: so far may the other numbers be off.
    pub changes: usize,
    /// How many of the sockets that were accepted are open.
    pub open: usize,
    /// How many holds there were, held or ending.
    pub holds: usize,
    pub took: Duration,
}
