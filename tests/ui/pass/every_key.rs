//! Every key, in both forms of the list, with trailing commas, under the strictest lints.
#![deny(warnings)]
#![forbid(unsafe_code)]

use abeyance::{Suspend, suspend};

#[suspend(
    path = "/rooms/{room}/{*rest}",
    transports = [websocket, sse, stream, long_poll],
    timeout = "30s",
    max_idle = "5m",
    max_lifetime = "1d12h",
    heartbeat = "20s",
    max_suspended = 10_000,
    max_per_peer = 100,
    max_per_key = 3,
    when_full = "resume_oldest",
    when_evicted = "stay_away",
    send_buffer = "32KiB",
    when_slow = "drop_oldest",
    max_message = "1MiB",
    crate = ::abeyance,
)]
async fn all() -> Suspend {
    Suspend::new()
}

#[suspend(when_evicted = "come_back", transports(websocket, sse), timeout = "none", max_idle = "none", heartbeat = "1500ms")]
async fn endless() -> Suspend {
    Suspend::new()
}

// The rule counts until a poll can be answered.
#[suspend(transports = [long_poll], when_slow = "drop_newest")]
async fn polls() -> Suspend {
    Suspend::new()
}

#[suspend(timeout = "1h", max_idle = "1m", path = "/{{plain}}")]
async fn longer_than_idle() -> Suspend {
    Suspend::new()
}

mod server {
    #[abeyance::main(
    listen = "localhost:8080",
    max_suspended = 1000,
    max_per_peer = 10,
    when_full = "reject",
    drain = "30s",
    crate = abeyance,
)]
    #[allow(dead_code)]
    async fn main() -> Result<abeyance::Server, Box<dyn std::error::Error>> {
        Ok(abeyance::Server::new())
    }
}

// The program is run, and must not serve.
fn main() {}
