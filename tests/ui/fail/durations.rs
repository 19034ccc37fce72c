use abeyance::{Suspend, suspend};

#[suspend(timeout = 30, max_idle = "5 mins", max_lifetime = "5M", heartbeat = "0s")]
async fn one() -> Suspend {
    Suspend::new()
}

#[suspend(timeout = 30s, max_idle = none, max_lifetime = "366d", heartbeat = "99999999999999999999s")]
async fn two() -> Suspend {
    Suspend::new()
}

#[suspend(timeout = "1.5h", max_idle = "Never", max_lifetime = "30", heartbeat("20s"))]
async fn three() -> Suspend {
    Suspend::new()
}

fn main() {}
