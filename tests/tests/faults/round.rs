//! One round: some faults in all their cells side by side on one server, and what must hold afterwards.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use abeyance::{Disconnect, End, Stats, Transport};
use abeyance_tests::net::{Machine, descriptors, eventually};
use tokio::time::Instant;

use super::HEAP;
use super::axes::{Fault, State};
use super::book::Told;
use super::ground::Ground;
use super::report::Noticed;
use super::table::{Cell, Outcome, cells};
use super::visit::{Visit, Way};
use super::ward::{Rules, Ward};

/// Some faults, on one server before its shutdown and on another during it.
pub(crate) struct Round<'a> {
    pub(crate) faults: &'a [Fault],
    pub(crate) rules: Rules,
    pub(crate) ground: &'a Ground,
}

/// How long a round may take; only a failing one does.
const LATEST: Duration = Duration::from_secs(30);

/// How often it is looked at who has ended.
const LOOK: Duration = Duration::from_millis(10);

/// What may be left of the heap: less than half of what had waited for a single peer. The list of the last ends is among it,
/// and what hash tables, hyper and tokio keep for whoever comes next.
const LEFT: usize = super::ward::MUCH / 2;

/// What may be left of each of some turns after the second, for all of their cells together: less than a hundred bytes for each.
const LEFT_BY_TURNS: usize = 16 << 10;

impl Round<'_> {
    /// All states but the last.
    pub(crate) fn before_a_shutdown(&self) -> Vec<Noticed> {
        let (site, ward) = Ward::open(self.rules, self.ground);
        let heap = HEAP.current_usage();
        let noticed = self.turn(&ward);
        let grown = HEAP.current_usage().saturating_sub(heap);
        assert!(grown <= LEFT, "{grown} bytes are left of the heap");
        site.until_quiet();
        noticed
    }

    /// All states but the last, several times on one server, which has what it needs for all of them after the first.
    pub(crate) fn again_and_again(&self) {
        let (site, ward) = Ward::open(self.rules, self.ground);
        let heap = [(); 4].map(|()| {
            self.turn(&ward);
            ward.book.clear();
            HEAP.current_usage()
        });
        assert!(heap[3] <= heap[1] + LEFT_BY_TURNS, "after each turn the heap has {heap:?} bytes");
        site.until_quiet();
    }

    fn turn(&self, ward: &Ward) -> Vec<Noticed> {
        let (open, before) = (descriptors(), ward.hub.stats());
        let mut visits = self.enter(ward, |state| state != State::Draining);
        let noticed = self.judge(ward, &mut visits, &before);
        leave(ward, visits);
        eventually("the descriptors of before", || descriptors() == open);
        noticed
    }

    /// The last one.
    pub(crate) fn during_a_shutdown(&self) -> Vec<Noticed> {
        let (site, ward) = Ward::open(self.rules, self.ground);
        let (open, before) = (descriptors(), ward.hub.stats());
        let mut visits = self.enter(&ward, |state| state == State::Draining);
        let noticed = site.stop_beside(|| {
            // A shutdown may take its time to begin the ends. From here on they have begun.
            eventually("the beginning of all ends", || ward.hub.held_count() == 0);
            let noticed = self.judge(&ward, &mut visits, &before);
            leave(&ward, visits);
            noticed
        });
        // The server has closed its listener and its runtime, too.
        eventually("no more descriptors than before", || descriptors() < open);
        noticed
    }

    /// Has everybody come, into their states.
    fn enter(&self, ward: &Ward, is_wanted: impl Fn(State) -> bool) -> Vec<Visit> {
        let mut visits = Vec::new();
        for cell in cells(self.faults).into_iter().filter(|cell| is_wanted(cell.state)) {
            let ways = match cell.outcome {
                Outcome::Ends(_) => &[Way::Fin][..],
                Outcome::Stays => &[Way::Fin, Way::Reset],
            };
            visits.extend(ways.iter().map(|way| Visit::enter(ward, self.ground, cell, *way)));
        }
        let has_much = |visit: &&Visit| match visit.cell.state {
            State::Pending => true,
            State::Draining => visit.cell.transport != Transport::LongPoll,
            _ => false,
        };
        assert_eq!(ward.publish_much(), visits.iter().filter(has_much).count());
        visits
    }

    /// Has everything go wrong, and waits for what comes of it.
    fn judge(&self, ward: &Ward, visits: &mut [Visit], before: &Stats) -> Vec<Noticed> {
        let machine = Machine::default();
        let vanishing = visits.iter_mut().filter(|visit| visit.cell.fault == Fault::BlackHole);
        let hosts: Vec<_> = vanishing
            .map(|visit| {
                visit.last_word();
                visit.host
            })
            .collect();
        // The moment before: `ip` takes some milliseconds.
        let begun = Instant::now();
        self.ground.vanish(&hosts);
        visits.iter_mut().for_each(|visit| visit.go_wrong(ward));

        let mut stages = vec![Stage::Wrong; visits.len()];
        let mut unlawful = None;
        while !stages.iter().all(Stage::is_done) && begun.elapsed() < LATEST {
            machine.rest(LOOK);
            // Nobody is read while a hook runs: garbage is found when it is over, and all others do not wait for that.
            let waits = |(visit, stage): (&Visit, &Stage)| stage.is_done() || is_unread(visit.cell);
            if visits.iter().zip(&stages).all(waits) {
                ward.open_gate();
            }
            for (visit, stage) in visits.iter_mut().zip(&mut stages) {
                visit.tend();
                *stage = self.look(ward, visit, *stage, begun);
            }
            let stats = ward.hub.stats();
            unlawful = unlawful.or_else(|| (!stats.is_lawful()).then_some(stats));
        }
        let mut faults: Vec<_> = unlawful.into_iter().map(|stats| format!("not lawful: {stats:?}")).collect();

        // Whether its client has let go or not. An end is in the books a moment after its hook was told.
        let is_quiet = || {
            let stats = ward.hub.stats();
            stats.held + stats.ending + stats.hooks_running == 0
        };
        let mut attached = self.ground.attached(ward.addr);
        while (visits.iter().any(|visit| attached.contains(&IpAddr::V4(visit.host))) || !is_quiet())
            && begun.elapsed() < LATEST
        {
            machine.rest(LOOK * 5);
            attached = self.ground.attached(ward.addr);
        }
        let mut causes: BTreeMap<_, _> = before.ended.iter().copied().collect();
        let mut noticed = Vec::new();
        for (visit, stage) in visits.iter().zip(stages) {
            let page = ward.page(visit.host);
            let cell = visit.cell;
            for told in &page.ends {
                *causes.entry(told.end.as_str()).or_default() += 1;
            }
            let ends: Vec<_> = page.ends.iter().map(|told| told.end.as_str()).collect();
            let after = page.ends.first().map(|told| told.at - begun);
            let is_expected = match (cell.outcome, visit.way, stage) {
                (outcome @ Outcome::Ends(_), ..) => ends.len() == 1 && outcome.allows(ends[0]),
                (Outcome::Stays, Way::Fin, Stage::Over) => ends == ["gone"],
                (Outcome::Stays, Way::Reset, Stage::Over) => ends == ["reset"],
                (Outcome::Stays, ..) => false,
            };
            if !is_expected {
                let way = visit.way;
                faults.push(format!("{cell}: {:?}, but {ends:?} after {after:?} ({way:?})", cell.outcome));
            }
            if let (true, [told], Some(after)) = (is_expected, &page.ends[..], after) {
                let doubt = self.doubt(visit, told, after, machine.all_stalls());
                faults.extend(doubt.map(|doubt| format!("{cell}: {doubt}")));
            }
            if attached.contains(&IpAddr::V4(visit.host)) {
                faults.push(format!("{cell}: the server has a descriptor for it"));
            }
            noticed.extend(after.map(|after| Noticed { cell, after }));
        }
        let stats = ward.hub.stats();
        let counted: BTreeMap<_, _> = stats.ended.iter().copied().collect();
        if counted != causes
            || stats.suspended != before.suspended + visits.len() as u64
            || stats.held + stats.ending > 0
        {
            faults.push(format!("the hooks were told {causes:?}, the books say {stats:?}"));
        }
        if (stats.waiting, stats.hooks_running, stats.hooks_failed) != (0, 0, 0) {
            faults.push(format!("something is left: {stats:?}"));
        }
        assert!(faults.is_empty(), "of {} cells:\n{}", visits.len(), faults.join("\n"));
        noticed
    }

    /// What has become of one visit.
    fn look(&self, ward: &Ward, visit: &mut Visit, stage: Stage, begun: Instant) -> Stage {
        if !ward.page(visit.host).ends.is_empty() {
            return match (visit.cell.outcome, stage) {
                // Ended, and should not have been.
                (Outcome::Stays, Stage::Wrong) => Stage::Never,
                (_, Stage::Never) => Stage::Never,
                _ => Stage::Over,
            };
        }
        // What ends a hold at once has come before its client leaves, on the same connection. A clock takes longer.
        let is_proven = self.rules.heartbeat.is_none() || begun.elapsed() >= self.rules.max_idle * 2;
        if visit.cell.outcome == Outcome::Stays && stage == Stage::Wrong && is_proven {
            visit.leave();
            return Stage::Left;
        }
        stage
    }

    /// What is wrong with how one client's hold ended, though the cause is right.
    fn doubt(&self, visit: &Visit, told: &Told, after: Duration, stalls: Duration) -> Option<String> {
        let Cell { fault, transport, state, .. } = visit.cell;
        let Told { end, ended, at } = told;
        let bound = self.rules.max_idle + Duration::from_secs(1) + stalls;
        if fault == Fault::BlackHole && after > bound {
            return Some(format!("noticed after {after:?}, and might be after {bound:?}"));
        }
        let spoke = visit.spoke.filter(|_| *end == Disconnect::Idle.into());
        if let Some(silence) = spoke.map(|spoke| *at - spoke).filter(|span| *span < self.rules.max_idle) {
            return Some(format!("it had been silent for no longer than {silence:?}"));
        }
        if *end == Disconnect::Stalled.into() && ended.held_for() < self.rules.write_timeout {
            return Some(format!("stalled before the write deadline: {ended:?}"));
        }
        // What was published to it is one message, written or not.
        let is_counted = state != State::Pending || ended.messages_out() + ended.undelivered() == 1;
        let is_true = match end {
            End::Disconnect(Disconnect::Gone | Disconnect::Reset | Disconnect::Stalled) => {
                !ended.is_delivered()
            }
            End::Resume(_) if state == State::Draining => {
                ended.is_delivered() == (fault.reads_on(state) || transport == Transport::LongPoll)
            }
            _ => true,
        };
        if !is_counted || !is_true {
            return Some(format!("{ended:?}"));
        }
        None
    }
}

/// Everybody goes. Whoever read to the end had what the server says it wrote, and saw a FIN there.
fn leave(ward: &Ward, visits: Vec<Visit>) {
    for visit in visits {
        let (cell, host) = (visit.cell, visit.host);
        let Some((read, is_fin)) = visit.go() else { continue };
        let written = ward.page(host).ends[0].ended.bytes_out();
        assert!(read == written && is_fin, "{cell}: {read} read of {written}, FIN: {is_fin}");
    }
}

/// How far it has got with one visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It went wrong.
    Wrong,
    /// It stayed, and has left now.
    Left,
    /// It was ended as it should be.
    Over,
    /// It was ended, and should not have been.
    Never,
}

impl Stage {
    fn is_done(&self) -> bool {
        matches!(self, Stage::Over | Stage::Never)
    }
}

/// Whether what its client sent is not read before a hook is over.
fn is_unread(cell: Cell) -> bool {
    cell.fault == Fault::Garbage && matches!(cell.state, State::Opening | State::Hearing)
}
