//! The fault matrix: whatever goes wrong with a peer, on whatever transport and in whatever state of its hold, the hold
//! ends once, for the right cause, and nothing is left of it. `table.rs` says what is expected.
//!
//! All cells of a round run side by side, each with a client of its own at an address of its own, on real sockets. After
//! each cell the law is judged, and that no descriptor is left for its client, whether the client let go or not. After
//! each round the number of descriptors of the whole process and what waits in memory are as they were.
//!
//! Vanished peers vanish for real: between two networks that the test makes, for which it needs root.

mod application;
mod axes; // what goes wrong, and when
mod client_log; // what the application was call
mod faulty_client; // one client in one cell
mod host_network; // where the clients live
mod report; // how long it took to notice that a peer had vanished
mod round; // some faults, on one server
mod table; // what is expected
mod vanishing; // vanishing as it is meant, and clients that others wrote // the server

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

/// Descriptors and memory are the whole process's, so there is one test at a time.
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

/// What a peer does of itself is noticed without any clock, so none is near.
const FAR: Timeouts = Timeouts {
    max_idle: seconds(7200),
    heartbeat: None,
    write_timeout: seconds(3600),
    close_timeout: seconds(4),
};

/// A peer that does not read is call from one that has vanished: its kernel answers, though ever more rarely. Between its
/// fifth and sixth answer to a closed window more time passes than `max_idle`, before the write deadline comes.
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
