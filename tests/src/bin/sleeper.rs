//! A server that is stopped, or stops itself: what its peers say has its hooks wait, publish, or block their threads.

#![expect(clippy::disallowed_methods, reason = "it blocks its threads on purpose")]

use std::io::Write;
use std::sync::LazyLock;
use std::time::Duration;

use abeyance::{End, Ended, Held, Lifecycle, Message, Suspend, suspend};
use tokio::sync::Notify;

/// What a hook waits for.
static WORD: LazyLock<Notify> = LazyLock::new(Notify::new);

struct Guest;

impl Lifecycle for Guest {
    async fn on_suspend(&mut self, held: &Held) {
        say(&format!("held: {}", held.transport().as_str()));
    }

    async fn on_message(&mut self, held: &Held, message: Message) {
        match message.as_text() {
            Some("wait") => {
                say("waiting");
                WORD.notified().await;
                say("waited");
            }
            Some("go on") => WORD.notify_one(),
            Some("block") => {
                say("blocking");
                // On purpose, as an application may: longer than `max_idle`.
                std::thread::sleep(Duration::from_secs(4));
                say("blocked");
            }
            _ => say(&format!("published to {}", held.publish("news", message))),
        }
    }

    async fn on_end(self, ended: &Ended, end: End) {
        say(&format!("ended: {} {}", ended.transport().as_str(), end.as_str()));
    }
}

fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}

#[suspend(path = "/hold", max_idle = "3s", timeout = "10m", heartbeat = "1s")]
async fn hold() -> Suspend<Guest> {
    Suspend::with(Guest).join("news")
}

#[suspend(path = "/beat", max_idle = "3s", timeout = "10m", heartbeat = "100ms")]
async fn beat() -> Suspend<Guest> {
    Suspend::with(Guest).join("news")
}

// No deadline is longer than the stalls.
#[abeyance::main(listen = "127.0.0.1:0")]
async fn main() -> abeyance::Server {
    let span = Duration::from_secs(4);
    abeyance::Server::new().hook_timeout(span).head_timeout(span).close_timeout(span)
}
