//! A server on a TCP socket with a runtime of its own, so that tests may block.

use std::net::{SocketAddr, TcpListener};
use std::thread::park_timeout;
use std::time::Duration;

use abeyance::{DrainReport, Hub, Server, ServerHandle};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use super::{HookRecorder, TEST_TIMEOUT};

/// A running server, on 127.0.0.1 unless a listener is given.
#[derive(Debug)]
pub struct TcpTestServer {
    running: Option<ServerHandle>,
    runtime: Runtime,
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its holds.
    pub hub: Hub,
}

impl TcpTestServer {
    /// Starts it.
    pub fn start(server: Server) -> Self {
        TcpTestServer::start_with(server, 2)
    }

    /// Starts it with so many threads.
    pub fn start_with(server: Server, threads: usize) -> Self {
        TcpTestServer::run(server, TcpListener::bind("127.0.0.1:0").expect("a port"), threads)
    }

    /// Starts it on a socket that listens already, perhaps in another network namespace.
    pub fn serve(server: Server, listener: TcpListener) -> Self {
        TcpTestServer::run(server, listener, 2)
    }

    fn run(server: Server, listener: TcpListener, threads: usize) -> Self {
        let runtime =
            Builder::new_multi_thread().worker_threads(threads).enable_all().build().expect("a runtime");
        let running = runtime.block_on(async { server.serve(listener) }).expect("a server");
        TcpTestServer { addr: running.local_addr(), hub: running.hub(), running: Some(running), runtime }
    }

    /// Its address with a path, for programs that take a URL.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Waits until there are `count` holds.
    pub fn until_held(&self, count: usize) {
        eventually(&format!("{count} holds"), || self.hub.held_count() == count);
    }

    /// Waits until nothing is held and nothing is ending.
    pub fn until_quiet(&self) {
        eventually("no hold and no ending", || {
            let stats = self.hub.stats();
            stats.held == 0 && stats.ending == 0
        });
    }

    /// Waits until nothing is held or ending, and fails unless one end hook ran for each hold that there was. The context
    /// of each endpoint must record its calls in `hooks`.
    #[track_caller]
    pub fn until_all_ended(&self, hooks: &HookRecorder) {
        self.until_quiet();
        hooks.assert_ends(self.hub.stats().suspended);
    }

    /// Shuts it down, as a signal would.
    pub fn stop(mut self) -> DrainReport {
        let running = self.running.take().expect("stopped once: `stop` takes it by value");
        self.runtime.block_on(running.shutdown())
    }

    /// Shuts it down while `meanwhile` runs.
    pub fn stop_beside<T>(mut self, meanwhile: impl FnOnce() -> T) -> T {
        let running = self.running.take().expect("stopped once: `stop_beside` takes it by value");
        let stopping = self.runtime.spawn(running.shutdown());
        let outcome = meanwhile();
        self.runtime.block_on(stopping).expect("a shutdown");
        outcome
    }
}

/// Waits until `is_so` returns true.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < TEST_TIMEOUT, "waited in vain for: {what}");
        park_timeout(Duration::from_millis(2));
    }
}

/// How many descriptors this process has open.
pub fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("procfs").count()
}
