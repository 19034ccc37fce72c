//! Why a server cannot start: everything that is wrong, at once.

use std::fmt;
use std::io;

/// Why a server could not start: everything that is wrong, a line each.
pub struct StartError(Reason);

#[derive(Debug)]
enum Reason {
    Faults(Vec<String>),
    Listen { on: Option<String>, error: io::Error },
}

impl StartError {
    pub(super) fn faults(mut faults: Vec<String>) -> Self {
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
