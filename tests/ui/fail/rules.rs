use abeyance::{Suspend, suspend};

#[suspend(when_full = "evict", when_slow = "drop")]
async fn one() -> Suspend {
    Suspend::new()
}

#[suspend(when_full = resume_oldest, when_slow = drop_newest)]
async fn two() -> Suspend {
    Suspend::new()
}

#[suspend(when_full = 3, when_slow = true)]
async fn three() -> Suspend {
    Suspend::new()
}

fn main() {}
