//! A mutex under which nothing of the application's is dropped: what is let go of meanwhile waits for its release.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::foreign::Section;
use super::raw;

/// A mutex that no panic poisons.
#[derive(Default)]
pub struct Mutex<T>(raw::Mutex<T>);

/// A mutex, locked.
pub struct MutexGuard<'a, T> {
    guard: raw::MutexGuard<'a, T>,
    /// Behind `guard`, so that its end comes when the lock is free.
    _section: Section,
}

impl<T> Mutex<T> {
    pub const fn new(value: T) -> Self {
        Mutex(raw::Mutex::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        // The section first: nothing may come between the lock and its guard.
        let section = Section::begin();
        MutexGuard { guard: self.0.lock(), _section: section }
    }

    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let section = Section::begin();
        self.0.try_lock().map(|guard| MutexGuard { guard, _section: section })
    }

    pub fn is_locked(&self) -> bool {
        self.0.is_locked()
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
