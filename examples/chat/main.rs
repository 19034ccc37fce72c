//! Chat rooms over four transports: who came, what was said (with the last messages for a newcomer), and why a member left.
//!
//! `cargo run --example chat`, then open <http://127.0.0.1:8080/> in two windows with different transports. Or:
//!
//! ```text
//! curl -N '127.0.0.1:8080/rooms/lobby?nick=eve&transport=sse'       # stays open; Ctrl-C: "eve left: gone"
//! curl -i '127.0.0.1:8080/rooms/lobby?nick=pat&transport=long_poll' # one answer, or 204 after 30 s; the next one
//!                                                                   # with &last_event_id=(its Last-Event-ID)
//! curl -d 'hello' '127.0.0.1:8080/say/lobby?nick=pat'               # an ordinary route
//! ```

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use abeyance::extract::{Path, Query};
use abeyance::{
    End, Ended, Held, Hub, Lifecycle, Message, Refusal, Resume, Retention, Server, Suspend, Topic, Transport,
    suspend,
};
use axum::extract::{DefaultBodyLimit, Path as Room};
use axum::routing::{get, post};
use axum::{Router, http::StatusCode, response::Html};
use serde::Deserialize;

/// One member of a room, while its connection is held.
struct Seat {
    room: Topic,
    door: Topic,
    nick: String,
}

#[derive(Deserialize)]
struct Who {
    nick: String,
}

/// A message to a room. A page that reconnects knows by `at` which events it has shown already.
#[expect(clippy::disallowed_methods, reason = "for people to read")]
fn event(kind: &str, nick: &str, text: &str) -> Message {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis()).to_string();
    let fields = BTreeMap::from([("kind", kind), ("nick", nick), ("text", text), ("at", &at)]);
    Message::json(&fields).expect("four strings are always JSON")
}

// No `timeout`, since a member may listen without talking. A long poll has one of 30 s all the same.
#[suspend(path = "/rooms/{room}", max_idle = "5m", heartbeat = "20s")]
async fn enter(Path(room): Path<String>, Query(Who { nick }): Query<Who>) -> Result<Suspend<Seat>, Refusal> {
    if !(1..=32).contains(&nick.chars().count()) {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "a nick of 1 to 32 characters, please"));
    }
    let door = Topic::from(format!("doors/{room}"));
    let room = Topic::from(format!("rooms/{room}"));
    let seat = Seat { room: room.clone(), door: door.clone(), nick };
    Ok(Suspend::with(seat).join_with_history(room).join(door))
}

impl Lifecycle for Seat {
    async fn on_suspend(&mut self, held: &Held) {
        // A long poll is a new hold after every answer, so it would be announced again and again.
        if held.transport() != Transport::LongPoll {
            held.publish(&self.door, event("came", &self.nick, held.transport().as_str()));
        }
    }

    async fn on_message(&mut self, held: &Held, message: Message) {
        match message.as_text() {
            Some(text) => _ = held.publish(&self.room, event("said", &self.nick, text)),
            None => _ = held.disconnect("text only, please"),
        }
    }

    async fn on_end(self, ended: &Ended, end: End) {
        // In a drain all members leave one after the other, and come back: that is no news.
        if ended.transport() != Transport::LongPoll && end != Resume::Drained.into() {
            ended.publish(&self.door, event("left", &self.nick, &end.to_string()));
        }
    }
}

/// An axum handler by which long-poll clients talk.
async fn say(hub: Hub, Room(room): Room<String>, Query(who): Query<Who>, text: String) -> String {
    format!("queued for {}\n", hub.publish(format!("rooms/{room}"), event("said", &who.nick, &text)))
}

#[abeyance::main(listen = "127.0.0.1:8080")]
async fn main() -> Server {
    let say = post(say).layer(DefaultBodyLimit::max(64 * 1024));
    let page = get(async || Html(include_str!("index.html")));
    let router = Router::new().route("/", page).route("/say/{room}", say);
    // The topic of a room keeps what was said for newcomers; the topic of its door keeps nothing.
    Server::new().topic("rooms/*", Retention::new().count(20)).fallback(router)
}
