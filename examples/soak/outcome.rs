//! All measurements of a run, and the verdict on them.

use std::process::ExitCode;
use std::time::Duration;

use abeyance::{Audit, Stats};

use super::drain::DrainResult;
use super::lateness::Summary;
use super::process::Usage;
use super::progress::mib;

/// How much the heap may have grown since the warm-up: hash tables keep their capacity.
const HEAP: usize = 1 << 20;

/// How much the heap may have grown from before the server started to after its shutdown: what the runtime keeps.
const LEFT: usize = 256 << 10;

/// How much the resident memory may have grown: the allocator returns whole pages only, and not at once.
const RESIDENT: usize = 16 << 20;

/// What was measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// Before the server started.
    pub(super) begun: Usage,
    /// After the warm-up, with no hold left.
    pub(super) warm: Usage,
    /// After the soak, with no hold left.
    pub(super) quiet: Usage,
    /// After the shutdown.
    pub(super) over: Usage,
    /// Whether all holds had ended when all clients were gone.
    pub(super) is_quiet: bool,
    /// How many end hooks the application counted.
    pub(super) hooks: u64,
    /// How many contexts were held and got no end hook.
    pub(super) without_end_hook: u64,
    /// How many hooks ran after the shutdown.
    pub(super) late_hooks: u64,
    /// The last of three audits.
    pub(super) audit: Option<Audit>,
    pub(super) drain_result: DrainResult,
    /// How late the timeouts were.
    pub(super) lateness: Summary,
    /// How late they may be, if that is a check.
    pub(super) max_late: Option<Duration>,
}

/// What the server reports.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    suspended: u64,
    left: usize,
    hooks_failed: u64,
}

impl Outcome {
    /// Prints the measurements and the verdict.
    pub(super) fn print_verdict(&self, stats: &Stats) -> ExitCode {
        let account = Account {
            suspended: stats.suspended,
            left: stats.held + stats.ending + stats.hooks_running,
            hooks_failed: stats.hooks_failed,
        };
        println!("{} were held, at most {} at once; {} end hooks", stats.suspended, stats.peak, self.hooks);
        for (name, usage) in
            [("begun", self.begun), ("warm", self.warm), ("quiet", self.quiet), ("over", self.over)]
        {
            let Usage { heap, resident, descriptors } = usage;
            let (resident, descriptors) = (resident.map_or("?".into(), mib), descriptors.unwrap_or(0));
            println!("{name:5}: resident {resident}, heap {heap} B, descriptors {descriptors}");
        }
        if let Some(audit) = &self.audit {
            println!(
                "audit: {} connections, {} open, took {:.1?}",
                audit.connections, audit.open, audit.took
            );
        }
        self.drain_result.tell();
        let Summary { count, most, largest } = self.lateness;
        println!("lateness: of {count} timeouts 99 % came within {most:.1?}, the latest after {largest:.1?}");
        let faults = self.faults(&account);
        for fault in &faults {
            println!("OFF: {fault}");
        }
        println!("verdict: {}", if faults.is_empty() { "clean" } else { "not clean" });
        if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Every check that failed.
    fn faults(&self, account: &Account) -> Vec<String> {
        let Account { suspended, left, hooks_failed } = *account;
        let mut faults = Vec::new();
        let mut must = |is_so: bool, fault: String| {
            if !is_so {
                faults.push(fault);
            }
        };
        must(suspended > 0, "nothing was ever held".into());
        must(self.is_quiet && left == 0, format!("not all holds ended ({left} after the shutdown)"));
        must(self.hooks == suspended, format!("{suspended} were held, and {} end hooks called", self.hooks));
        must(
            self.without_end_hook == 0,
            format!("{} contexts were dropped without their end hook", self.without_end_hook),
        );
        must(hooks_failed == 0, format!("{hooks_failed} end hooks failed"));
        must(self.late_hooks == 0, format!("{} hooks were called after the shutdown", self.late_hooks));
        let warm = "after the warm-up, when all clients were gone";
        let begun = "before there was a server, when it was over";
        for (when, before, after, most) in
            [(warm, self.warm, self.quiet, HEAP), (begun, self.begun, self.over, LEFT)]
        {
            let heap = after.heap.saturating_sub(before.heap);
            must(heap <= most, format!("{} more heap than {when}", mib(heap)));
            let more = after.descriptors.unwrap_or(0).saturating_sub(before.descriptors.unwrap_or(0));
            must(more == 0, format!("{more} more descriptors than {when}"));
        }
        // The warm-up makes the resident memory grow; after that it stays.
        for (when, after) in [("all clients were gone", self.quiet), ("the server was over", self.over)] {
            if let (Some(warm), Some(after)) = (self.warm.resident, after.resident) {
                let more = after.saturating_sub(warm);
                let fault = format!("{} more resident than after the warm-up, when {when}", mib(more));
                must(more <= RESIDENT, fault);
            }
        }
        if let Some(audit) = &self.audit {
            must(audit.is_clean() && audit.open == 0, format!("the audit: {audit:?}"));
        }
        let (most, max) = (self.lateness.most, self.max_late.unwrap_or(Duration::MAX));
        must(
            most <= max,
            format!("1 % of the timeouts came later than {most:.1?}, and {max:.1?} was asked for"),
        );
        faults.extend(self.drain_result.faults());
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::super::drain;
    use super::*;

    const ACCOUNT: Account = Account { suspended: 7, left: 0, hooks_failed: 0 };

    fn clean() -> Outcome {
        let usage = Usage { heap: 5 << 20, resident: Some(50 << 20), descriptors: Some(9) };
        Outcome {
            begun: usage,
            warm: usage,
            quiet: usage,
            over: usage,
            is_quiet: true,
            hooks: 7,
            drain_result: drain::tests::clean(),
            ..Outcome::default()
        }
    }

    #[test]
    fn a_server_that_returns_to_its_level_is_clean() {
        assert_eq!(clean().faults(&ACCOUNT), [""; 0]);
    }

    #[test]
    fn each_failed_check_is_reported_alone() {
        let usage = clean().quiet;
        let accounts = [
            (Account { suspended: 8, ..ACCOUNT }, "8 were held, and 7"),
            (Account { left: 1, ..ACCOUNT }, "not all holds ended"),
            (Account { hooks_failed: 1, ..ACCOUNT }, "failed"),
        ];
        for (account, told) in accounts {
            let faults = clean().faults(&account);
            assert!(faults.len() == 1 && faults[0].contains(told), "{faults:?}");
        }
        let resident = Usage { resident: Some(70 << 20), ..usage };
        let late = Summary { count: 7, most: Duration::from_millis(100), largest: Duration::from_secs(9) };
        assert_eq!(
            Outcome { lateness: late, ..clean() }.faults(&ACCOUNT),
            [""; 0],
            "not judged unless asked for"
        );
        let outcomes = [
            (Outcome { is_quiet: false, ..clean() }, "not all holds ended"),
            (Outcome { without_end_hook: 1, ..clean() }, "without their end hook"),
            (Outcome { late_hooks: 2, ..clean() }, "2 hooks were called after"),
            (
                Outcome { lateness: late, max_late: Some(Duration::from_millis(99)), ..clean() },
                "came later than 100.0ms",
            ),
            (Outcome { quiet: Usage { heap: 7 << 20, ..usage }, ..clean() }, "2.0 MiB more heap"),
            (Outcome { over: Usage { heap: 8 << 20, ..usage }, ..clean() }, "3.0 MiB more heap than before"),
            (Outcome { quiet: resident, ..clean() }, "20.0 MiB more resident"),
            (Outcome { over: resident, ..clean() }, "20.0 MiB more resident"),
            (Outcome { quiet: Usage { descriptors: Some(10), ..usage }, ..clean() }, "1 more descriptors"),
            (Outcome { over: Usage { descriptors: Some(11), ..usage }, ..clean() }, "2 more descriptors"),
            (
                Outcome { drain_result: DrainResult::default(), ..clean() },
                "nothing was held when the drain began",
            ),
        ];
        for (outcome, told) in outcomes {
            let faults = outcome.faults(&ACCOUNT);
            assert!(faults.len() == 1 && faults[0].contains(told), "{faults:?}");
        }
        assert_eq!(Outcome::default().faults(&Account::default()).len(), 3);
    }
}
