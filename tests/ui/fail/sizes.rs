use abeyance::{Suspend, suspend};

#[suspend(backlog = 65536, max_message = "64kb")]
async fn one() -> Suspend {
    Suspend::new()
}

#[suspend(backlog = "16KiB", max_message = "0B")]
async fn two() -> Suspend {
    Suspend::new()
}

#[suspend(backlog = 64KiB, max_message = LARGE)]
async fn three() -> Suspend {
    Suspend::new()
}

fn main() {}
