//! The contracts of a hold, written once and instantiated for every transport, over memory and with paused time.
#![expect(
    clippy::unwrap_used,
    reason = "the contracts are tests, though the attribute stands on their instances"
)]

/// Instantiates a contract for each transport that it binds.
macro_rules! contract {
    ($name:ident of all) => {
        contract!($name of websocket WebSocket, sse Sse, stream Stream, long_poll LongPoll);
    };
    // Those that last longer than one message.
    ($name:ident of lasting) => {
        contract!($name of websocket WebSocket, sse Sse, stream Stream);
    };
    // Those whose kernel answers for the peer.
    ($name:ident of http) => {
        contract!($name of sse Sse, stream Stream, long_poll LongPoll);
    };
    // Those whose peer speaks by `POST`.
    ($name:ident of streams) => {
        contract!($name of sse Sse, stream Stream);
    };
    ($name:ident of $($case:ident $transport:ident),+) => {
        mod $name {
            $(
                #[tokio::test(start_paused = true)]
                async fn $case() {
                    super::$name(abeyance::Transport::$transport).await;
                }
            )+
        }
    };
}

mod beginning;
mod blocked;
mod chaos;
mod cleanup;
mod clocks;
mod drain;
mod endings;
mod failures;
mod fairness;
mod finishing;
mod histories;
mod http;
mod inbound;
mod introductions;
mod keys;
mod leaving;
mod limits;
mod nuisances;
mod past;
mod reaching;
mod refusals;
mod replay;
mod schedule;
mod shutdown;
mod stalls;
mod stay_away;
mod vanishing;
mod when_slow;

use std::time::Duration;

/// Whole seconds.
const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// How late a clock may be.
const LATE: Duration = Duration::from_millis(100);
