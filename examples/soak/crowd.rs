//! The process of the clients: how many come, and until when.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use fastrand::Rng;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::options::Options;
use super::process::most_descriptors;
use super::visit::{self, TRANSPORTS};

/// How many at a time open and close at once.
const CYCLERS: u64 = 64;

/// Comes in all the ways that were asked for. What is left in the end is dropped.
pub(super) async fn run(server: SocketAddr, options: &Options) {
    cycles(server, options.cycles).await;
    visits(server, options).await;
}

/// Clients at random.
async fn visits(server: SocketAddr, options: &Options) {
    // A client has two at most: the second to send a `POST`.
    let most = most_descriptors().map_or(500, |most| most.saturating_sub(100) / 2);
    let deadline = Instant::now() + Duration::from_secs(options.seconds);
    let mut clients = JoinSet::new();
    for number in 0..options.clients.min(most) as u64 {
        let mut dice = Rng::with_seed(options.seed ^ number << 20);
        clients.spawn(timeout_at(deadline, async move {
            sleep(Duration::from_millis(dice.u64(..2_000))).await;
            // The last id that it was given, which it may bring back.
            let mut last_id = None;
            loop {
                if visit::once(server, &mut dice, &mut last_id).await.is_err() {
                    // Out of ports, or refused: not all at once again.
                    sleep(Duration::from_millis(dice.u64(20..200))).await;
                }
            }
        }));
    }
    while clients.join_next().await.is_some() {}
}

/// Clients that open and are gone again, so many times.
async fn cycles(server: SocketAddr, count: u64) {
    let left = Arc::new(AtomicU64::new(count));
    let mut clients = JoinSet::new();
    for number in 0..CYCLERS.min(count) {
        let left = left.clone();
        clients.spawn(async move {
            let mut turn = number;
            while left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
                let transport = TRANSPORTS[(turn % 4) as usize];
                while visit::briefly(server, transport, turn / 4 % 2 == 0).await.is_err() {
                    sleep(Duration::from_millis(10)).await;
                }
                turn += 1;
            }
        });
    }
    while clients.join_next().await.is_some() {}
}
