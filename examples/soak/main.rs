//! A server and thousands of clients of every kind, for as long as you like, and a verdict at the end.
//!
//! ```text
//! cargo run --release --example soak                                   # a minute
//! cargo run --release --example soak -- --seconds 600 --clients 8000 --seed 7
//! cargo run --release --example soak -- --seconds 0 --cycles 1000000   # a million that open and close at once
//! ```
//!
//! The clients are a process of their own, so that what is measured is the server's. They open, leave, reset, fall
//! silent, dawdle, flood, babble and come back, at random on all transports. Once a second a line tells what there is. In
//! the end everybody is gone, and it must show: the law holds, each context's end hook ran once, and memory and
//! descriptors are back where they were. Or else the process ends with 1 and says what is off.

mod crowd; // the process of the clients
mod hotel; // the server's application
mod line; // what is told each second
mod manners; // what clients do on a connection that is held
mod options; // what was asked for
mod process; // what a process has, and the other one
mod verdict; // whether all is well
mod visit; // one connection of a client

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use abeyance::{Hub, Running};
use peak_alloc::PeakAlloc;
use tokio::time::{Instant, sleep};

use hotel::Counts;
use line::Line;
use options::Options;
use process::{Child, Level};
use verdict::Outcome;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// How long whoever is left may take to be gone when the clients are: more than any clock of the application.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(fault) => {
            eprintln!("{fault}\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    if let Some(server) = options.against {
        crowd::run(server, &options).await;
        return ExitCode::SUCCESS;
    }
    let begun = Level::now();
    let counts = Arc::new(Counts::default());
    let server = match hotel::open(counts.clone()).await {
        Ok(server) => server,
        Err(fault) => {
            eprintln!("{fault}");
            return ExitCode::from(2);
        }
    };
    let outcome = soak(&server, &counts, &options).await;
    let hub = server.hub();
    let drained = server.shutdown().await;
    // The runtime lets go of a task's socket a moment after the task.
    sleep(Duration::from_millis(200)).await;
    let outcome = Outcome { cut: drained.connections_cut, over: Level::now(), begun, ..outcome };
    println!("\n{}", line::ends(&hub));
    outcome.pronounce(&hub)
}

/// Warms up, soaks, and waits until everybody is gone.
async fn soak(server: &Running, counts: &Arc<Counts>, options: &Options) -> Outcome {
    let hub = server.hub();
    let _publishing = hotel::publish(&hub, options.seed);
    let mut line = Line::new(counts.clone());
    println!("seed {}: {} clients at a time, for {} s", options.seed, options.clients, options.seconds);
    // All that is taken once is taken now, by as many.
    let warm = Options {
        seconds: options.seconds.clamp(1, 20) / 4 + 3,
        cycles: options.cycles.min(20_000),
        seed: options.seed.wrapping_add(1),
        ..*options
    };
    run(server.addr(), &hub, &mut line, "warm", &warm).await;
    quiet(&hub, &mut line).await;
    let warm = Level::now();
    run(server.addr(), &hub, &mut line, "soak", options).await;
    let is_quiet = quiet(&hub, &mut line).await;
    let mut audit = None;
    for _ in 0..3 {
        audit = server.audit().await;
    }
    Outcome {
        warm,
        quiet: Level::now(),
        is_quiet,
        audit,
        hooks: counts.hooks(),
        forgotten: counts.forgotten(),
        ..Outcome::default()
    }
}

/// Lets the clients do as they like, in a process of their own.
async fn run(server: SocketAddr, hub: &Hub, line: &mut Line, stage: &str, options: &Options) {
    let mut child = Child::start(server, options);
    while child.is_running() {
        line.tell_after_a_second(hub, stage).await;
    }
}

/// Waits until nobody is there any more, and what topics keep is forgotten.
async fn quiet(hub: &Hub, line: &mut Line) -> bool {
    let deadline = Instant::now() + PATIENCE;
    let is_quiet = || {
        let tally = hub.tally();
        tally.held + tally.ending + tally.hooks_running == 0
    };
    while !is_quiet() && Instant::now() < deadline {
        line.tell_after_a_second(hub, "wait").await;
    }
    sleep(2 * hotel::KEPT_FOR).await;
    is_quiet()
}
