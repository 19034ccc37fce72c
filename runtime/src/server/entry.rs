//! A stand-in for the main entry: enough for generated code to compile.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use crate::words::terms::WhenFull;

/// A server that is being set up.
#[derive(Debug, Default)]
pub struct Server {}

impl Server {
    /// A server with nothing set.
    pub fn new() -> Self {
        Server {}
    }
}

/// What was written in `#[abeyance::main]`.
#[derive(Clone, Copy, Debug)]
pub struct Main {
    /// Where to listen.
    pub listen: Option<&'static str>,
    /// How many holds there may be.
    pub max_suspended: Option<usize>,
    /// How many of one peer.
    pub max_per_peer: Option<usize>,
    /// What happens to a newcomer beyond that.
    pub when_full: Option<WhenFull>,
    /// How long a shutdown may take.
    pub drain: Option<Duration>,
}

/// What the body of `#[abeyance::main]` may return.
#[diagnostic::on_unimplemented(
    message = "the body of `#[abeyance::main]` cannot return `{Self}`",
    label = "expected `()`, `Server` or a `Result` of these",
    note = "an error implements `Debug`, as `Box<dyn std::error::Error>` does"
)]
pub trait MainOutput {
    /// The server to run, or what went wrong.
    ///
    /// # Errors
    /// The error, as text.
    fn server(self) -> Result<Server, String>;
}

impl MainOutput for () {
    fn server(self) -> Result<Server, String> {
        Ok(Server::new())
    }
}

impl MainOutput for Server {
    fn server(self) -> Result<Server, String> {
        Ok(self)
    }
}

impl<E: fmt::Debug + 'static> MainOutput for Result<(), E> {
    fn server(self) -> Result<Server, String> {
        self.map(|()| Server::new()).map_err(|fault| format!("{fault:?}"))
    }
}

impl<E: fmt::Debug + 'static> MainOutput for Result<Server, E> {
    fn server(self) -> Result<Server, String> {
        self.map_err(|fault| format!("{fault:?}"))
    }
}

/// Runs the body of `main`, then the server.
pub fn main<F, R>(body: F, settings: Main) -> ExitCode
where
    F: FnOnce() -> R,
    R: Future<Output: MainOutput>,
{
    let _ = (body, settings);
    ExitCode::FAILURE
}
