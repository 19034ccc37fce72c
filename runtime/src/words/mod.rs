//! The words everything else is said in: plain data, no locks, no tokio.

pub(crate) mod amount;
pub(crate) mod cause;
pub(crate) mod id;
pub(crate) mod line;
pub(crate) mod message;
pub(crate) mod policy;
pub(crate) mod terms;
pub(crate) mod tick;
pub(crate) mod topic;
