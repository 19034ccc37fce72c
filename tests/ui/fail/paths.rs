use abeyance::{Suspend, suspend};

#[suspend(path = "rooms")]
async fn one() -> Suspend {
    Suspend::new()
}

#[suspend(path = "/rooms/{room")]
async fn two() -> Suspend {
    Suspend::new()
}

#[suspend(path = "/{*rest}/rooms")]
async fn three() -> Suspend {
    Suspend::new()
}

#[suspend(path = "/{room}/{room}")]
async fn four() -> Suspend {
    Suspend::new()
}

#[suspend(path = "/my rooms?")]
async fn five() -> Suspend {
    Suspend::new()
}

#[suspend(path = rooms)]
async fn six() -> Suspend {
    Suspend::new()
}

fn main() {}
