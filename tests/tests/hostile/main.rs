//! Hostile clients, and a machine that runs short: each is bounded, gets a clear answer or is cut, and the server goes
//! on serving others.
#![allow(clippy::unwrap_used, reason = "helpers of tests, which fail by panicking")]

mod deluge; // a peer that never stops sending
mod descriptors; // none is left
mod exhausted; // memory, send buffers, topics, permits
mod heads; // malformed or endless ones
mod held; // within a hold
mod inbound; // bodies, where memory is short
mod silent; // connections that send nothing
mod slow; // heads and bodies that come a byte now and then
mod smuggled; // requests hidden in requests
mod target; // the server under attack
mod waiting; // connections that wait for their own peer

/// A deadline that no test waits for.
const LONG: std::time::Duration = std::time::Duration::from_secs(600);
