//! A limit that is never exceeded: three seats, and a fourth client gets the seat of the oldest.
//!
//! ```text
//! for i in 1 2 3 4; do curl -sN '127.0.0.1:8080/seats?transport=sse' & done   # at once: the fourth gets a 503,
//!                                                # since no hold is evicted within its first second
//! curl -N '127.0.0.1:8080/seats?transport=sse'   # a little later: the oldest ends with "data: evicted"
//! curl 127.0.0.1:8080/                           # held 3, at most 3
//! ```

use abeyance::{End, Ended, Held, Hub, Lifecycle, Server, Suspend, suspend};
use axum::Router;
use axum::routing::get;

struct Seat;

#[suspend(path = "/seats", max_suspended = 3, when_full = "resume_oldest", max_idle = "1m")]
async fn seats() -> Suspend<Seat> {
    Suspend::with(Seat).reply("take a seat")
}

impl Lifecycle for Seat {
    async fn on_suspend(&mut self, held: &Held) {
        println!("{} sits down ({})", held.id(), held.transport().as_str());
    }

    async fn on_end(self, ended: &Ended, end: End) {
        println!("{} is {end}, after {:.1?}", ended.id(), ended.held_for());
    }
}

#[abeyance::main(listen = "127.0.0.1:8080")]
async fn main() -> Server {
    let count = async |hub: Hub| format!("held {}, at most {}\n", hub.held_count(), hub.peak());
    Server::new().fallback(Router::new().route("/", get(count)))
}
