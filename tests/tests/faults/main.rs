//! The fault matrix: for each fault of a peer, on each transport and in each state of its hold, the hold ends once, for
//! the right cause, and nothing is left of it. `table.rs` says what is expected.
//!
//! All cells of a round run side by side on real sockets, each with a client at an address of its own. Each cell checks
//! that one end hook ran, and that the server has no descriptor left for the client, even if the client still has its own.
//! Each round checks the descriptors of the whole process and the bytes that wait in memory.
//!
//! Peers vanish for real, between two network namespaces, which need root.

mod application; // the server
mod axes; // what goes wrong, and when
mod client_log; // the hook calls of each client
mod faulty_client; // one client in one cell
mod host_network; // the addresses of the clients
mod report; // how long it took to notice that a peer had vanished
mod round; // some faults, on one server
mod table; // what is expected
mod vanishing; // what vanishing is, and third-party clients

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use abeyance_tests::net::{Network, skipped};
use peak_alloc::PeakAlloc;

use application::Timeouts;
use axes::Fault;
use host_network::HostNetwork;
use round::Round;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Descriptors and memory are counted for the whole process, so the tests run one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A network whose hosts can vanish, where we may make one.
fn network() -> Option<Network> {
    let network = Network::new();
    if let Err(error) = &network {
        skipped(&format!("needs CAP_NET_ADMIN: {error}"));
    }
    network.ok()
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// What a peer does is noticed without a timeout, so all timeouts are long.
const FAR: Timeouts = Timeouts {
    max_idle: seconds(7200),
    heartbeat: None,
    write_timeout: seconds(3600),
    close_timeout: seconds(4),
};

/// A peer that does not read differs from one that has vanished: its kernel answers, though ever more rarely. Between the
/// fifth and the sixth answer to a closed window more time than `max_idle` passes, before `write_timeout` does.
const NEAR: Timeouts = Timeouts {
    max_idle: seconds(3),
    heartbeat: Some(seconds(1)),
    write_timeout: seconds(7),
    close_timeout: seconds(1),
};

/// A peer that has vanished is noticed by `max_idle`, long before the write deadline.
const VANISHING: Timeouts = Timeouts {
    max_idle: seconds(3),
    heartbeat: Some(seconds(1)),
    write_timeout: seconds(20),
    close_timeout: seconds(2),
};

#[test]
fn what_a_peer_does_of_itself_ends_its_hold_for_the_true_cause_or_does_not_end_it() {
    let _alone = alone();
    let faults = [
        Fault::Fin,
        Fault::Reset,
        Fault::StrayByte,
        Fault::PipelinedRequest,
        Fault::Garbage,
        Fault::HalfClose,
        Fault::CloseIgnored,
    ];
    let round = Round { faults: &faults, timeouts: FAR, hosts: &HostNetwork::Loopback };
    round.before_a_shutdown();
    round.during_a_shutdown();
}

#[test]
fn the_same_faults_again_leave_no_more_memory_behind() {
    let _alone = alone();
    Round { faults: &[Fault::Fin, Fault::Reset], timeouts: FAR, hosts: &HostNetwork::Loopback }
        .again_and_again();
}

#[test]
fn a_peer_that_does_not_read_is_stalled_when_something_waits_for_it_and_held_when_nothing_does() {
    let _alone = alone();
    let faults = [Fault::ZeroWindow, Fault::OneByteASecond];
    let round = Round { faults: &faults, timeouts: NEAR, hosts: &HostNetwork::Loopback };
    let noticed = round.before_a_shutdown();
    faults.iter().for_each(|fault| report::print(*fault, &noticed));
    round.during_a_shutdown();
}

#[test]
fn a_peer_that_has_vanished_is_noticed_in_time_in_every_state() {
    let _alone = alone();
    let Some(network) = network() else { return };
    let round = Round {
        faults: &[Fault::BlackHole],
        timeouts: VANISHING,
        hosts: &HostNetwork::Network(Box::new(network)),
    };
    let before = round.before_a_shutdown();
    let during = round.during_a_shutdown();
    report::print(Fault::BlackHole, &before.into_iter().chain(during).collect::<Vec<_>>());
}
