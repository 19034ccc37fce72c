//! A small server for the tests that need a whole process: signals, the environment, descriptors.

use std::io::Write;

use abeyance::{Held, Lifecycle, Suspend, suspend};

/// Says on standard error that it is held: a long poll's peer cannot tell.
struct Guest;

impl Lifecycle for Guest {
    async fn on_suspend(&mut self, held: &Held) {
        let _ = writeln!(std::io::stderr(), "held: {}", held.transport().as_str());
    }
}

#[suspend(path = "/hold", timeout = "30m", max_idle = "1h", heartbeat = "none")]
async fn hold() -> Suspend<Guest> {
    Suspend::with(Guest)
}

#[abeyance::main(listen = "127.0.0.1:0", drain = "30s")]
async fn main() {}
