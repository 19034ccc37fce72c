//! The pure parts of [abeyance](https://docs.rs/abeyance): no tokio, no sockets, no tasks. `now` comes in, what is due
//! comes out.
//!
//! This crate has no stable interface of its own. Depend on `abeyance`, which re-exports what its users need.
//!
//! [`sync`] has the only locks of the project. With `--cfg shuttle` they are those of a scheduler that tries many orders of
//! the threads: that is how the model in `abeyance` runs.
#![allow(
    clippy::len_without_is_empty,
    reason = "lengths are for counts, and nothing asks whether one is zero"
)]
#![allow(
    missing_docs,
    reason = "what users see is documented; the rest is internal, with comments where they help"
)]

pub mod mechanisms; // clocks, limits, histories, buffers, wire forms: one thing each
pub mod request; // what a request's head and a held peer's bytes mean
pub mod sync; // locks, and values of the application that are dropped with none of them held
pub mod words; // messages, topics, ids, causes: plain data
