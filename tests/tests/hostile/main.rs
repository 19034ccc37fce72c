//! Hostile clients, and a machine that runs short: each is bounded, gets a clear answer or is cut, and the server goes
//! on serving others.
#![allow(clippy::unwrap_used, reason = "helpers of tests, which fail by panicking")]

mod descriptors; // none is left
mod held; // within a hold
