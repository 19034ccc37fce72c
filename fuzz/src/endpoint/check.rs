//! In place of the runtime's: why paths are refused at start.

/// Why the server cannot start.
#[derive(Debug)]
pub(crate) struct StartFault(pub(crate) String);

impl StartFault {
    pub(crate) fn new(text: String) -> Self {
        StartFault(text)
    }
}
