use abeyance::{Suspend, suspend};

#[suspend]
fn not_async() -> Suspend {
    Suspend::new()
}

#[suspend]
async fn generic<'a, T: Default, const N: usize>() -> Suspend {
    let _ = (T::default(), N);
    Suspend::new()
}

#[suspend]
async unsafe fn promised() -> Suspend {
    Suspend::new()
}

#[suspend]
async extern "C" fn foreign() -> Suspend {
    Suspend::new()
}

#[suspend]
async fn unnamed(_: impl std::fmt::Debug) -> Suspend {
    Suspend::new()
}

#[suspend]
async fn borrowed(_: &str, _: std::borrow::Cow<'_, str>) -> Suspend {
    Suspend::new()
}

#[suspend]
async fn nothing() {}

struct Rooms;

impl Rooms {
    #[suspend]
    async fn method(&self) -> Suspend {
        Suspend::new()
    }
}

#[suspend]
struct Room {
    name: String,
}

fn main() {
    let _ = Room { name: String::new() };
}
