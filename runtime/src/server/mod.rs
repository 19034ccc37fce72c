//! Accepting connections, speaking HTTP until something is held, taking the socket back, and stopping.

mod accept;
//ACC pub(crate) mod builder;
mod conversation;
pub(crate) mod entry;
//ACC mod environment;
mod exchange;
mod head;
mod host;
mod house;
pub(crate) mod running;
pub(crate) mod start;
mod wire;

#[cfg(test)]
mod tests;
