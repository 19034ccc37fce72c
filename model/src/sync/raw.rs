//! The locks, atomics and thread-locals as the scheduler sees them: it may let another thread go on at each lock and atomic.

use std::fmt;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::PoisonError;

pub(crate) use shuttle::sync::MutexGuard;
pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};
pub(crate) use shuttle::thread_local;

/// Keys that are always the same: which topics share a lock must not differ between two runs of one schedule.
pub(crate) type RandomState = BuildHasherDefault<DefaultHasher>;

/// A mutex that nobody can poison, as the runtime's.
#[derive(Default)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Mutex(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
