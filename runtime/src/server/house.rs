//! The connections of one server: how many there are, that they be told to stop, and that they be gone.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::conversation::converse;
use super::host::Host;
use crate::socket::Socket;

/// How many connections may have an HTTP parser with its buffers (about 20 KiB each) at the same time. Resting and
/// held connections have none.
const SPEAKING: usize = 16 * 1024;

/// All connections of one server.
///
/// They are only counted: a list of their tasks would cost each hold 16 bytes, and aborting a task would take the end
/// hook from the hold in it. What is not held stops by [`halt`](House::halt), holds end by their host's will.
pub(super) struct House<H> {
    pub(super) host: Arc<H>,
    /// How many connections there may be.
    capacity: usize,
    /// In one number, so that they can be read at one instant; see [`Census`].
    census: AtomicU64,
    left: Notify,
    /// Nothing new shall begin.
    pub(super) stop: Bell,
    /// What is not held shall end at once.
    pub(super) halt: Bell,
    speaking: Arc<Semaphore>,
}

/// A connection's place in the house; dropping it gives the place back.
pub(super) struct Seat<H> {
    pub(super) house: Arc<House<H>>,
}

/// How many connections there are, and how many ever came, modulo 2^32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Census {
    pub(super) count: usize,
    came: u32,
}

impl Census {
    /// One that comes, in the atomic: the count is its lower half.
    const ONE: u64 = 1 << 32 | 1;

    /// How many came and how many left since then.
    pub(super) fn changes_since(self, before: Census) -> usize {
        let came = self.came.wrapping_sub(before.came) as usize;
        let left = (before.count + came).saturating_sub(self.count);
        came + left
    }
}

/// Something that happens once, and that whoever comes later learns too.
#[derive(Default)]
pub(super) struct Bell {
    rung: AtomicBool,
    waiting: Notify,
}

impl<H: Host> House<H> {
    pub(super) fn new(host: Arc<H>, capacity: usize) -> Arc<Self> {
        Arc::new(House {
            host,
            capacity: capacity.max(1),
            census: AtomicU64::new(0),
            left: Notify::new(),
            stop: Bell::default(),
            halt: Bell::default(),
            speaking: Arc::new(Semaphore::new(SPEAKING)),
        })
    }

    /// Takes a new connection in.
    pub(super) fn admit(self: &Arc<Self>, line: Arc<dyn Socket>) {
        tokio::spawn(converse(self.seat(), line));
    }

    pub(super) fn seat(self: &Arc<Self>) -> Seat<H> {
        self.census.fetch_add(Census::ONE, SeqCst);
        Seat { house: self.clone() }
    }

    pub(super) fn count(&self) -> usize {
        self.census().count
    }

    pub(super) fn census(&self) -> Census {
        let both = self.census.load(SeqCst);
        Census { count: both as u32 as usize, came: (both >> 32) as u32 }
    }

    /// Returns when another connection may be taken in.
    pub(super) async fn room(&self) {
        self.until(self.capacity - 1).await;
    }

    /// Returns when the last connection is gone.
    pub(super) async fn empty(&self) {
        self.until(0).await;
    }

    async fn until(&self, count: usize) {
        while self.count() > count {
            let mut left = pin!(self.left.notified());
            left.as_mut().enable();
            // Again, now that nobody can leave unnoticed.
            if self.count() > count {
                left.await;
            }
        }
    }

    /// Leave to have an HTTP parser. `None` cannot be: the semaphore is never closed.
    pub(super) async fn speak(&self) -> Option<OwnedSemaphorePermit> {
        self.speaking.clone().acquire_owned().await.ok()
    }
}

impl<H> Drop for Seat<H> {
    fn drop(&mut self) {
        self.house.census.fetch_sub(1, SeqCst);
        self.house.left.notify_waiters();
    }
}

impl Bell {
    pub(super) fn ring(&self) {
        self.rung.store(true, SeqCst);
        self.waiting.notify_waiters();
    }

    /// Returns when it has rung.
    pub(super) async fn rung(&self) {
        let mut ring = pin!(self.waiting.notified());
        ring.as_mut().enable();
        if !self.rung.load(SeqCst) {
            ring.await;
        }
    }
}
