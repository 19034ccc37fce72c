use abeyance::extract::{Path, Query, State};
use abeyance::{Suspend, suspend};

struct Who;

struct Db;

#[suspend]
async fn body(_: String) -> Suspend {
    Suspend::new()
}

#[suspend]
async fn number(_: u32) -> Suspend {
    Suspend::new()
}

#[suspend]
async fn unreadable(_: Query<Who>) -> Suspend {
    Suspend::new()
}

#[suspend(path = "/{who}")]
async fn uncaptured(_: Path<Who>) -> Suspend {
    Suspend::new()
}

#[suspend]
async fn not_shared(_: State<Db>) -> Suspend {
    Suspend::new()
}

fn main() {}
