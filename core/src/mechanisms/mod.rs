//! The mechanisms: pure parts that know one thing each. `now` comes in, what is due comes out; no tokio, no locks.

pub mod audit; // whether the registry of connections and the process disagree
pub mod clock; // when a hold is due, and for what
pub mod connection_queue; // who is not held, and who makes room
pub mod deadlines; // which holds to look at now
pub mod drain; // when each end of a shutdown begins
pub mod frame_quota; // frames that say nothing, and how many there may be
pub mod history; // what topics keep of their past
pub mod ledger; // which holds there are, and the law over them
pub mod limits; // how many there may be
pub mod ring; // the last so many of something
pub mod send_buffer; // what waits for one peer, and how much that may be
pub mod slow_peer_timer; // how long something may take to become whole
pub mod timer_queue; // what is to be published later
pub mod token; // which text lets its bearer speak for a hold
pub mod topics; // who joined what
pub mod wire; // messages and endings as bytes
