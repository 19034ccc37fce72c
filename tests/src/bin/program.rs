//! The first program of the README, word for word (`tests/readme.rs` compares them).
#![cfg_attr(rustfmt, rustfmt_skip)]

use abeyance::extract::{Path, Query};
use abeyance::{Disconnect, Ended, Held, Retention, Lifecycle, Message, Refusal, Server, Suspend, suspend};

/// What the application keeps while one connection is held.
struct Seat { room: String, nick: String }

#[derive(serde::Deserialize)]
struct Who { nick: String }

#[suspend(path = "/rooms/{room}")]
async fn enter(Path(room): Path<String>, Query(who): Query<Who>) -> Result<Suspend<Seat>, Refusal> {
    if who.nick.is_empty() {
        return Err(Refusal::bad_request("a nick, please"));
    }
    let room = format!("rooms/{room}");
    Ok(Suspend::with(Seat { room: room.clone(), nick: who.nick }).join(room))
}

impl Lifecycle for Seat {
    async fn on_message(&mut self, held: &Held, message: Message) {
        held.publish(&self.room, format!("{}: {}", self.nick, message.as_text().unwrap_or("")));
    }
    /// A client that was resumed (its poll was answered, the server restarts) comes back: it has not left.
    async fn on_disconnect(self, ended: &Ended, cause: Disconnect) {
        ended.publish(&self.room, format!("{} left: {cause}", self.nick));
    }
}

#[abeyance::main(listen = "127.0.0.1:8080")]
async fn main() -> Server {
    Server::new().topic("rooms/*", Retention::default())
}
