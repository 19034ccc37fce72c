//! The mechanisms: pure parts that know no task, no lock and no clock of their own.

pub(crate) mod wire;
