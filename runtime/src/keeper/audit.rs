//! What the server's audits of itself found.

use std::time::Duration;

use serde::Serialize;

use abeyance_core::mechanisms::audit::{Findings, Judge, News};
use abeyance_core::sync::Mutex;
use abeyance_core::words::serialize;
use abeyance_core::words::socket_count::SocketCount;

use super::Keeper;
use super::hub::Hub;

/// All audits so far. Its lock is a leaf.
#[derive(Default)]
pub(super) struct Audits(Mutex<AuditState>);

#[derive(Clone, Copy, Default)]
struct AuditState {
    judge: Judge,
    /// The last look, when it was (in real milliseconds), and the findings of all looks so far.
    last: Option<(SocketCount, u64, Findings)>,
}

/// What the server found when it compared its registry of connections with the process ([`Hub::audit`]).
/// Serialized, durations are numbers of seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Audit {
    /// How long ago it was.
    #[serde(serialize_with = "serialize::seconds")]
    pub ago: Duration,
    /// How long it took.
    #[serde(serialize_with = "serialize::seconds")]
    pub took: Duration,
    /// How many connections were registered, held or not.
    pub connections: usize,
    /// How many of the sockets that it ever accepted the process still has open, as the kernel says.
    pub open: usize,
    /// How many holds there were, held or ending.
    pub holds: usize,
    /// How many sockets are open although no connection is registered for them: a leak. Only those are counted that the
    /// last three audits all saw.
    pub leaked: usize,
    /// How many connections are registered although their sockets are closed, in the last three audits.
    pub vanished: usize,
    /// How many holds there are in excess of the connections, in the last three audits.
    pub homeless: usize,
}

impl Audit {
    /// Whether the last three audits agree on no fault: nothing leaked, vanished or homeless.
    pub fn is_clean(&self) -> bool {
        self.leaked == 0 && self.vanished == 0 && self.homeless == 0
    }
}

impl Hub {
    /// What the last audit found; `None` until there was one.
    ///
    /// Now and then the server asks the kernel which of the sockets that it accepted are still open, and compares that
    /// with its registry: a second after its start, then every minute, and less often where it takes so long that this
    /// would be more than a thousandth of the time: about 5 µs a connection, on a thread of its own. A difference that
    /// three audits in a row have seen is a fault of this crate; it is logged once, as an error.
    /// [`ServerHandle::audit`](crate::ServerHandle::audit) makes an audit at once.
    ///
    /// Linux only, and with `/proc`; `None` elsewhere, and for [`Server::bind_memory`](crate::Server::bind_memory).
    pub fn audit(&self) -> Option<Audit> {
        self.keeper().audit()
    }

    /// Adds a look to the audits, and logs what is new.
    pub(crate) fn judge(&self, look: SocketCount) {
        self.keeper().judge(look);
    }

    /// How many holds there are, held or ending.
    pub(crate) fn holds(&self) -> usize {
        let counts = self.keeper().counts();
        counts.held + counts.ending
    }
}

impl Keeper {
    fn audit(&self) -> Option<Audit> {
        let (look, at, found) = self.audits.0.lock().last?;
        let SocketCount { connections, open, holds, took, .. } = look;
        let Findings { leaked, vanished, homeless } = found;
        let ago = Duration::from_millis(self.time.real().saturating_sub(at));
        Some(Audit { ago, took, connections, open, holds, leaked, vanished, homeless })
    }

    fn judge(&self, look: SocketCount) {
        let at = self.time.real();
        let (found, news) = {
            let mut audits = self.audits.0.lock();
            let (found, news) = audits.judge.hear(&look);
            audits.last = Some((look, at, found));
            (found, news)
        };
        let SocketCount { connections, open, holds, .. } = look;
        let Findings { leaked, vanished, homeless } = found;
        match news {
            News::Nothing => {}
            News::Begins => tracing::error!(
                leaked,
                vanished,
                homeless,
                connections,
                open,
                holds,
                "the registry of connections is wrong: it differs from the sockets that are open"
            ),
            News::Ends => {
                tracing::info!(connections, open, holds, "the registry of connections is right again")
            }
        }
    }
}
