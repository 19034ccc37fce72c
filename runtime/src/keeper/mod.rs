//! The keeper of all holds: the only locks, and the only waiter on time.

pub(crate) mod ended;
pub(crate) mod held;
pub(crate) mod hub;
