//! The words everything else is said in: plain data, no locks, no tokio.

pub mod cause;
pub mod denial;
pub mod escaped;
pub mod event_id;
pub mod id;
pub mod keep;
pub mod line;
pub mod look;
pub mod message;
pub mod origins;
pub mod pace;
pub mod peer;
pub mod policy;
pub mod probing;
pub mod serialize;
pub mod stay_away;
pub mod tick;
pub mod topic;
