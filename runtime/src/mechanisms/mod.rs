//! The mechanisms: pure parts that know one thing each. `now` comes in, what is due comes out; no tokio, no locks.

pub(crate) mod agenda; // what is to be published later
pub(crate) mod allowance; // frames that say nothing, and how many there may be
pub(crate) mod audit; // whether the books and the process disagree
pub(crate) mod backlog; // what waits for one peer, and how much that may be
pub(crate) mod clock; // when a hold is due, and for what
pub(crate) mod deadlines; // which holds to look at now
pub(crate) mod drain; // when each end of a shutdown begins
pub(crate) mod history; // what topics keep of their past
pub(crate) mod ledger; // which holds there are, and the law over them
pub(crate) mod limits; // how many there may be
pub(crate) mod lobby; // who is not held, and who makes room
pub(crate) mod patience; // how long something may take to become whole
pub(crate) mod ring; // the last so many of something
pub(crate) mod topics; // who joined what
pub(crate) mod wire; // messages and endings as bytes
