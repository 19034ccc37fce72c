//! The keeper under a scheduler that tries many orders of its threads.
//!
//! `--cfg shuttle` makes every lock and every atomic of the keeper a point at which the scheduler may go on with
//! another thread. A *scenario* is a handful of threads that do a handful of things each, and says what must be true
//! when all are done. [`explore`] runs it in thousands of orders, the same in each run:
//!
//! ```text
//! cargo model
//! ```
//!
//! (an alias of this repository). Where a scenario fails, its schedule is printed, and
//! `ABEYANCE_SCHEDULE=<schedule> cargo model <scenario>` does it again. `ABEYANCE_SCHEDULES=100000` tries so many of
//! each scenario, and `SHUTTLE_RANDOM_SEED=7` others.

mod client; // a client that comes back with the last id it was given
mod destructors; // scenarios of messages whose destructors are user code
mod ends; // scenarios in which holds end
mod explore; // runs a scenario in many orders
mod fake_peer_io; // a peer without a network
mod kept; // scenarios of topics that keep a history
mod later; // scenarios of what is published later
mod operation_log; // when each operation was called and returned
mod plain; // scenarios of topics that keep nothing
mod relief; // scenarios of what waits for all peers together
mod returning; // scenarios of clients that come back
mod sequence; // all kept messages in their one order
mod test_hold; // a hold, and what its peer saw
mod test_server; // a keeper with one endpoint, and all its holds
