//! The connections of one server: how many there are, that they be told to stop, and that they be gone.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

use super::conversation::converse;
use super::host::Host;
use crate::socket::Socket;

/// How many connections may have an HTTP parser with its buffers (about 20 KiB each) at the same time. Resting and
/// held connections have none.
const SPEAKING: usize = 16 * 1024;

/// All connections of one server.
pub(super) struct House<H> {
    pub(super) host: Arc<H>,
    /// How many connections there may be.
    capacity: usize,
    /// The task of each connection: 16 bytes each, and one lock at its start and its end.
    seats: Mutex<Slab<Option<AbortHandle>>>,
    left: Notify,
    stopped: AtomicBool,
    stop: Notify,
    speaking: Arc<Semaphore>,
}

/// A connection's place in the house; dropping it gives the place back.
pub(super) struct Seat<H> {
    pub(super) house: Arc<House<H>>,
    key: u32,
}

impl<H: Host> House<H> {
    pub(super) fn new(host: Arc<H>, capacity: usize) -> Arc<Self> {
        Arc::new(House {
            host,
            capacity: capacity.clamp(1, u32::MAX as usize),
            seats: Mutex::default(),
            left: Notify::new(),
            stopped: AtomicBool::new(false),
            stop: Notify::new(),
            speaking: Arc::new(Semaphore::new(SPEAKING)),
        })
    }

    /// Takes a new connection in. Called by the one task that accepts.
    pub(super) fn admit(self: &Arc<Self>, line: Arc<dyn Socket>) {
        let seat = self.seat();
        let key = seat.key as usize;
        // Not under the lock: a runtime that shuts down drops the future, and with it the seat, right here. The key
        // cannot be another connection's by now, because only this task takes any in.
        let task = tokio::spawn(converse(seat, line)).abort_handle();
        if let Some(place) = self.seats.lock().get_mut(key) {
            *place = Some(task);
        }
    }

    pub(super) fn seat(self: &Arc<Self>) -> Seat<H> {
        let key = self.seats.lock().insert(None);
        Seat { house: self.clone(), key: key as u32 }
    }

    pub(super) fn count(&self) -> usize {
        self.seats.lock().len()
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

    /// Tells all connections that nothing new shall begin.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.stop.notify_waiters();
    }

    /// Returns when [`stop`](House::stop) was called.
    pub(super) async fn stopping(&self) {
        let mut stop = pin!(self.stop.notified());
        stop.as_mut().enable();
        if !self.stopped.load(Ordering::SeqCst) {
            stop.await;
        }
    }

    /// Drops all connections at their next await; says how many there were.
    pub(super) fn abort(&self) -> usize {
        // Collected first: aborting may drop a connection here and now, and its seat takes the lock.
        let tasks: Vec<_> = self.seats.lock().iter().filter_map(|(_, task)| task.clone()).collect();
        tasks.iter().for_each(AbortHandle::abort);
        tasks.len()
    }

    /// Leave to have an HTTP parser. `None` cannot be: the semaphore is never closed.
    pub(super) async fn speak(&self) -> Option<OwnedSemaphorePermit> {
        self.speaking.clone().acquire_owned().await.ok()
    }
}

impl<H> Drop for Seat<H> {
    fn drop(&mut self) {
        self.house.seats.lock().try_remove(self.key as usize);
        self.house.left.notify_waiters();
    }
}
