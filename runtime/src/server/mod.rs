//! Accepting connections, speaking HTTP until something is held, taking the socket back, and stopping.

mod accept;
mod admission;
mod audit;
pub(crate) mod builder;
mod cancellation;
mod chunks;
mod connection;
mod connections;
mod drive_hyper;
pub(crate) mod entry;
pub(crate) mod environment;
mod evict;
pub(crate) mod handle;
mod http_io;
mod http_state;
mod idle_slot;
mod linger;
mod make_room;
mod plain_answer;
mod request_framing;
mod service;
mod settings;
mod setup;
pub(crate) mod signals;
mod socket_activation;
pub(crate) mod start;
mod strict_crlf;
mod stuck_runtime;
mod turn_away;

#[cfg(test)]
mod tests;
