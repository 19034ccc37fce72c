//! Accepting connections, speaking HTTP until something is held, taking the socket back, and stopping.

mod accept;
pub(crate) mod builder;
mod conversation;
pub(crate) mod entry;
mod environment;
mod exchange;
mod farewell;
mod head;
mod host;
mod house;
mod rouse;
pub(crate) mod running;
mod settings;
mod setup;
pub(crate) mod start;
mod wire;
mod wishes;

#[cfg(test)]
mod tests;
