//! One round: some faults in all their cells side by side on one server, and what must hold afterwards.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use abeyance::{Disconnect, End, Stats, Transport};
use abeyance_tests::net::{Machine, descriptors, eventually};
use tokio::time::Instant;

use super::HEAP;
use super::application::{Application, Timeouts};
use super::axes::{Fault, State};
use super::client_log::EndCall;
use super::faulty_client::{FaultyClient, Way};
use super::host_network::HostNetwork;
use super::report::Noticed;
use super::table::{Cell, Outcome, cells};

/// Some faults, on one server before its shutdown and on another during it.
pub(crate) struct Round<'a> {
    pub(crate) faults: &'a [Fault],
    pub(crate) timeouts: Timeouts,
    pub(crate) hosts: &'a HostNetwork,
}

/// How long a round may take; only a failing one does.
const LATEST: Duration = Duration::from_secs(30);

/// How often the round checks which holds have ended.
const LOOK: Duration = Duration::from_millis(10);

/// How much the heap may grow: less than half of what had waited for a single peer. It includes the log of ends, and what
/// hash tables, hyper and tokio keep allocated.
const LEFT: usize = super::application::MUCH / 2;

/// How much the heap may grow in all turns after the second together: less than a hundred bytes for each cell.
const LEFT_BY_TURNS: usize = 16 << 10;

impl Round<'_> {
    /// All states but the last.
    pub(crate) fn before_a_shutdown(&self) -> Vec<Noticed> {
        let (server, application) = Application::start(self.timeouts, self.hosts);
        let heap = HEAP.current_usage();
        let noticed = self.turn(&application);
        let grown = HEAP.current_usage().saturating_sub(heap);
        assert!(grown <= LEFT, "{grown} bytes are left of the heap");
        server.until_quiet();
        noticed
    }

    /// All states but the last, several times on one server, which has what it needs for all of them after the first.
    pub(crate) fn again_and_again(&self) {
        let (server, application) = Application::start(self.timeouts, self.hosts);
        let heap = [(); 4].map(|()| {
            self.turn(&application);
            application.log.clear();
            HEAP.current_usage()
        });
        assert!(heap[3] <= heap[1] + LEFT_BY_TURNS, "after each turn the heap has {heap:?} bytes");
        server.until_quiet();
    }

    fn turn(&self, application: &Application) -> Vec<Noticed> {
        let (open, before) = (descriptors(), application.hub.stats());
        let mut clients = self.connect_all(application, |state| state != State::Draining);
        let noticed = self.judge(application, &mut clients, &before);
        leave(application, clients);
        eventually("the descriptors of before", || descriptors() == open);
        noticed
    }

    /// The last one.
    pub(crate) fn during_a_shutdown(&self) -> Vec<Noticed> {
        let (server, application) = Application::start(self.timeouts, self.hosts);
        let (open, before) = (descriptors(), application.hub.stats());
        let mut clients = self.connect_all(&application, |state| state == State::Draining);
        let noticed = server.stop_beside(|| {
            // A shutdown may take its time to begin the ends. From here on they have begun.
            eventually("the beginning of all ends", || application.hub.held_count() == 0);
            let noticed = self.judge(&application, &mut clients, &before);
            leave(&application, clients);
            noticed
        });
        // The server has closed its listener and its runtime, too.
        eventually("no more descriptors than before", || descriptors() < open);
        noticed
    }

    /// Connects all clients, and brings each hold into its state.
    fn connect_all(&self, application: &Application, is_wanted: impl Fn(State) -> bool) -> Vec<FaultyClient> {
        let mut clients = Vec::new();
        for cell in cells(self.faults).into_iter().filter(|cell| is_wanted(cell.state)) {
            let ways = match cell.outcome {
                Outcome::Ends(_) => &[Way::Fin][..],
                Outcome::Stays => &[Way::Fin, Way::Reset],
            };
            clients.extend(ways.iter().map(|way| FaultyClient::connect(application, self.hosts, cell, *way)));
        }
        let has_much = |client: &&FaultyClient| match client.cell.state {
            State::Pending => true,
            State::Draining => client.cell.transport != Transport::LongPoll,
            _ => false,
        };
        assert_eq!(application.publish_much(), clients.iter().filter(has_much).count());
        clients
    }

    /// Makes all faults happen, and waits for the outcome.
    fn judge(&self, application: &Application, clients: &mut [FaultyClient], before: &Stats) -> Vec<Noticed> {
        let machine = Machine::default();
        let vanishing = clients.iter_mut().filter(|client| client.cell.fault == Fault::BlackHole);
        let hosts: Vec<_> = vanishing
            .map(|client| {
                client.last_word();
                client.host
            })
            .collect();
        // The moment before: `ip` takes some milliseconds.
        let begun = Instant::now();
        self.hosts.vanish(&hosts);
        clients.iter_mut().for_each(|client| client.go_wrong(application));

        let mut stages = vec![Stage::Wrong; clients.len()];
        while !stages.iter().all(Stage::is_done) && begun.elapsed() < LATEST {
            machine.rest(LOOK);
            // A peer is not read while its hook runs, so garbage is found only after the hook. The other cells do not wait.
            let waits = |(client, stage): (&FaultyClient, &Stage)| stage.is_done() || is_unread(client.cell);
            if clients.iter().zip(&stages).all(waits) {
                application.open_gate();
            }
            for (client, stage) in clients.iter_mut().zip(&mut stages) {
                client.tend();
                *stage = self.look(application, client, *stage, begun);
            }
        }
        let mut faults = Vec::new();

        // The descriptors go even if the client keeps its own. A hold counts as ended a moment after its end hook was called.
        let is_quiet = || {
            let stats = application.hub.stats();
            stats.held + stats.ending + stats.hooks_running == 0
        };
        let mut attached = self.hosts.attached(application.addr);
        while (clients.iter().any(|client| attached.contains(&IpAddr::V4(client.host))) || !is_quiet())
            && begun.elapsed() < LATEST
        {
            machine.rest(LOOK * 5);
            attached = self.hosts.attached(application.addr);
        }
        let mut causes: BTreeMap<_, _> = before.ended.iter().copied().collect();
        let mut noticed = Vec::new();
        for (client, stage) in clients.iter().zip(stages) {
            let calls = application.calls(client.host);
            let cell = client.cell;
            for call in &calls.ends {
                *causes.entry(call.end.as_str()).or_default() += 1;
            }
            let ends: Vec<_> = calls.ends.iter().map(|call| call.end.as_str()).collect();
            let after = calls.ends.first().map(|call| call.at - begun);
            let is_expected = match (cell.outcome, client.way, stage) {
                (outcome @ Outcome::Ends(_), ..) => ends.len() == 1 && outcome.allows(ends[0]),
                (Outcome::Stays, Way::Fin, Stage::Over) => ends == ["gone"],
                (Outcome::Stays, Way::Reset, Stage::Over) => ends == ["reset"],
                (Outcome::Stays, ..) => false,
            };
            if !is_expected {
                let way = client.way;
                faults.push(format!("{cell}: {:?}, but {ends:?} after {after:?} ({way:?})", cell.outcome));
            }
            if let (true, [call], Some(after)) = (is_expected, &calls.ends[..], after) {
                let doubt = self.doubt(client, call, after, machine.all_stalls());
                faults.extend(doubt.map(|doubt| format!("{cell}: {doubt}")));
            }
            if attached.contains(&IpAddr::V4(client.host)) {
                faults.push(format!("{cell}: the server has a descriptor for it"));
            }
            noticed.extend(after.map(|after| Noticed { cell, after }));
        }
        let stats = application.hub.stats();
        let counted: BTreeMap<_, _> = stats.ended.iter().copied().collect();
        if counted != causes
            || stats.suspended != before.suspended + clients.len() as u64
            || stats.held + stats.ending > 0
        {
            faults.push(format!("the hooks ran with {causes:?}, the server counts {stats:?}"));
        }
        if (stats.waiting, stats.hooks_running, stats.hooks_failed) != (0, 0, 0) {
            faults.push(format!("something is left: {stats:?}"));
        }
        assert!(faults.is_empty(), "of {} cells:\n{}", clients.len(), faults.join("\n"));
        noticed
    }

    /// The stage of one client.
    fn look(
        &self,
        application: &Application,
        client: &mut FaultyClient,
        stage: Stage,
        begun: Instant,
    ) -> Stage {
        if !application.calls(client.host).ends.is_empty() {
            return match (client.cell.outcome, stage) {
                // Ended, and should not have been.
                (Outcome::Stays, Stage::Wrong) => Stage::Never,
                (_, Stage::Never) => Stage::Never,
                _ => Stage::Over,
            };
        }
        // What ends a hold at once has come before its client leaves, on the same connection. A clock takes longer.
        let is_proven = self.timeouts.heartbeat.is_none() || begun.elapsed() >= self.timeouts.max_idle * 2;
        if client.cell.outcome == Outcome::Stays && stage == Stage::Wrong && is_proven {
            client.leave();
            return Stage::Left;
        }
        stage
    }

    /// What is wrong with how one client's hold ended, though the cause is right.
    fn doubt(
        &self,
        client: &FaultyClient,
        call: &EndCall,
        after: Duration,
        stalls: Duration,
    ) -> Option<String> {
        let Cell { fault, transport, state, .. } = client.cell;
        let EndCall { end, ended, at } = call;
        let bound = self.timeouts.max_idle + Duration::from_secs(1) + stalls;
        if fault == Fault::BlackHole && after > bound {
            return Some(format!("noticed after {after:?}, and might be after {bound:?}"));
        }
        let spoke = client.spoke.filter(|_| *end == Disconnect::Idle.into());
        if let Some(silence) = spoke.map(|spoke| *at - spoke).filter(|span| *span < self.timeouts.max_idle) {
            return Some(format!("it had been silent for no longer than {silence:?}"));
        }
        if *end == Disconnect::Stalled.into() && ended.held_for() < self.timeouts.write_timeout {
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

/// Drops all clients. One that read to the end must have got all bytes that the server counted, and a FIN.
fn leave(application: &Application, clients: Vec<FaultyClient>) {
    for client in clients {
        let (cell, host) = (client.cell, client.host);
        let Some((read, is_fin)) = client.go() else { continue };
        let written = application.calls(host).ends[0].ended.bytes_out();
        assert!(read == written && is_fin, "{cell}: {read} read of {written}, FIN: {is_fin}");
    }
}

/// How far the round is with one client.
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
    cell.fault == Fault::Garbage && matches!(cell.state, State::Opening | State::OnMessage)
}
