//! What the application was told of each client, and when.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use abeyance::{End, Ended, HoldId};
use tokio::time::Instant;

/// Shared by the contexts of a round and the round. Clients are known by their hosts: each has one of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book(Arc<(Mutex<HashMap<IpAddr, Page>>, Condvar)>);

/// What was told of one client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    /// Its hold, once `on_suspend` has begun.
    pub(crate) hold: Option<HoldId>,
    /// How many messages `on_message` has begun with.
    pub(crate) heard: usize,
    /// Every end hook that ran.
    pub(crate) ends: Vec<Told>,
}

/// One end, as its hook was told.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) end: End,
    pub(crate) ended: Ended,
    pub(crate) at: Instant,
}

impl Book {
    /// Notes something about a client.
    pub(crate) fn write(&self, host: IpAddr, note: impl FnOnce(&mut Page)) {
        note(self.0.0.lock().unwrap_or_else(PoisonError::into_inner).entry(host).or_default());
        self.0.1.notify_all();
    }

    /// Waits until something is noted about a client; `None` if that is not so after `patience`.
    pub(crate) fn wait<T>(
        &self,
        host: IpAddr,
        patience: Duration,
        mut look: impl FnMut(&Page) -> Option<T>,
    ) -> Option<T> {
        let (pages, turned) = &*self.0;
        let mut found = None;
        let pages = pages.lock().unwrap_or_else(PoisonError::into_inner);
        drop(turned.wait_timeout_while(pages, patience, |pages| {
            found = pages.get(&host).and_then(&mut look);
            found.is_none()
        }));
        found
    }

    /// Forgets everybody.
    pub(crate) fn clear(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = HashMap::new();
    }

    /// What was told of a client so far.
    pub(crate) fn page(&self, host: IpAddr) -> Page {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).get(&host).cloned().unwrap_or_default()
    }
}
