//! A small server for the tests that need a whole process: signals, the environment, descriptors.

use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use abeyance::{BoxError, End, Ended, Held, Lifecycle, Message, Server, Suspend, suspend};

// Not by the library: with it come the functions of other tests, which would be served here.
#[allow(dead_code, unreachable_pub, reason = "a process logs to standard error alone")]
#[path = "../log.rs"]
mod log;

/// What the application has open, until it is told otherwise.
static FILES: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// Says on standard error that it is held, as a long poll's peer cannot tell, and how it ended, which takes a while.
struct Guest;

impl Lifecycle for Guest {
    async fn on_suspend(&mut self, held: &Held) {
        let _ = writeln!(std::io::stderr(), "held: {}", held.transport().as_str());
    }

    /// Does as it is told: `eat` all descriptors, or `spit` them out. Says how many it had.
    async fn on_message(&mut self, held: &Held, message: Message) {
        let count = {
            let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
            if message.as_text() == Some("eat") {
                files.extend(std::iter::from_fn(|| File::open("/dev/null").ok()));
            }
            let count = files.len();
            if message.as_text() == Some("spit") {
                files.clear();
            }
            count
        };
        let _ = held.send(count.to_string());
    }

    async fn on_end(self, _: &Ended, end: End) {
        let took = std::env::var("INN_HOOK_MILLIS").ok().and_then(|millis| millis.parse().ok());
        if let Some(millis) = took {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
        let _ = writeln!(std::io::stderr(), "ended: {}", end.as_str());
    }
}

#[suspend(path = "/hold", timeout = "30m", max_idle = "1h", heartbeat = "none")]
async fn hold() -> Suspend<Guest> {
    Suspend::with(Guest)
}

#[abeyance::main(listen = "127.0.0.1:0", drain = "30s")]
async fn main() -> Server {
    if std::env::var_os("INN_LOG").is_some() {
        log::to_stderr();
    }
    Server::new().after_drain(|| async {
        let _ = writeln!(std::io::stderr(), "cleaning up");
        match std::env::var("INN_CLEANUP").as_deref() {
            Ok("hang") => std::future::pending().await,
            Ok("fail") => Err(BoxError::from("no room on the disk")),
            _ => Ok(()),
        }
    })
}
