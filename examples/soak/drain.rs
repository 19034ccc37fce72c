//! The shutdown: the server drains while clients are held, and both sides report what they saw.

use std::sync::Arc;
use std::time::Duration;

use abeyance::{DrainReport, ServerHandle};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::application::{CLOSE_TIMEOUT, Counts};
use super::comparison::{self, Comparison};
use super::options::Options;
use super::process::Child;
use super::progress::Progress;
use super::stall_meter::StallMeter;

/// For how many seconds clients connect before the drain. Each starts within the first two.
const FILL: u64 = 4;

/// After a longer stall of one process, late ends are reported, but are no failure: the machine caused them. An ending
/// takes a few turns of tasks, and each turn may be as late as this.
const LONGEST_STALL: Duration = Duration::from_millis(CLOSE_TIMEOUT.as_millis() as u64 / 3);

/// Of so many holds, some must be of clients that report what they saw, and not all may end at once.
const CROWD: u64 = 100;

/// The ends of the middle half must take at least this long. They have a second at least.
const AT_ONCE: Duration = Duration::from_millis(300);

/// What was measured.
#[derive(Clone, Debug, Default)]
pub(super) struct DrainResult {
    /// How many were held when the drain began.
    held: usize,
    /// How many of them the drain ended, and how many were cut because its time was over.
    drained: u64,
    shutdown: u64,
    /// From the server's report.
    holds_cut: usize,
    connections_cut: usize,
    hooks_unfinished: usize,
    took: Duration,
    /// How long the middle half of the drained holds took to end.
    spread: Duration,
    /// The longest stall of the server, and of the clients.
    stall: Duration,
    clients_stall: Duration,
    comparison: Comparison,
}

/// Starts clients, shuts the server down while they are held, and compares what both sides report.
pub(super) async fn drain(
    server: ServerHandle,
    counts: &Arc<Counts>,
    progress: &mut Progress,
    options: &Options,
) -> DrainResult {
    let hub = server.hub();
    let stall_meter = StallMeter::start();
    let clients = Child::start(server.local_addr(), &Options { is_logged: true, ..*options });
    for _ in 0..FILL {
        progress.print_after_a_second(&hub, "fill").await;
    }
    let held = hub.held_count();
    let closing = counts.clone();
    let shutdown = tokio::spawn(async move {
        let drained = server.shutdown().await;
        closing.close();
        drained
    });
    while !shutdown.is_finished() {
        progress.print_after_a_second(&hub, "drain").await;
    }
    let DrainReport { holds_cut, connections_cut, hooks_unfinished, took, .. } =
        shutdown.await.expect("a shutdown that was not aborted");
    let stall = stall_meter.longest_stall();
    // A client that never sees its end is reported as still connected.
    let answered = spawn_blocking(|| clients.report()).await;
    let (clients_stall, seen) =
        answered.unwrap_or_else(|fault| std::panic::resume_unwind(fault.into_panic()));
    let entries = counts.take_ends();
    let drained_at = entries.iter().filter(|entry| entry.cause == "drained").map(|entry| entry.at).collect();
    let stats = hub.stats();
    DrainResult {
        held,
        drained: stats.ended("drained"),
        shutdown: stats.ended("shutdown"),
        holds_cut,
        connections_cut,
        hooks_unfinished,
        took,
        spread: middle_half(drained_at),
        stall,
        clients_stall,
        comparison: comparison::compare(&entries, &seen),
    }
}

/// From the first quarter to the last.
fn middle_half(mut moments: Vec<Instant>) -> Duration {
    moments.sort();
    let quarter = moments.len() / 4;
    match &moments[quarter..moments.len() - quarter] {
        [first, .., last] => *last - *first,
        _ => Duration::ZERO,
    }
}

impl DrainResult {
    /// Prints the measurements.
    pub(super) fn tell(&self) {
        let DrainResult { held, drained, shutdown, spread, took, connections_cut, comparison, .. } = self;
        println!(
            "drain: {held} were held, {drained} ended by it, half of them within {spread:.1?}, {shutdown} as shutdown; \
             took {took:.1?}, {connections_cut} connections cut at the end"
        );
        let Comparison { witnessed, drained, left, missed, .. } = comparison;
        println!(
            "clients: {witnessed} told how they ended, {drained} of them by the drain ({left} left meanwhile)"
        );
        println!("longest stall: server {:.1?}, clients {:.1?}", self.stall, self.clients_stall);
        if !self.is_server_judged() && self.holds_cut > 0 {
            println!("not judged, since the server stood still: {} holds were cut", self.holds_cut);
        }
        if !self.are_clients_judged()
            && let Some(first) = missed.first()
        {
            println!(
                "not judged, since the machine stood still: {} ends did not arrive; {first}",
                missed.len()
            );
        }
    }

    /// Every check that failed.
    pub(super) fn faults(&self) -> Vec<String> {
        let DrainResult { held, drained, shutdown, holds_cut, spread, comparison, .. } = self;
        let mut faults = Vec::new();
        let mut must = |is_so: bool, fault: String| {
            if !is_so {
                faults.push(fault);
            }
        };
        must(*held > 0, "nothing was held when the drain began".into());
        let cut = format!("{holds_cut} holds were cut by the drain, whose end had not begun");
        must(*holds_cut == 0 || !self.is_server_judged(), cut);
        let shut = format!(
            "{shutdown} ended as shutdown, of whom {} were ending",
            *shutdown as i64 - *holds_cut as i64
        );
        must(*shutdown <= *holds_cut as u64, shut);
        let hooks = self.hooks_unfinished;
        must(hooks == 0, format!("{hooks} end hooks were not finished when the server was"));
        let is_crowd = *drained >= CROWD;
        must(!is_crowd || *spread >= AT_ONCE, format!("half of {drained} were drained within {spread:.1?}"));
        let is_seen = comparison.drained > comparison.left;
        must(!is_crowd || is_seen, "no client that reads on was there for the drain".into());
        let list = |what: &str, list: &[String]| {
            format!("{} {what}: {}", list.len(), list[..list.len().min(3)].join("; "))
        };
        let contradictions =
            list("times the clients saw something else than the server said", &comparison.contradictions);
        must(comparison.contradictions.is_empty(), contradictions);
        let missed = list("ends did not arrive at clients that read on", &comparison.missed);
        must(comparison.missed.is_empty() || !self.are_clients_judged(), missed);
        faults
    }

    fn is_server_judged(&self) -> bool {
        self.stall <= LONGEST_STALL
    }

    fn are_clients_judged(&self) -> bool {
        self.is_server_judged() && self.clients_stall <= LONGEST_STALL
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn clean() -> DrainResult {
        let comparison = Comparison { witnessed: 200, drained: 80, left: 20, ..Comparison::default() };
        let spread = Duration::from_secs(2);
        DrainResult { held: 500, drained: 300, spread, comparison, ..DrainResult::default() }
    }

    #[test]
    fn a_drain_in_good_order_is_clean() {
        assert_eq!(clean().faults(), [""; 0]);
        let few = Comparison::default();
        let alone = DrainResult { held: 1, drained: 1, spread: Duration::ZERO, comparison: few, ..clean() };
        assert_eq!(alone.faults(), [""; 0]);
        // Connections that their clients do not close are cut at the end of the drain.
        assert_eq!(DrainResult { connections_cut: 9, ..clean() }.faults(), [""; 0]);
    }

    #[test]
    fn each_failed_check_of_a_drain_is_reported_alone() {
        let with = |change: fn(&mut Comparison)| {
            let mut drain_result = clean();
            change(&mut drain_result.comparison);
            drain_result
        };
        let drain_results = [
            (DrainResult { held: 0, ..clean() }, "nothing was held"),
            (DrainResult { holds_cut: 2, shutdown: 2, ..clean() }, "2 holds were cut"),
            (DrainResult { shutdown: 3, ..clean() }, "of whom 3 were ending"),
            (DrainResult { hooks_unfinished: 1, ..clean() }, "1 end hooks were not finished"),
            (DrainResult { spread: Duration::from_millis(3), ..clean() }, "within 3.0ms"),
            (with(|comparison| comparison.left = 80), "no client that reads on"),
            (with(|comparison| comparison.contradictions.push("a lie".into())), "said: a lie"),
            (with(|comparison| comparison.missed.push("a miss".into())), "did not arrive"),
        ];
        for (drain_result, told) in drain_results {
            let faults = drain_result.faults();
            assert!(faults.len() == 1 && faults[0].contains(told), "{faults:?}");
        }
    }

    #[test]
    fn what_is_late_because_of_a_stall_is_no_failure() {
        let (stall, clients_stall) = (2 * LONGEST_STALL, 2 * LONGEST_STALL);
        assert_eq!(DrainResult { holds_cut: 2, shutdown: 2, stall, ..clean() }.faults(), [""; 0]);
        let mut drain_result = clean();
        drain_result.comparison.missed.push("a miss".into());
        assert_eq!(DrainResult { clients_stall, ..drain_result.clone() }.faults(), [""; 0]);
        assert_eq!(DrainResult { stall, ..drain_result.clone() }.faults(), [""; 0]);
        drain_result.comparison.contradictions.push("a lie".into());
        assert_eq!(
            DrainResult { stall, clients_stall, ..drain_result }.faults().len(),
            1,
            "a contradiction is a failure in any case"
        );
    }
}
