//! The socket that a service manager listens on and hands over (systemd's socket activation), so that a restart refuses
//! nobody: who connects in between waits in the socket's queue for the next process.

use std::net::TcpListener;

use listenfd::ListenFd;

use crate::socket::kernel::listens;

/// What a process takes over, if `LISTEN_FDS` is there and `LISTEN_PID` names it.
///
/// To be called once, before there are other threads: it takes the variables out of the environment, so that no child
/// takes them for its own.
///
/// # Errors
/// When that is anything but one TCP socket that listens. To listen elsewhere instead would leave those who connect
/// waiting in a queue that nobody looks after.
pub(super) fn handed_over() -> Result<Option<TcpListener>, String> {
    let mut sockets = ListenFd::from_env();
    let told = |why: String| format!("LISTEN_FDS: expected one TCP socket that listens, found {why}");
    if sockets.len() > 1 {
        return Err(told(format!("{} descriptors", sockets.len())));
    }
    let Some(listener) = sockets.take_tcp_listener(0).map_err(|error| told(format!("another: {error}")))?
    else {
        return Ok(None);
    };
    match listens(&listener) {
        Ok(true) => Ok(Some(listener)),
        Ok(false) => Err(told(String::from("one that does not (as with `Accept=yes`)"))),
        Err(error) => Err(told(format!("another: {error}"))),
    }
}
