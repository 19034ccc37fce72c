//! In place of the runtime's: an endpoint is its path.

use std::fmt;

/// An endpoint.
pub(crate) struct Endpoint<'a> {
    pub(crate) path: &'a str,
}

impl fmt::Display for Endpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path)
    }
}
