//! What is left to do with a connection.

use bytes::Bytes;

/// What is left to do with a connection whose hold ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndingBytes {
    /// Write these bytes, then FIN, and wait for the peer's.
    Polite(Bytes),
    /// As `Polite` if the kernel takes these bytes at once and nothing half-written stands before them; else RST.
    LastWord(Bytes),
    /// Write this answer; then the connection serves its next request, or closes politely.
    Answer { bytes: Bytes, keep_alive: bool },
    /// Close without another byte (FIN).
    Close,
    /// Drop it with all that is queued (RST).
    Cut,
}
