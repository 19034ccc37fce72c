//! A server whose process is stopped, or whose threads are blocked: a message of a peer makes its hook wait, publish, or
//! block its thread.

#![expect(clippy::disallowed_methods, reason = "it blocks its threads on purpose")]

use std::io::Write;
use std::sync::LazyLock;
use std::time::Duration;

use abeyance::{End, Ended, Held, Lifecycle, Message, Suspend, suspend};
use tokio::sync::Notify;

/// Wakes the hook that waits.
static GO_ON: LazyLock<Notify> = LazyLock::new(Notify::new);

struct Context;

impl Lifecycle for Context {
    async fn on_suspend(&mut self, held: &Held) {
        report(&format!("held: {}", held.transport().as_str()));
    }

    async fn on_message(&mut self, held: &Held, message: Message) {
        match message.as_text() {
            Some("wait") => {
                report("waiting");
                GO_ON.notified().await;
                report("waited");
            }
            Some("go on") => GO_ON.notify_one(),
            Some("block") => {
                report("blocking");
                // Longer than `max_idle`, as a faulty application may.
                std::thread::sleep(Duration::from_secs(4));
                report("blocked");
            }
            _ => report(&format!("published to {}", held.publish("news", message))),
        }
    }

    async fn on_end(self, ended: &Ended, end: End) {
        report(&format!("ended: {} {}", ended.transport().as_str(), end.as_str()));
    }
}

fn report(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}

#[suspend(path = "/hold", max_idle = "3s", timeout = "10m", heartbeat = "1s")]
async fn hold() -> Suspend<Context> {
    Suspend::with(Context).join("news")
}

#[suspend(path = "/beat", max_idle = "3s", timeout = "10m", heartbeat = "100ms")]
async fn beat() -> Suspend<Context> {
    Suspend::with(Context).join("news")
}

// Each deadline is as short as a stall, so a stall that counted would end something.
#[abeyance::main(listen = "127.0.0.1:0")]
async fn main() -> abeyance::Server {
    let span = Duration::from_secs(4);
    abeyance::Server::new().hook_timeout(span).head_timeout(span).close_timeout(span)
}
