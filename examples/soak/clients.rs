//! The process of the clients: how many connect, and until when.

use std::io::{Read, stdin};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::client_log::ClientLog;
use super::connection::{self, Client, TRANSPORTS};
use super::options::Options;
use super::process::most_descriptors;
use super::stall_meter::StallMeter;

/// How many tasks open and close holds at once.
const CYCLERS: u64 = 64;

/// How long clients that read may take to see the end of their connection after the shutdown.
const LAST: Duration = Duration::from_secs(10);

/// Runs the cycles, then the clients for their time. Connections that are left are dropped.
pub(super) async fn run(server: SocketAddr, options: &Options) {
    if options.is_logged {
        return run_to_the_shutdown(server, options).await;
    }
    cycles(server, options.cycles).await;
    let _clients = clients(server, options, None);
    sleep(Duration::from_secs(options.seconds)).await;
}

/// Runs the clients until the server has shut down, and then prints what they saw.
async fn run_to_the_shutdown(server: SocketAddr, options: &Options) {
    let log = Arc::new(ClientLog::default());
    let stall_meter = StallMeter::start();
    let mut clients = clients(server, options, Some(log.clone()));
    end_of_input().await;
    log.close();
    let finished = async {
        while !log.is_finished() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = timeout(LAST, finished).await;
    clients.shutdown().await;
    log.print(stall_meter.longest_stall());
}

/// Returns when the process of the server closes our standard input, or is gone.
async fn end_of_input() {
    let (ended, end) = oneshot::channel();
    // Not `spawn_blocking`: the runtime would wait for that thread when it shuts down.
    std::thread::spawn(move || {
        let _ = stdin().read_to_end(&mut Vec::new());
        let _ = ended.send(());
    });
    let _ = end.await;
}

/// Starts clients that behave at random until they are dropped.
fn clients(server: SocketAddr, options: &Options, log: Option<Arc<ClientLog>>) -> JoinSet<()> {
    // A client has two descriptors at most: the second to send a `POST`.
    let most = most_descriptors().map_or(500, |most| most.saturating_sub(100) / 2);
    let mut clients = JoinSet::new();
    for client in 0..options.clients.min(most) as u64 {
        let dice = Rng::with_seed(options.seed ^ client << 20);
        let log = log.clone();
        clients.spawn(async move {
            let mut client = Client { server, dice, last_id: None, number: client << 32 };
            sleep(Duration::from_millis(client.dice.u64(..2_000))).await;
            loop {
                if connection::once(&mut client, log.as_deref()).await.is_err() {
                    // Out of ports, or refused: spreads the next attempts.
                    sleep(Duration::from_millis(client.dice.u64(20..200))).await;
                }
            }
        });
    }
    clients
}

/// Opens and closes so many holds.
async fn cycles(server: SocketAddr, count: u64) {
    let left = Arc::new(AtomicU64::new(count));
    let mut clients = JoinSet::new();
    for number in 0..CYCLERS.min(count) {
        let left = left.clone();
        clients.spawn(async move {
            let mut turn = number;
            while left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
                let transport = TRANSPORTS[(turn % 4) as usize];
                while connection::briefly(server, transport, turn / 4 % 2 == 0).await.is_err() {
                    sleep(Duration::from_millis(10)).await;
                }
                turn += 1;
            }
        });
    }
    while clients.join_next().await.is_some() {}
}
