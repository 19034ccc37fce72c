//! The bounds that follow the process's limit of open files.

use super::{ServerConfig, ServerKey};

/// What a bound is that nothing was said of: as many as fit.
pub(super) const AS_MANY_AS_FIT: usize = usize::MAX;

/// How many descriptors are left for what is not held: the listener, newcomers, the application's own files.
pub(crate) const RESERVE: usize = 64;

/// How many descriptors are never given to connections: the listener, those that are turned away, the application's own
/// files.
const SPARE: usize = 32;

/// However few descriptors there are, so many connections are tried.
const LEAST_CONNECTIONS: usize = 16;

/// A setting that was set higher than the limit of open files, or another setting, allows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Excess {
    pub(crate) key: ServerKey,
    pub(crate) written: usize,
    pub(crate) fitting: usize,
}

impl ServerConfig {
    /// Lowers the bounds to what a process can have that may open so many files. Tells which were set higher.
    pub(crate) fn fit(&mut self, descriptors: usize) -> Vec<Excess> {
        let all = descriptors.saturating_sub(SPARE).max(LEAST_CONNECTIONS);
        let connections = self.max_connections.min(all);
        let most_holds = descriptors.saturating_sub(RESERVE).min(connections).max(1);
        // Unless set, some places are left for connections that are not held; of few, half.
        let unheld = (RESERVE - SPARE).min(connections / 2);
        let holds = match self.max_suspended {
            AS_MANY_AS_FIT => most_holds.min(connections - unheld),
            written => written.min(most_holds),
        };
        let excess = |key, written, fitting| {
            (written != AS_MANY_AS_FIT && written > fitting).then_some(Excess { key, written, fitting })
        };
        let excesses = [
            excess(ServerKey::MaxConnections, self.max_connections, all),
            excess(ServerKey::MaxSuspended, self.max_suspended, most_holds),
        ];
        self.max_connections = connections;
        self.max_suspended = holds;
        self.max_requests = self.max_requests.min(connections);
        excesses.into_iter().flatten().collect()
    }
}
