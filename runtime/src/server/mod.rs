//! Accepting connections, speaking HTTP until something is held, taking the socket back, and stopping.

mod accept;
mod audit;
pub(crate) mod builder;
mod chunks;
mod conversation;
mod course;
pub(crate) mod entry;
pub(crate) mod environment;
mod exchange;
mod farewell;
mod first;
mod handed;
mod head;
mod host;
mod house;
mod lines;
mod place;
mod rouse;
pub(crate) mod running;
mod settings;
mod setup;
pub(crate) mod signals;
pub(crate) mod start;
mod turned_away;
mod wire;
pub(crate) mod wishes;
mod word;

#[cfg(test)]
mod tests;
