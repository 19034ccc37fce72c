//! How a kernel asks its peer's for a sign of life.

use std::time::Duration;

/// When a kernel asks, when it asks again, and when it gives up. It asks in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepaliveProbes {
    /// It asks after so much silence.
    pub every: Duration,
    /// It asks again when there was no answer for so long: a question or its answer may have been lost.
    pub again: Duration,
    /// It gives up on a peer that has left something unanswered, or taken nothing, for so long.
    pub give_up: Duration,
}
