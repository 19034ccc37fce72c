//! A small server for the tests that need a whole process: signals, the environment, descriptors.

use std::io::Write;
use std::time::Duration;

use abeyance::{End, Ended, Held, Lifecycle, Suspend, suspend};

/// Says on standard error that it is held, as a long poll's peer cannot tell, and how it ended, which takes a while.
struct Guest;

impl Lifecycle for Guest {
    async fn on_suspend(&mut self, held: &Held) {
        let _ = writeln!(std::io::stderr(), "held: {}", held.transport().as_str());
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
async fn main() {}
