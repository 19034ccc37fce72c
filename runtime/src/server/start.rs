//! Why a server cannot start: everything that is wrong, at once.

use std::fmt;
use std::io;

/// Why a server could not start: everything that is wrong, a line each.
///
/// ```
/// use abeyance::{Server, StartErrorKind};
///
/// # async fn example() {
/// match Server::new().bind("127.0.0.1:8080").await {
///     Ok(server) => println!("listening on {}", server.local_addr()),
///     Err(error) if error.kind() == StartErrorKind::Listen => eprintln!("the port is taken? {error}"),
///     Err(error) => error.faults().iter().for_each(|fault| eprintln!("{fault}")),
/// }
/// # }
/// ```
pub struct StartError(Reason);

/// What kind of reason a server had not to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StartErrorKind {
    /// Settings, functions or states do not fit: [`StartError::faults`] has a line for each fault.
    Setup,
    /// The system refused to listen at the address. The error's [`source`](std::error::Error::source) is an
    /// [`io::Error`].
    Listen,
}

#[derive(Debug)]
enum Reason {
    Faults(Vec<String>),
    Listen { on: Option<String>, error: io::Error },
}

impl StartError {
    /// What kind of reason it was.
    pub fn kind(&self) -> StartErrorKind {
        match &self.0 {
            Reason::Faults(_) => StartErrorKind::Setup,
            Reason::Listen { .. } => StartErrorKind::Listen,
        }
    }

    /// All faults of the setup, a line each; empty if the system refused to listen.
    pub fn faults(&self) -> &[String] {
        match &self.0 {
            Reason::Faults(faults) => faults,
            Reason::Listen { .. } => &[],
        }
    }

    pub(super) fn setup(mut faults: Vec<String>) -> Self {
        faults.dedup();
        StartError(Reason::Faults(faults))
    }

    pub(super) fn listen(error: io::Error) -> Self {
        StartError(Reason::Listen { on: None, error })
    }

    pub(super) fn listen_on(address: &str, error: io::Error) -> Self {
        StartError(Reason::Listen { on: Some(address.to_owned()), error })
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Faults(faults) => f.write_str(&faults.join("\n")),
            Reason::Listen { on: Some(address), error } => write!(f, "cannot listen on {address:?}: {error}"),
            Reason::Listen { on: None, error } => write!(f, "cannot listen: {error}"),
        }
    }
}

/// As [`Display`](fmt::Display): it is what a `main` that returns it shows.
impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Reason::Faults(_) => None,
            Reason::Listen { error, .. } => Some(error),
        }
    }
}
