//! How long this process stood still: whoever is late because of that is nobody's fault.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const BEAT: Duration = Duration::from_millis(10);

/// A task that wakes up again and again, and notes the longest time by which it came too late.
pub(super) struct Pulse {
    /// In microseconds.
    longest: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Pulse {
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
        Pulse { longest, task }
    }

    /// The longest stop since it was started.
    pub(super) fn longest_stop(&self) -> Duration {
        Duration::from_micros(self.longest.load(Relaxed))
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.task.abort();
    }
}
