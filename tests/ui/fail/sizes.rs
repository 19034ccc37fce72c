use abeyance::{Suspend, suspend};

#[suspend(send_buffer = 65536, max_message = "64kb")]
async fn one() -> Suspend {
    Suspend::new()
}

#[suspend(send_buffer = "16KiB", max_message = "0B")]
async fn two() -> Suspend {
    Suspend::new()
}

#[suspend(send_buffer = 64KiB, max_message = LARGE)]
async fn three() -> Suspend {
    Suspend::new()
}

fn main() {}
