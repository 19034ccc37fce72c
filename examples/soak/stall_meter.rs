//! For how long this process stalled: what is late because of a stall is not the server's fault.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const BEAT: Duration = Duration::from_millis(10);

/// A task that wakes up every 10 ms, and records by how much it was late at most.
pub(super) struct StallMeter {
    /// In microseconds.
    longest: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl StallMeter {
    pub(super) fn start() -> Self {
        let longest = Arc::new(AtomicU64::new(0));
        let note = longest.clone();
        let task = tokio::spawn(async move {
            loop {
                let before = Instant::now();
                sleep(BEAT).await;
                note.fetch_max(before.elapsed().saturating_sub(BEAT).as_micros() as u64, Relaxed);
            }
        });
        StallMeter { longest, task }
    }

    /// The longest stall since the start.
    pub(super) fn longest_stall(&self) -> Duration {
        Duration::from_micros(self.longest.load(Relaxed))
    }
}

impl Drop for StallMeter {
    fn drop(&mut self) {
        self.task.abort();
    }
}
