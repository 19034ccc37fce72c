//! Whether all is well, now that everybody is gone.

use std::process::ExitCode;
use std::time::Duration;

use abeyance::{Audit, Stats};

use super::drain::Departure;
use super::lateness::Summary;
use super::line::mib;
use super::process::Level;

/// By how much more heap there may be than after the warm-up: what tables keep for whoever comes next.
const HEAP: usize = 1 << 20;

/// By how much more when the server is over than before it was there: what the runtime keeps.
const LEFT: usize = 256 << 10;

/// By how much more of it may be resident: the allocator gives back whole pages only, in its own time.
const RESIDENT: usize = 16 << 20;

/// What was measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// Before the server was there.
    pub(super) begun: Level,
    /// After the warm-up, when everybody was gone.
    pub(super) warm: Level,
    /// After everything, when everybody was gone.
    pub(super) quiet: Level,
    /// After the shutdown.
    pub(super) over: Level,
    /// Whether nobody was there when there should be nobody.
    pub(super) is_quiet: bool,
    /// How many end hooks the application counted.
    pub(super) hooks: u64,
    /// How many contexts were held and got none.
    pub(super) forgotten: u64,
    /// How many hooks were called after the shutdown.
    pub(super) strays: u64,
    /// The last of three audits.
    pub(super) audit: Option<Audit>,
    pub(super) departure: Departure,
    /// How late the server's clocks were.
    pub(super) lateness: Summary,
    /// How late they may be, if that is judged.
    pub(super) max_late: Option<Duration>,
}

/// The server's own account.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    suspended: u64,
    left: usize,
    is_lawful: bool,
    hooks_failed: u64,
}

impl Outcome {
    /// Says whether all is well.
    pub(super) fn pronounce(&self, stats: &Stats) -> ExitCode {
        let account = Account {
            suspended: stats.suspended,
            left: stats.held + stats.ending + stats.hooks_running,
            is_lawful: stats.is_lawful(),
            hooks_failed: stats.hooks_failed,
        };
        println!("{} were held, at most {} at once; {} end hooks", stats.suspended, stats.peak, self.hooks);
        for (name, level) in
            [("begun", self.begun), ("warm", self.warm), ("quiet", self.quiet), ("over", self.over)]
        {
            let Level { heap, resident, descriptors } = level;
            let (resident, descriptors) = (resident.map_or("?".into(), mib), descriptors.unwrap_or(0));
            println!("{name:5}: resident {resident}, heap {heap} B, descriptors {descriptors}");
        }
        if let Some(audit) = &self.audit {
            println!(
                "audit: {} connections, {} open, took {:.1?}",
                audit.connections, audit.open, audit.took
            );
        }
        self.departure.tell();
        let Summary { count, most, largest } = self.lateness;
        println!("lateness: of {count} timeouts 99 % came within {most:.1?}, the latest after {largest:.1?}");
        let faults = self.faults(&account);
        for fault in &faults {
            println!("OFF: {fault}");
        }
        println!("verdict: {}", if faults.is_empty() { "clean" } else { "not clean" });
        if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Everything that is off.
    fn faults(&self, account: &Account) -> Vec<String> {
        let Account { suspended, left, is_lawful, hooks_failed } = *account;
        let mut faults = Vec::new();
        let mut must = |is_so: bool, fault: String| {
            if !is_so {
                faults.push(fault);
            }
        };
        must(suspended > 0, "nobody was ever held".into());
        must(is_lawful, "the law: held, ending and ended are not all that were suspended".into());
        must(self.is_quiet && left == 0, format!("somebody is still there ({left} after the shutdown)"));
        must(self.hooks == suspended, format!("{suspended} were held, and {} end hooks called", self.hooks));
        must(self.forgotten == 0, format!("{} contexts were dropped without their end hook", self.forgotten));
        must(hooks_failed == 0, format!("{hooks_failed} end hooks failed"));
        must(self.strays == 0, format!("{} hooks were called after the shutdown", self.strays));
        let warm = "after the warm-up, when everybody was gone";
        let begun = "before there was a server, when it was over";
        for (when, before, after, most) in
            [(warm, self.warm, self.quiet, HEAP), (begun, self.begun, self.over, LEFT)]
        {
            let heap = after.heap.saturating_sub(before.heap);
            must(heap <= most, format!("{} more heap than {when}", mib(heap)));
            let more = after.descriptors.unwrap_or(0).saturating_sub(before.descriptors.unwrap_or(0));
            must(more == 0, format!("{more} more descriptors than {when}"));
        }
        // The first that come make it grow to what it is from then on.
        for (when, after) in [("everybody was gone", self.quiet), ("the server was over", self.over)] {
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
        faults.extend(self.departure.faults());
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::super::drain;
    use super::*;

    const ACCOUNT: Account = Account { suspended: 7, left: 0, is_lawful: true, hooks_failed: 0 };

    fn clean() -> Outcome {
        let level = Level { heap: 5 << 20, resident: Some(50 << 20), descriptors: Some(9) };
        Outcome {
            begun: level,
            warm: level,
            quiet: level,
            over: level,
            is_quiet: true,
            hooks: 7,
            departure: drain::tests::clean(),
            ..Outcome::default()
        }
    }

    #[test]
    fn whoever_comes_back_to_where_they_were_is_clean() {
        assert_eq!(clean().faults(&ACCOUNT), [""; 0]);
    }

    #[test]
    fn each_thing_that_is_off_is_told() {
        let level = clean().quiet;
        let accounts = [
            (Account { suspended: 8, ..ACCOUNT }, "8 were held, and 7"),
            (Account { left: 1, ..ACCOUNT }, "still there"),
            (Account { is_lawful: false, ..ACCOUNT }, "the law"),
            (Account { hooks_failed: 1, ..ACCOUNT }, "failed"),
        ];
        for (account, told) in accounts {
            let faults = clean().faults(&account);
            assert!(faults.len() == 1 && faults[0].contains(told), "{faults:?}");
        }
        let resident = Level { resident: Some(70 << 20), ..level };
        let late = Summary { count: 7, most: Duration::from_millis(100), largest: Duration::from_secs(9) };
        assert_eq!(
            Outcome { lateness: late, ..clean() }.faults(&ACCOUNT),
            [""; 0],
            "not judged unless asked for"
        );
        let outcomes = [
            (Outcome { is_quiet: false, ..clean() }, "still there"),
            (Outcome { forgotten: 1, ..clean() }, "without their end hook"),
            (Outcome { strays: 2, ..clean() }, "2 hooks were called after"),
            (
                Outcome { lateness: late, max_late: Some(Duration::from_millis(99)), ..clean() },
                "came later than 100.0ms",
            ),
            (Outcome { quiet: Level { heap: 7 << 20, ..level }, ..clean() }, "2.0 MiB more heap"),
            (Outcome { over: Level { heap: 8 << 20, ..level }, ..clean() }, "3.0 MiB more heap than before"),
            (Outcome { quiet: resident, ..clean() }, "20.0 MiB more resident"),
            (Outcome { over: resident, ..clean() }, "20.0 MiB more resident"),
            (Outcome { quiet: Level { descriptors: Some(10), ..level }, ..clean() }, "1 more descriptors"),
            (Outcome { over: Level { descriptors: Some(11), ..level }, ..clean() }, "2 more descriptors"),
            (Outcome { departure: Departure::default(), ..clean() }, "nobody was held when the drain began"),
        ];
        for (outcome, told) in outcomes {
            let faults = outcome.faults(&ACCOUNT);
            assert!(faults.len() == 1 && faults[0].contains(told), "{faults:?}");
        }
        assert_eq!(Outcome::default().faults(&Account::default()).len(), 4);
    }
}
