//! What the tests share: a server in memory, a client for every transport, and a context that records each call of its
//! hooks. Their time is paused, so nothing sleeps for real. `net` has the same for real sockets.

pub mod client;
pub mod dice;
pub mod event_reader;
pub mod log;
pub mod net;
pub mod reader;
pub mod returning_client;
pub mod test_context;
pub mod test_server;
