//! A server and thousands of clients of every kind, for as long as you like, and a verdict at the end.
//!
//! ```text
//! cargo run --release --example soak                                   # a minute
//! cargo run --release --example soak -- --seconds 600 --clients 8000 --seed 7
//! cargo run --release --example soak -- --seconds 0 --cycles 1000000   # a million that open and close at once
//! cargo run --release --example soak -- --help
//! ```
//!
//! The clients are a process of their own, so that what is measured is the server's. They open, leave, reset, fall
//! silent, dawdle, flood, babble and come back, at random on all transports. Once a second a line tells what there is.
//! When the time is over everybody leaves, and it must show: the books are right, and memory and descriptors are back.
//!
//! Then others come, and the server is shut down while they are there. The drain must end all of them in good order,
//! spread over its time; those that read on must have seen the end that the server says they had, in the words of their
//! transport; each context's end hook ran once, and no hook later; the server leaves neither memory nor descriptors.
//! Or else the process ends with 1 and says what is off. Where one of the processes itself stood still for longer than a
//! second, what came too late is told, and not judged.
//!
//! How late the clocks are is told as well: a timeout that is due is an end hook that runs. It depends on the machine
//! and what else it does, so it is judged only if `--max-late 250ms` says by how much 99 of a hundred may be late.

mod crowd; // the process of the clients
mod diary; // what clients saw of their ends
mod drain; // the shutdown, with a crowd
mod ending; // how a client reads an end
mod hotel; // the server's application
mod lateness; // how late clocks are
mod line; // what is told each second
mod manners; // what clients do on a connection that is held
mod options; // what was asked for
mod process; // what a process has, and the other one
mod pulse; // for how long a process stood still
mod register; // what the server says of the ends, compared with the diary
mod verdict; // whether all is well
mod visit; // one connection of a client

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use abeyance::{Hub, ServerHandle};
use peak_alloc::PeakAlloc;
use tokio::time::{Instant, sleep};

use hotel::Counts;
use line::Line;
use options::Options;
use process::{Child, Level};
use verdict::Outcome;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// How long the runtime may take to let go of the sockets of its last tasks.
const LETTING_GO: Duration = Duration::from_secs(5);

/// How long whoever is left may take to be gone when the clients are: more than any clock of the application.
const PATIENCE: Duration = Duration::from_secs(30);

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
    let hub = server.hub();
    let mut publishing = hotel::publish(&hub, options.seed);
    let mut line = Line::new(counts.clone());
    let outcome = soak(&server, &mut line, &options).await;
    let departure = drain::drain(server, &counts, &mut line, &options).await;
    publishing.shutdown().await;
    println!("\n{}", line::ends(&hub));
    let stats = hub.stats();
    // The last handle: the books go, too.
    drop(hub);
    let outcome = Outcome {
        begun,
        over: let_go(begun).await,
        hooks: counts.hooks(),
        forgotten: counts.forgotten(),
        strays: counts.strays(),
        departure,
        lateness: counts.lateness.summary(),
        max_late: options.max_late,
        ..outcome
    };
    outcome.pronounce(&stats)
}

/// Warms up, soaks, and waits until everybody is gone.
async fn soak(server: &ServerHandle, line: &mut Line, options: &Options) -> Outcome {
    let hub = server.hub();
    println!("seed {}: {} clients at a time, for {} s", options.seed, options.clients, options.seconds);
    // All that is taken once is taken now, by as many.
    let warm = Options {
        seconds: options.seconds.clamp(1, 20) / 4 + 3,
        cycles: options.cycles.min(20_000),
        seed: options.seed.wrapping_add(1),
        ..*options
    };
    run(server.local_addr(), &hub, line, "warm", &warm).await;
    quiet(&hub, line).await;
    let warm = Level::now();
    run(server.local_addr(), &hub, line, "soak", options).await;
    let is_quiet = quiet(&hub, line).await;
    let mut audit = None;
    for _ in 0..3 {
        audit = server.audit().await;
    }
    Outcome { warm, quiet: Level::now(), is_quiet, audit, ..Outcome::default() }
}

/// What the process has when the runtime has let go of the last tasks, a moment after they ended.
async fn let_go(begun: Level) -> Level {
    let deadline = Instant::now() + LETTING_GO;
    loop {
        sleep(Duration::from_millis(200)).await;
        let level = Level::now();
        if level.descriptors <= begun.descriptors || Instant::now() >= deadline {
            return level;
        }
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
        let stats = hub.stats();
        stats.held + stats.ending + stats.hooks_running == 0
    };
    while !is_quiet() && Instant::now() < deadline {
        line.tell_after_a_second(hub, "wait").await;
    }
    sleep(2 * hotel::KEPT_FOR).await;
    is_quiet()
}
