//! The line that is printed each second.

use std::sync::Arc;
use std::time::Duration;

use abeyance::Hub;
use tokio::time::{Instant, sleep};

use super::application::Counts;
use super::process::Usage;

/// Prints the state of the server.
pub(super) struct Progress {
    counts: Arc<Counts>,
    begun: Instant,
    suspended: u64,
}

impl Progress {
    pub(super) fn new(counts: Arc<Counts>) -> Self {
        Progress { counts, begun: Instant::now(), suspended: 0 }
    }

    pub(super) async fn print_after_a_second(&mut self, hub: &Hub, stage: &str) {
        sleep(Duration::from_secs(1)).await;
        let (stats, usage) = (hub.stats(), Usage::now());
        let came = stats.suspended - std::mem::replace(&mut self.suspended, stats.suspended);
        println!(
            "{:4.0?} s {stage} | held {:5} (+{came}) ending {:4} | resident {} heap {} waiting {} | descriptors {} | late {:.1?} | {}",
            self.begun.elapsed().as_secs(),
            stats.held,
            stats.ending,
            usage.resident.map_or("?".into(), mib),
            mib(usage.heap),
            mib(stats.waiting),
            usage.descriptors.map_or("?".into(), |count| count.to_string()),
            self.counts.lateness.recent(),
            ends(hub),
        );
    }
}

/// How many ended, by cause.
pub(super) fn ends(hub: &Hub) -> String {
    let ended = hub.stats().ended;
    ended.iter().map(|(cause, count)| format!("{cause} {count}")).collect::<Vec<_>>().join(", ")
}

pub(super) fn mib(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
