use abeyance::{Suspend, suspend};

#[suspend("/short")]
async fn short() -> Suspend {
    Suspend::new()
}

#[suspend(max_idle = "5m", "/rooms/{room}", "30s")]
async fn rooms() -> Suspend {
    Suspend::new()
}

#[abeyance::main("0.0.0.0:80")]
async fn main() {}
