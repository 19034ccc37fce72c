//! The socket that a service manager listens on and hands over (systemd's socket activation). A restart refuses no
//! client: those that connect in between wait in the socket's queue for the next process.

use std::env::VarError;
use std::ffi::OsString;
use std::net::TcpListener;

use listenfd::ListenFd;

use crate::socket::kernel::listens;

/// What a process takes over, if `LISTEN_FDS` is there and `LISTEN_PID` does not name another.
///
/// To be called once, before there are other threads: it takes the variables out of the environment, so that no child
/// takes them for its own.
///
/// # Errors
/// When that is anything but one TCP socket that listens. If the server listened elsewhere instead, clients
/// would wait in a queue that no process accepts from.
pub(super) fn handed_over() -> Result<Option<TcpListener>, String> {
    let told = |why: String| format!("LISTEN_FDS: expected one TCP socket that listens, found {why}");
    // What is no number, or one that no process has descriptors for.
    let count = std::env::var_os("LISTEN_FDS").filter(|_| is_ours());
    let is_count = |count: &OsString| count.to_str().is_some_and(|count| count.parse::<u16>().is_ok());
    if let Some(count) = count.filter(|count| !is_count(count)) {
        return Err(told(format!("{count:?}")));
    }
    let mut sockets = ListenFd::from_env();
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

/// Whether `LISTEN_PID` names this process, or none.
fn is_ours() -> bool {
    match std::env::var("LISTEN_PID") {
        Ok(pid) => pid.is_empty() || pid == std::process::id().to_string(),
        Err(error) => error == VarError::NotPresent,
    }
}
