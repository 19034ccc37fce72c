//! What the tests of held connections share: a server in memory, a client for every transport, and a context that
//! writes down each call of its hooks. Time is paused; nothing here sleeps for real.

pub mod client;
pub mod dice;
pub mod event_reader;
pub mod log;
pub mod net;
pub mod reader;
pub mod returning_client;
pub mod test_context;
pub mod test_server;
