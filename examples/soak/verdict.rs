//! Whether all is well, now that everybody is gone.

use std::process::ExitCode;

use abeyance::{Audit, Hub};

use super::line::mib;
use super::process::Level;

/// By how much more heap there may be than after the warm-up: what tables and the runtime keep for whoever comes next.
const HEAP: usize = 1 << 20;

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
    /// How many connections the shutdown had to cut.
    pub(super) cut: usize,
    /// How many end hooks the application counted.
    pub(super) hooks: u64,
    /// How many contexts were held and got none.
    pub(super) forgotten: u64,
    /// The last of three audits.
    pub(super) audit: Option<Audit>,
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
    pub(super) fn pronounce(&self, hub: &Hub) -> ExitCode {
        let tally = hub.tally();
        let account = Account {
            suspended: tally.suspended,
            left: tally.held + tally.ending + tally.hooks_running,
            is_lawful: tally.is_lawful(),
            hooks_failed: tally.hooks_failed,
        };
        println!("{} were held, at most {} at once; {} end hooks", tally.suspended, tally.peak, self.hooks);
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
        must(self.cut == 0, format!("{} connections were cut by the shutdown", self.cut));
        let (warm, quiet) = (self.warm, self.quiet);
        let heap = quiet.heap.saturating_sub(warm.heap);
        must(heap <= HEAP, format!("{} more heap than after the warm-up", mib(heap)));
        if let (Some(warm), Some(quiet)) = (warm.resident, quiet.resident) {
            let resident = quiet.saturating_sub(warm);
            must(resident <= RESIDENT, format!("{} more resident than after the warm-up", mib(resident)));
        }
        let pairs = [("everybody was gone", warm, quiet), ("the server was", self.begun, self.over)];
        for (when, before, after) in pairs {
            let more = after.descriptors.unwrap_or(0).saturating_sub(before.descriptors.unwrap_or(0));
            must(more == 0, format!("{more} more descriptors than before, when {when}"));
        }
        if let Some(audit) = &self.audit {
            must(audit.is_clean() && audit.open == 0, format!("the audit: {audit:?}"));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
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
        let outcomes = [
            (Outcome { is_quiet: false, ..clean() }, "still there"),
            (Outcome { forgotten: 1, ..clean() }, "without their end hook"),
            (Outcome { cut: 2, ..clean() }, "2 connections were cut"),
            (Outcome { quiet: Level { heap: 7 << 20, ..level }, ..clean() }, "2.0 MiB more heap"),
            (
                Outcome { quiet: Level { resident: Some(70 << 20), ..level }, ..clean() },
                "20.0 MiB more resident",
            ),
            (Outcome { quiet: Level { descriptors: Some(10), ..level }, ..clean() }, "1 more descriptors"),
            (Outcome { over: Level { descriptors: Some(11), ..level }, ..clean() }, "2 more descriptors"),
        ];
        for (outcome, told) in outcomes {
            let faults = outcome.faults(&ACCOUNT);
            assert!(faults.len() == 1 && faults[0].contains(told), "{faults:?}");
        }
        assert_eq!(Outcome::default().faults(&Account::default()).len(), 3);
    }
}
