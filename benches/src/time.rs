//! Time, and what a process has used of it.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The present, by a clock that all processes share.
pub(crate) fn now() -> Duration {
    read(ClockId::CLOCK_MONOTONIC)
}

/// The processor time that all threads of this process have used, in the kernel too.
///
/// It is `getrusage`'s sum of user and system time, in nanoseconds instead of microseconds. On loopback the kernel
/// carries what is written up to the receiving socket, and that is in the writer's time.
pub(crate) fn processor() -> Duration {
    read(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).expect("a clock that every Unix has").into()
}
