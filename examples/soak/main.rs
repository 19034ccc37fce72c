//! A server and thousands of clients of every kind, for as long as you like, and a verdict at the end.
//!
//! ```text
//! cargo run --release --example soak                                   # a minute
//! cargo run --release --example soak -- --seconds 600 --clients 8000 --seed 7
//! cargo run --release --example soak -- --seconds 0 --cycles 1000000   # a million that open and close at once
//! cargo run --release --example soak -- --help
//! ```
//!
//! The clients run in a process of their own, so that this process measures the server alone. They connect, leave, reset,
//! fall silent, read slowly, flood, send garbage and reconnect, at random on all transports. Once a second the program
//! prints the state of the server. When the time is over all clients leave. Then one end hook must have run for each
//! hold, and memory and descriptors must be back at their level after the warm-up.
//!
//! Then new clients connect, and the server is shut down while they are held. The program checks:
//!
//! - the drain ended every hold in good order, and spread the ends over its time;
//! - each client that read to the end saw the end that the server reports, in the form of its transport;
//! - the end hook of each context ran once, and no hook ran after the shutdown;
//! - the server left neither memory nor descriptors behind.
//!
//! If a check fails, the program prints it and exits with 1. If one of the processes stalled for longer than a second, the
//! program reports what came too late, but does not count it as a failure.
//!
//! The program also reports how late timeouts are, from the deadline to the end hook. That depends on the machine and its
//! load, so it is a check only with `--max-late 250ms`: at most 1 % of the timeouts may be later.

mod application; // the server's application
mod behavior; // what clients do on a connection that is held
mod client_log; // the ends that clients saw
mod clients; // the process of the clients
mod comparison; // the ends that the server reports, beside those that clients saw
mod connection;
mod drain; // the shutdown, with clients held
mod ending; // how a client reads an end
mod lateness; // how late clocks are
mod options; // the command line
mod outcome; // all measurements, and the verdict
mod process; // the resources of this process, and the child process
mod progress; // the line that is printed each second
mod stall_meter; // for how long a process stalled // one connection of a client

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use abeyance::{Hub, ServerHandle};
use peak_alloc::PeakAlloc;
use tokio::time::{Instant, sleep};

use application::Counts;
use options::Options;
use outcome::Outcome;
use process::{Child, Usage};
use progress::Progress;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// How long the runtime may take to close the sockets of its last tasks.
const RELEASE_WITHIN: Duration = Duration::from_secs(5);

/// How long the last holds may take to end once the clients are gone: longer than any timeout of the application.
const QUIET_WITHIN: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--help") {
        println!("{}\n{}", options::USAGE, options::HELP);
        return ExitCode::SUCCESS;
    }
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(fault) => {
            eprintln!("{fault}\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    if let Some(server) = options.against {
        clients::run(server, &options).await;
        return ExitCode::SUCCESS;
    }
    let begun = Usage::now();
    let counts = Arc::new(Counts::default());
    let server = match application::open(counts.clone()).await {
        Ok(server) => server,
        Err(fault) => {
            eprintln!("{fault}");
            return ExitCode::from(2);
        }
    };
    let hub = server.hub();
    let mut publishing = application::publish(&hub, options.seed);
    let mut progress = Progress::new(counts.clone());
    let outcome = soak(&server, &mut progress, &options).await;
    let drain_result = drain::drain(server, &counts, &mut progress, &options).await;
    publishing.shutdown().await;
    println!("\n{}", progress::ends(&hub));
    let stats = hub.stats();
    // The last handle on the server: its tables are freed with it.
    drop(hub);
    let outcome = Outcome {
        begun,
        over: after_release(begun).await,
        hooks: counts.hooks(),
        without_end_hook: counts.without_end_hook(),
        late_hooks: counts.late_hooks(),
        drain_result,
        lateness: counts.lateness.summary(),
        max_late: options.max_late,
        ..outcome
    };
    outcome.print_verdict(&stats)
}

/// Warms up, soaks, and waits until no hold is left.
async fn soak(server: &ServerHandle, progress: &mut Progress, options: &Options) -> Outcome {
    let hub = server.hub();
    println!("seed {}: {} clients at a time, for {} s", options.seed, options.clients, options.seconds);
    // The server allocates its tables during the warm-up, for as many clients.
    let warm = Options {
        seconds: options.seconds.clamp(1, 20) / 4 + 3,
        cycles: options.cycles.min(20_000),
        seed: options.seed.wrapping_add(1),
        ..*options
    };
    run(server.local_addr(), &hub, progress, "warm", &warm).await;
    quiet(&hub, progress).await;
    let warm = Usage::now();
    run(server.local_addr(), &hub, progress, "soak", options).await;
    let is_quiet = quiet(&hub, progress).await;
    let mut audit = None;
    for _ in 0..3 {
        audit = server.audit().await;
    }
    Outcome { warm, quiet: Usage::now(), is_quiet, audit, ..Outcome::default() }
}

/// The resources of the process once the runtime has dropped its last tasks, a moment after they ended.
async fn after_release(begun: Usage) -> Usage {
    let deadline = Instant::now() + RELEASE_WITHIN;
    loop {
        sleep(Duration::from_millis(200)).await;
        let usage = Usage::now();
        if usage.descriptors <= begun.descriptors || Instant::now() >= deadline {
            return usage;
        }
    }
}

/// Runs the clients in a process of their own, until it ends.
async fn run(server: SocketAddr, hub: &Hub, progress: &mut Progress, stage: &str, options: &Options) {
    let mut child = Child::start(server, options);
    while child.is_running() {
        progress.print_after_a_second(hub, stage).await;
    }
}

/// Waits until no hold is left and the topics have dropped what they kept.
async fn quiet(hub: &Hub, progress: &mut Progress) -> bool {
    let deadline = Instant::now() + QUIET_WITHIN;
    let is_quiet = || {
        let stats = hub.stats();
        stats.held + stats.ending + stats.hooks_running == 0
    };
    while !is_quiet() && Instant::now() < deadline {
        progress.print_after_a_second(hub, "wait").await;
    }
    sleep(2 * application::KEPT_FOR).await;
    is_quiet()
}
