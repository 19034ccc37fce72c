use abeyance::{Suspend, suspend};

struct Rooms;

impl Rooms {
    #[suspend]
    async fn enter() -> Suspend {
        Suspend::new()
    }
}

fn main() {}
