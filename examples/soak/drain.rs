//! The end of it: the server is shut down in good order while a crowd is there, and both sides say what they saw.

use std::sync::Arc;
use std::time::Duration;

use abeyance::{DrainReport, ServerHandle};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::hotel::{CLOSE_TIMEOUT, Counts};
use super::line::Line;
use super::options::Options;
use super::process::Child;
use super::pulse::Pulse;
use super::register::{self, Compared};

/// How many seconds the crowd has to come. Each client draws its first moment within two.
const FILL: u64 = 4;

/// If one side stood still for longer, what was late because of that is told, and not judged: it is the machine's doing.
/// An ending takes a few turns of tasks, and each may come as late as this.
const LONGEST_STOP: Duration = Duration::from_millis(CLOSE_TIMEOUT.as_millis() as u64 / 3);

/// Of so many, some must be clients that tell what they saw, and not all may end at once.
const CROWD: u64 = 100;

/// What "at once" is, for the middle half of a crowd: it has a second at least.
const AT_ONCE: Duration = Duration::from_millis(300);

/// What was measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Departure {
    /// How many were held when it began.
    held: usize,
    /// How many of them the drain ended, and how many were cut because its time was over.
    drained: u64,
    shutdown: u64,
    /// What the server says of it.
    holds_cut: usize,
    connections_cut: usize,
    hooks_unfinished: usize,
    took: Duration,
    /// The time in which the middle half of those that the drain ended had their ends.
    spread: Duration,
    /// For how long at most the server stood still, and the clients.
    stop: Duration,
    their_stop: Duration,
    compared: Compared,
}

/// Lets a crowd come, shuts the server down among it, and hears both sides.
pub(super) async fn drain(
    server: ServerHandle,
    counts: &Arc<Counts>,
    line: &mut Line,
    options: &Options,
) -> Departure {
    let hub = server.hub();
    let pulse = Pulse::start();
    let clients = Child::start(server.local_addr(), &Options { is_diary_kept: true, ..*options });
    for _ in 0..FILL {
        line.tell_after_a_second(&hub, "fill").await;
    }
    let held = hub.held_count();
    let closing = counts.clone();
    let shutdown = tokio::spawn(async move {
        let drained = server.shutdown().await;
        closing.close();
        drained
    });
    while !shutdown.is_finished() {
        line.tell_after_a_second(&hub, "drain").await;
    }
    let DrainReport { holds_cut, connections_cut, hooks_unfinished, took, .. } =
        shutdown.await.expect("a shutdown that was not aborted");
    let stop = pulse.longest_stop();
    // They find it out by themselves; whoever does not was forgotten.
    let heard = spawn_blocking(|| clients.hear()).await;
    let (their_stop, seen) = heard.unwrap_or_else(|fault| std::panic::resume_unwind(fault.into_panic()));
    let entries = counts.take_register();
    let drained_at = entries.iter().filter(|entry| entry.cause == "drained").map(|entry| entry.at).collect();
    let stats = hub.stats();
    Departure {
        held,
        drained: stats.ended("drained"),
        shutdown: stats.ended("shutdown"),
        holds_cut,
        connections_cut,
        hooks_unfinished,
        took,
        spread: middle_half(drained_at),
        stop,
        their_stop,
        compared: register::compare(&entries, &seen),
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

impl Departure {
    /// Tells how it went.
    pub(super) fn tell(&self) {
        let Departure { held, drained, shutdown, spread, took, connections_cut, compared, .. } = self;
        println!(
            "drain: {held} were held, {drained} ended by it, half of them within {spread:.1?}, {shutdown} as shutdown; \
             took {took:.1?}, {connections_cut} connections cut at the end"
        );
        let Compared { witnessed, drained, left, missed, .. } = compared;
        println!(
            "clients: {witnessed} told how they ended, {drained} of them by the drain ({left} left meanwhile)"
        );
        println!("longest stop: server {:.1?}, clients {:.1?}", self.stop, self.their_stop);
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

    /// Everything that is off.
    pub(super) fn faults(&self) -> Vec<String> {
        let Departure { held, drained, shutdown, holds_cut, spread, compared, .. } = self;
        let mut faults = Vec::new();
        let mut must = |is_so: bool, fault: String| {
            if !is_so {
                faults.push(fault);
            }
        };
        must(*held > 0, "nobody was held when the drain began".into());
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
        let is_seen = compared.drained > compared.left;
        must(!is_crowd || is_seen, "no client that reads on was there for the drain".into());
        let list = |what: &str, list: &[String]| {
            format!("{} {what}: {}", list.len(), list[..list.len().min(3)].join("; "))
        };
        let lies = list("times the clients saw something else than the server said", &compared.lies);
        must(compared.lies.is_empty(), lies);
        let missed = list("ends did not arrive at clients that read on", &compared.missed);
        must(compared.missed.is_empty() || !self.are_clients_judged(), missed);
        faults
    }

    fn is_server_judged(&self) -> bool {
        self.stop <= LONGEST_STOP
    }

    fn are_clients_judged(&self) -> bool {
        self.is_server_judged() && self.their_stop <= LONGEST_STOP
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn clean() -> Departure {
        let compared = Compared { witnessed: 200, drained: 80, left: 20, ..Compared::default() };
        let spread = Duration::from_secs(2);
        Departure { held: 500, drained: 300, spread, compared, ..Departure::default() }
    }

    #[test]
    fn a_drain_in_good_order_is_clean() {
        assert_eq!(clean().faults(), [""; 0]);
        let few = Compared::default();
        let alone = Departure { held: 1, drained: 1, spread: Duration::ZERO, compared: few, ..clean() };
        assert_eq!(alone.faults(), [""; 0]);
        // What it has not done with in the end are connections that do not close.
        assert_eq!(Departure { connections_cut: 9, ..clean() }.faults(), [""; 0]);
    }

    #[test]
    fn each_thing_that_is_off_in_a_drain_is_told() {
        let with = |change: fn(&mut Compared)| {
            let mut departure = clean();
            change(&mut departure.compared);
            departure
        };
        let departures = [
            (Departure { held: 0, ..clean() }, "nobody was held"),
            (Departure { holds_cut: 2, shutdown: 2, ..clean() }, "2 holds were cut"),
            (Departure { shutdown: 3, ..clean() }, "of whom 3 were ending"),
            (Departure { hooks_unfinished: 1, ..clean() }, "1 end hooks were not finished"),
            (Departure { spread: Duration::from_millis(3), ..clean() }, "within 3.0ms"),
            (with(|compared| compared.left = 80), "no client that reads on"),
            (with(|compared| compared.lies.push("a lie".into())), "said: a lie"),
            (with(|compared| compared.missed.push("a miss".into())), "did not arrive"),
        ];
        for (departure, told) in departures {
            let faults = departure.faults();
            assert!(faults.len() == 1 && faults[0].contains(told), "{faults:?}");
        }
    }

    #[test]
    fn what_is_late_because_the_machine_stood_still_is_not_judged() {
        let (stop, their_stop) = (2 * LONGEST_STOP, 2 * LONGEST_STOP);
        assert_eq!(Departure { holds_cut: 2, shutdown: 2, stop, ..clean() }.faults(), [""; 0]);
        let mut departure = clean();
        departure.compared.missed.push("a miss".into());
        assert_eq!(Departure { their_stop, ..departure.clone() }.faults(), [""; 0]);
        assert_eq!(Departure { stop, ..departure.clone() }.faults(), [""; 0]);
        departure.compared.lies.push("a lie".into());
        assert_eq!(Departure { stop, their_stop, ..departure }.faults().len(), 1, "a lie is one at any time");
    }
}
