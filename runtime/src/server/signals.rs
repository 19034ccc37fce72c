//! How a process is told to stop, on each system.

use std::io;

use tokio::select;

/// Waits until the process is asked to stop: for SIGTERM or SIGINT; on Windows for Ctrl-C, Ctrl-Break, or the end of
/// the session. For servers without `#[abeyance::main]`.
///
/// ```no_run
/// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
/// let server = abeyance::Server::new().mount_all().bind("127.0.0.1:8080").await?;
/// abeyance::shutdown_signal().await?;
/// server.shutdown().await;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When the system does not let the process listen for signals.
pub async fn shutdown_signal() -> io::Result<()> {
    Signals::new()?.next().await;
    Ok(())
}

/// The signals that stop a server, with the exit code of a process that one has killed.
#[cfg(unix)]
pub(super) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    pub(super) async fn next(&mut self) -> (&'static str, u8) {
        select! {
            biased;
            _ = self.terminate.recv() => ("SIGTERM", 128 + 15),
            _ = self.interrupt.recv() => ("SIGINT", 128 + 2),
        }
    }
}

/// The events that stop a server, with the exit code where a second one does.
#[cfg(windows)]
pub(super) struct Signals {
    interrupt: tokio::signal::windows::CtrlC,
    broken: tokio::signal::windows::CtrlBreak,
    session: tokio::signal::windows::CtrlShutdown,
}

#[cfg(windows)]
impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_shutdown};
        Ok(Signals { interrupt: ctrl_c()?, broken: ctrl_break()?, session: ctrl_shutdown()? })
    }

    pub(super) async fn next(&mut self) -> (&'static str, u8) {
        select! {
            biased;
            _ = self.interrupt.recv() => ("Ctrl-C", 1),
            _ = self.broken.recv() => ("Ctrl-Break", 1),
            _ = self.session.recv() => ("the session's end", 1),
        }
    }
}
