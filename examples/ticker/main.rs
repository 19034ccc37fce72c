//! Server-sent events from a driver: a future that is dropped when its hold ends.
//!
//! ```text
//! curl -N '127.0.0.1:8080/ticks?count=5'         # five ticks a second apart, then "resumed"
//! curl -N '127.0.0.1:8080/ticks?count=1000000'   # Ctrl-C: the driver is dropped at its next await
//! ```

use std::time::Duration;

use abeyance::extract::Query;
use abeyance::{End, Ended, Lifecycle, Message, Suspend, suspend};
use serde::Deserialize;

struct Ticker;

#[derive(Deserialize)]
struct Ticks {
    count: u32,
}

#[suspend(path = "/ticks", transports = [sse], max_idle = "1m")]
async fn ticks(Query(Ticks { count }): Query<Ticks>) -> Suspend<Ticker> {
    Suspend::with(Ticker).drive(move |held| async move {
        let mut clock = tokio::time::interval(Duration::from_secs(1));
        for tick in 1..=count {
            clock.tick().await;
            // Waits while the send buffer is full; fails once the hold has ended.
            if held.send_when_ready(Message::from(tick.to_string()).named("tick")).await.is_err() {
                return;
            }
        }
        // A driver that returns leaves the hold open, so this one ends it.
        held.resume();
    })
}

impl Lifecycle for Ticker {
    async fn on_end(self, ended: &Ended, end: End) {
        println!("{} after {:.1?}: {end}", ended.id(), ended.held_for());
    }
}

#[abeyance::main(listen = "127.0.0.1:8080")]
async fn main() {}
