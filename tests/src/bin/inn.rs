//! A small server for the tests that need a whole process: signals, the environment, descriptors.

use abeyance::{Suspend, suspend};

#[suspend(path = "/hold", timeout = "30m", max_idle = "1h", heartbeat = "none")]
async fn hold() -> Suspend {
    Suspend::new()
}

#[abeyance::main(listen = "127.0.0.1:0", drain = "30s")]
async fn main() {}
