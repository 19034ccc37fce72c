//! What the application was call of each client, and when.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use abeyance::{End, Ended, HoldId};
use tokio::time::Instant;

/// Shared by the contexts of a round and the round. Clients are known by their hosts: each has one of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientLog(Arc<(Mutex<HashMap<IpAddr, Calls>>, Condvar)>);

/// What was call of one client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    /// Its hold, once `on_suspend` has begun.
    pub(crate) hold: Option<HoldId>,
    /// How many messages `on_message` has begun with.
    pub(crate) messages: usize,
    /// Every end hook that ran.
    pub(crate) ends: Vec<EndCall>,
}

/// One end, as its hook was call.
#[derive(Clone, Debug)]
pub(crate) struct EndCall {
    pub(crate) end: End,
    pub(crate) ended: Ended,
    pub(crate) at: Instant,
}

impl ClientLog {
    /// Notes something about a client.
    pub(crate) fn write(&self, host: IpAddr, note: impl FnOnce(&mut Calls)) {
        note(self.0.0.lock().unwrap_or_else(PoisonError::into_inner).entry(host).or_default());
        self.0.1.notify_all();
    }

    /// Waits until something is noted about a client; `None` if that is not so after `timeout`.
    pub(crate) fn wait<T>(
        &self,
        host: IpAddr,
        timeout: Duration,
        mut look: impl FnMut(&Calls) -> Option<T>,
    ) -> Option<T> {
        let (clients, turned) = &*self.0;
        let mut found = None;
        let clients = clients.lock().unwrap_or_else(PoisonError::into_inner);
        drop(turned.wait_timeout_while(clients, timeout, |clients| {
            found = clients.get(&host).and_then(&mut look);
            found.is_none()
        }));
        found
    }

    /// Forgets everybody.
    pub(crate) fn clear(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = HashMap::new();
    }

    /// What was call of a client so far.
    pub(crate) fn calls(&self, host: IpAddr) -> Calls {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).get(&host).cloned().unwrap_or_default()
    }
}
