//! The keeper under a scheduler that tries many orders of its threads.
//!
//! This package compiles the runtime's own files: words, mechanisms, keeper. Only [`sync`] is another: there every lock
//! and every atomic is a place at which the scheduler may go on with another thread. A *scenario* is a handful of
//! threads that do a handful of things each, and says what must be true when all are done; [`explore`] runs it in
//! thousands of orders, the same in each run. Where one fails, its schedule is printed, and
//! `ABEYANCE_SCHEDULE=<schedule> cargo test -p abeyance-model <scenario>` does it again. `ABEYANCE_SCHEDULES=100000`
//! tries so many of each scenario, and `SHUTTLE_RANDOM_SEED=7` others.
//!
//! A library, and the tests beside it only call it: compiled as a test, the runtime's files would bring their own tests
//! along, which know no scheduler.

// Cargo compiles it as one where a test is asked for by its name.
#![cfg(not(test))]
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "the scenarios use a part of the runtime's files"
)]

#[path = "../../runtime/src/words/mod.rs"]
mod words;

#[path = "../../runtime/src/mechanisms/mod.rs"]
mod mechanisms;

mod sync; // in place of the runtime's

#[path = "../../runtime/src/keeper/mod.rs"]
mod keeper;

mod chronicle; // what happened when
mod client; // whoever comes back with the last id it was given
mod explore; // many orders
mod guest; // a hold, and what its peer saw
mod house; // a keeper, and who is held
mod line; // a peer that takes what it is told to take
mod sequence; // all kept messages in their one order

pub mod destructors; // scenarios of messages whose destructors are user code
pub mod ends; // scenarios in which holds end
pub mod kept; // scenarios of topics that keep a history
pub mod later; // scenarios of what is published later
pub mod plain; // scenarios of topics that keep nothing
pub mod relief; // scenarios of what waits for all peers together
pub mod returning; // scenarios of clients that come back
