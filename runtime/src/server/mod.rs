//! Accepting connections, and the main entry.

pub(crate) mod entry;
