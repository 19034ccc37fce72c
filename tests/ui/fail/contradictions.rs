use abeyance::{Suspend, suspend};

#[suspend(heartbeat = "5m", max_idle = "5m")]
async fn one() -> Suspend {
    Suspend::new()
}

#[suspend(heartbeat = "10m")]
async fn two() -> Suspend {
    Suspend::new()
}

#[suspend(heartbeat = "1m", timeout = "30s", max_lifetime = "30s")]
async fn three() -> Suspend {
    Suspend::new()
}

#[suspend(timeout = "none")]
async fn four() -> Suspend {
    Suspend::new()
}

#[suspend(transports = [sse, long_poll], timeout = "none")]
async fn five() -> Suspend {
    Suspend::new()
}

#[suspend(max_suspended = 10, max_per_peer = 11, max_per_key = 12)]
async fn six() -> Suspend {
    Suspend::new()
}

#[suspend(max_idle = "none", heartbeat = "none")]
async fn seven() -> Suspend {
    Suspend::new()
}

// A faulty value contradicts nothing.
#[suspend(max_idle = "1 hour", heartbeat = "10m")]
async fn eight() -> Suspend {
    Suspend::new()
}

fn main() {}
