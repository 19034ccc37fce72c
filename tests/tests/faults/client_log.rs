//! The hook calls of each client, and when they were.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use abeyance::{End, Ended, HoldId};
use tokio::time::Instant;

/// Shared by a round and its contexts. A client is known by its host address: each has one of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientLog(Arc<(Mutex<HashMap<IpAddr, Calls>>, Condvar)>);

/// The hook calls of one client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    /// Its hold, once `on_suspend` has begun.
    pub(crate) hold: Option<HoldId>,
    /// How many messages `on_message` has begun with.
    pub(crate) messages: usize,
    /// Each call of an end hook.
    pub(crate) ends: Vec<EndCall>,
}

/// One call of an end hook.
#[derive(Clone, Debug)]
pub(crate) struct EndCall {
    pub(crate) end: End,
    pub(crate) ended: Ended,
    pub(crate) at: Instant,
}

impl ClientLog {
    /// Records a call of a client's hooks.
    pub(crate) fn write(&self, host: IpAddr, note: impl FnOnce(&mut Calls)) {
        note(self.0.0.lock().unwrap_or_else(PoisonError::into_inner).entry(host).or_default());
        self.0.1.notify_all();
    }

    /// Waits until `look` returns something for a client; `None` after `timeout`.
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

    /// Removes all clients.
    pub(crate) fn clear(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = HashMap::new();
    }

    /// The hook calls of a client so far.
    pub(crate) fn calls(&self, host: IpAddr) -> Calls {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).get(&host).cloned().unwrap_or_default()
    }
}
