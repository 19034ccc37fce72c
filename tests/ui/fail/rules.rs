use abeyance::{Suspend, suspend};

#[suspend(when_full = "evict", when_evicted = "leave", when_slow = "drop")]
async fn one() -> Suspend {
    Suspend::new()
}

#[suspend(when_full = resume_oldest, when_evicted = stay_away, when_slow = drop_newest)]
async fn two() -> Suspend {
    Suspend::new()
}

#[suspend(when_full = 3, when_evicted = 60, when_slow = true)]
async fn three() -> Suspend {
    Suspend::new()
}

fn main() {}
