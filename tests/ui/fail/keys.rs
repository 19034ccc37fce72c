use abeyance::{Suspend, suspend};

#[suspend(tmeout = "30s", colour = "red", timeout, max_idle =, heartbeat "20s", 30, max_idle = "1m", max_idle = "2m")]
async fn one() -> Suspend {
    Suspend::new()
}

#[suspend(, timeout: "30s", crate = "abeyance")]
async fn two() -> Suspend {
    Suspend::new()
}

fn main() {}
