use abeyance::{Suspend, suspend};

#[suspend(max_suspended = 0, max_per_peer = "10", max_per_key = -1)]
async fn one() -> Suspend {
    Suspend::new()
}

#[suspend(max_suspended = 10u8, max_per_peer = 1.5, max_per_key = MANY)]
async fn two() -> Suspend {
    Suspend::new()
}

fn main() {}
