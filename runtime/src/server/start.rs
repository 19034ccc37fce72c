//! Why a server cannot start: everything that is wrong, at once.

use std::fmt;
use std::io;

/// Why a server could not start.
#[derive(Debug)]
pub struct StartError(Reason);

#[derive(Debug)]
enum Reason {
    Faults(Vec<String>),
    Listen { at: String, error: io::Error },
}

impl StartError {
    pub(super) fn faults(faults: Vec<String>) -> Self {
        StartError(Reason::Faults(faults))
    }

    pub(super) fn listen(at: &str, error: io::Error) -> Self {
        StartError(Reason::Listen { at: at.to_owned(), error })
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Faults(faults) => f.write_str(&faults.join("\n")),
            Reason::Listen { at, error } => write!(f, "cannot listen on {at:?}: {error}"),
        }
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
