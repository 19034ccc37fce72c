use abeyance::extract::Path;
use abeyance::{Suspend, suspend};

type Room = Path<String>;

#[suspend(path = "/rooms/{{room}}")]
async fn enter(Path(_room): Path<String>) -> Suspend {
    Suspend::new()
}

#[suspend]
async fn renamed(_: Room) -> Suspend {
    Suspend::new()
}

fn main() {}
