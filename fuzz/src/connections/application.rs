//! What is served: one function that holds, another beside it, and routes of axum.

use std::time::Duration;

use abeyance::extract::{ClientIp, LastEventId, Path, State};
use abeyance::{End, Ended, Held, Lifecycle, Message, Refusal, Server, Suspend, suspend};
use axum::Router;
use axum::routing::{get, post};

use super::log::Log;

pub(super) fn mount(server: Server, log: &Log) -> Server {
    let echo = post(|body: axum::body::Bytes| async move { body });
    let routes = Router::new().route("/echo", echo).route("/plain", get(|| async { "plain" }));
    server.state(log.clone()).mount(sit).mount(stand).fallback(routes)
}

/// How long a message may keep those behind it waiting.
pub(super) const LONGEST_HOOK: Duration = Duration::from_millis(300);

/// How long a hook may take, and within what time those that wait when an end begins are begun.
pub(super) const HOOK_TIMEOUT: Duration = Duration::from_secs(1);

/// A hold that does what it is told.
struct Context(Log);

#[suspend(
    path = "/hold/{how}",
    timeout = "4s",
    max_idle = "3s",
    max_lifetime = "6s",
    heartbeat = "700ms",
    send_buffer = "32KiB",
    max_message = "1KiB"
)]
async fn sit(
    State(log): State<Log>,
    Path(how): Path<String>,
    LastEventId(last): LastEventId,
    _: ClientIp,
) -> Result<Suspend<Context>, Refusal> {
    let hold = Suspend::with(Context(log)).join("room");
    match &*how {
        "now" => Ok(hold.reply("now")),
        "here" => Ok(hold.join_with_history("kept").reply("welcome")),
        "away" => Err(Refusal::forbidden("go away")),
        "quiet" => Ok(hold),
        _ => Ok(hold.reply(format!("{how}, {last:?}"))),
    }
}

/// Another endpoint: who is held at the first does not speak here.
#[suspend(path = "/other/{how}", timeout = "1s", max_idle = "3s", heartbeat = "700ms")]
async fn stand(State(log): State<Log>, Path(_): Path<String>) -> Suspend<Context> {
    Suspend::with(Context(log))
}

impl Lifecycle for Context {
    async fn on_suspend(&mut self, held: &Held) {
        self.0.begin(held);
    }

    async fn on_message(&mut self, held: &Held, message: Message) {
        let is_echoed = held.send(message.clone()).is_ok();
        self.0.hear(held, &message, is_echoed);
        match message.as_text() {
            Some("resume") => _ = held.resume(),
            Some("wait") => tokio::time::sleep(LONGEST_HOOK).await,
            Some(text) => match text.split_once(' ') {
                Some(("kick", reason)) => _ = held.disconnect(reason),
                Some(("join", topic)) => drop(held.join(topic)),
                Some(("leave", topic)) => held.leave(topic),
                Some((topic, text)) => drop(held.publish(topic, Message::from(text).named(topic))),
                None => {}
            },
            None => drop(held.publish("kept", message)),
        }
    }

    async fn on_end(self, ended: &Ended, end: End) {
        self.0.end(ended, &end);
        ended.publish("room", end.to_string());
    }
}
