//! How long the machine did not let this process run, and how much memory the process has.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::park_timeout;
use std::time::Duration;

use tokio::time::Instant;

/// By how much sleeps were too long, in microseconds.
#[derive(Debug, Default)]
pub struct Machine {
    longest: AtomicU64,
    all: AtomicU64,
}

impl Machine {
    /// Sleeps for `span` at least, and records how much longer it was.
    pub fn rest(&self, span: Duration) {
        let begun = Instant::now();
        while let Some(left) = span.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
            park_timeout(left);
        }
        let stall = (begun.elapsed() - span).as_micros() as u64;
        self.longest.fetch_max(stall, Relaxed);
        self.all.fetch_add(stall, Relaxed);
    }

    /// The longest single stall.
    pub fn longest_stall(&self) -> Duration {
        Duration::from_micros(self.longest.load(Relaxed))
    }

    /// All stalls together: for one thread, how long the machine did not let it run.
    pub fn all_stalls(&self) -> Duration {
        Duration::from_micros(self.all.load(Relaxed))
    }
}

/// The resident memory of this process, in bytes; 0 where it is unknown.
pub fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
    kilobytes.map_or(0, |kilobytes| kilobytes.parse::<usize>().expect("a number") << 10)
}
