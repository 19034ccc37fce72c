//! The words everything else is said in: plain data, no locks, no tokio.

pub mod allowed_origins;
pub mod cause;
pub mod escaped;
pub mod event_id;
pub mod hold_id;
pub mod keepalive_probes;
pub mod message;
pub mod min_rate;
pub mod peer;
pub mod peer_io;
pub mod refusal_reason;
pub mod retention;
pub mod serialize;
pub mod socket_count;
pub mod stay_away;
pub mod tick;
pub mod topic;
