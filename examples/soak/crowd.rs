//! The process of the clients: how many come, and until when.

use std::io::{Read, stdin};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::diary::Diary;
use super::options::Options;
use super::process::most_descriptors;
use super::pulse::Pulse;
use super::visit::{self, Client, TRANSPORTS};

/// How many at a time open and close at once.
const CYCLERS: u64 = 64;

/// How long clients that read may take to see that the server is over.
const LAST: Duration = Duration::from_secs(10);

/// Comes in all the ways that were asked for. What is left in the end is dropped.
pub(super) async fn run(server: SocketAddr, options: &Options) {
    if options.is_diary_kept {
        return see_it_out(server, options).await;
    }
    cycles(server, options.cycles).await;
    let _clients = visits(server, options, None);
    sleep(Duration::from_secs(options.seconds)).await;
}

/// Comes until the server is over, and then tells what there was to be seen.
async fn see_it_out(server: SocketAddr, options: &Options) {
    let diary = Arc::new(Diary::default());
    let pulse = Pulse::start();
    let mut clients = visits(server, options, Some(diary.clone()));
    end_of_input().await;
    diary.close();
    let finished = async {
        while !diary.is_finished() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = timeout(LAST, finished).await;
    clients.shutdown().await;
    diary.tell(pulse.longest_stop());
}

/// Returns when the process of the server says that it is over, or is gone.
async fn end_of_input() {
    let (ended, end) = oneshot::channel();
    // A thread of its own: the runtime would wait for one of its own.
    std::thread::spawn(move || {
        let _ = stdin().read_to_end(&mut Vec::new());
        let _ = ended.send(());
    });
    let _ = end.await;
}

/// Clients at random, until they are dropped.
fn visits(server: SocketAddr, options: &Options, diary: Option<Arc<Diary>>) -> JoinSet<()> {
    // A client has two at most: the second to send a `POST`.
    let most = most_descriptors().map_or(500, |most| most.saturating_sub(100) / 2);
    let mut clients = JoinSet::new();
    for client in 0..options.clients.min(most) as u64 {
        let dice = Rng::with_seed(options.seed ^ client << 20);
        let diary = diary.clone();
        clients.spawn(async move {
            let mut client = Client { server, dice, last_id: None, number: client << 32 };
            sleep(Duration::from_millis(client.dice.u64(..2_000))).await;
            loop {
                if visit::once(&mut client, diary.as_deref()).await.is_err() {
                    // Out of ports, or refused: not all at once again.
                    sleep(Duration::from_millis(client.dice.u64(20..200))).await;
                }
            }
        });
    }
    clients
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
