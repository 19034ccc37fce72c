//! What can be had of a kernel beyond reading and writing: most of it of Linux alone. The one place that knows of
//! operating systems, beside the signals that stop a server.

use std::io;
use std::net::TcpListener;

#[cfg(target_os = "linux")]
mod descriptors;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
pub(crate) use descriptors::Descriptors;
#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::Descriptors;
#[cfg(not(target_os = "linux"))]
pub(super) use elsewhere::{bound_unsent, give_up_after, is_shut_out, last_answer, queued};
#[cfg(target_os = "linux")]
pub(super) use linux::{bound_unsent, give_up_after, is_shut_out, last_answer, queued};

/// Whether a socket is one that listens.
pub(crate) fn listens(socket: &TcpListener) -> io::Result<bool> {
    #[cfg(all(unix, not(target_vendor = "apple")))]
    return socket2::SockRef::from(socket).is_listener();
    // Others do not say; the first accept will.
    #[cfg(not(all(unix, not(target_vendor = "apple"))))]
    socket.local_addr().map(|_| true)
}

/// How many files this process may have open, sockets included.
#[cfg(unix)]
pub(crate) fn most_open_files() -> usize {
    use nix::sys::resource::{Resource, getrlimit};
    // A cautious guess where the system does not say.
    getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| usize::try_from(soft).unwrap_or(usize::MAX))
}

/// How many sockets this process should have open: here it is memory that bounds them, and this is a guess at it.
#[cfg(not(unix))]
pub(crate) fn most_open_files() -> usize {
    1 << 16
}
