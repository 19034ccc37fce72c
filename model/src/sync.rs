//! The locks and atomics of the keeper as the scheduler sees them: it may let another thread go on at each of them.

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::PoisonError;

pub(crate) use shuttle::sync::MutexGuard;
pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};

/// Keys that are always the same: which topics share a lock must not differ between two runs of one schedule.
pub(crate) type RandomState = BuildHasherDefault<DefaultHasher>;

/// A mutex that nobody can poison, as the runtime's.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Mutex(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
