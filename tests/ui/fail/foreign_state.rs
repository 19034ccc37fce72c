use abeyance::{Suspend, suspend};
use axum::extract::State;

#[derive(Clone)]
struct Db;

#[suspend]
async fn enter(State(_): State<Db>) -> Suspend {
    Suspend::new()
}

#[suspend]
async fn again(_: axum::extract::State<Db>) -> Suspend {
    Suspend::new()
}

fn main() {}
