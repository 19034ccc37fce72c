//! A small server for tests that need a whole process: signals, the environment, descriptors.

use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use abeyance::{BoxError, End, Ended, Held, Lifecycle, Message, Server, Suspend, suspend};

// Included by path: linking the library would also mount the endpoints that it declares.
#[allow(dead_code, unreachable_pub, reason = "this process logs to standard error only")]
#[path = "../log.rs"]
mod log;

/// Files that the application keeps open.
static FILES: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// Reports on standard error that it is held, since the client of a long poll cannot see that, and how it ended.
struct Context;

impl Lifecycle for Context {
    async fn on_suspend(&mut self, held: &Held) {
        let _ = writeln!(std::io::stderr(), "held: {}", held.transport().as_str());
    }

    /// `open files` takes all descriptors that are left, `close files` closes them. Answers how many there were.
    async fn on_message(&mut self, held: &Held, message: Message) {
        let count = {
            let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
            if message.as_text() == Some("open files") {
                files.extend(std::iter::from_fn(|| File::open("/dev/null").ok()));
            }
            let count = files.len();
            if message.as_text() == Some("close files") {
                files.clear();
            }
            count
        };
        let _ = held.send(count.to_string());
    }

    async fn on_end(self, _: &Ended, end: End) {
        let millis = std::env::var("TEST_HOOK_MILLIS").ok().and_then(|millis| millis.parse().ok());
        if let Some(millis) = millis {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
        let _ = writeln!(std::io::stderr(), "ended: {}", end.as_str());
    }
}

#[suspend(path = "/hold", timeout = "30m", max_idle = "1h", heartbeat = "none")]
async fn hold() -> Suspend<Context> {
    Suspend::with(Context)
}

#[abeyance::main(listen = "127.0.0.1:0", drain = "30s")]
async fn main() -> Server {
    if std::env::var_os("TEST_LOG").is_some() {
        log::to_stderr();
    }
    Server::new().after_drain(|| async {
        let _ = writeln!(std::io::stderr(), "cleaning up");
        match std::env::var("TEST_CLEANUP").as_deref() {
            Ok("hang") => std::future::pending().await,
            Ok("fail") => Err(BoxError::from("no room on the disk")),
            _ => Ok(()),
        }
    })
}
