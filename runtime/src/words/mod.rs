//! The words everything else is said in: plain data, no locks, no tokio.

#[allow(dead_code, reason = "the macros crate reads this file too, and uses more of it")]
pub(crate) mod amount;
pub(crate) mod cause;
pub(crate) mod denial;
pub(crate) mod escaped;
pub(crate) mod event_id;
pub(crate) mod id;
pub(crate) mod keep;
pub(crate) mod line;
pub(crate) mod look;
pub(crate) mod message;
pub(crate) mod origins;
pub(crate) mod pace;
pub(crate) mod peer;
pub(crate) mod policy;
pub(crate) mod probing;
pub(crate) mod serialize;
pub(crate) mod stay_away;
#[allow(dead_code, reason = "the macros crate reads this file too, and uses more of it")]
pub(crate) mod terms;
pub(crate) mod tick;
pub(crate) mod topic;
