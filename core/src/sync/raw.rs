//! What decides how threads meet. With `--cfg shuttle` the locks and atomics are a scheduler's, which may go on with
//! another thread at each of them. No other file of the project knows of that, but for the model that asks for it.

#[cfg(not(shuttle))]
#[allow(unreachable_pub, reason = "`sync` re-exports some of it")]
mod switched {
    pub use std::hash::RandomState;
    pub use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};
    pub use std::thread_local;

    pub use parking_lot::{Mutex, MutexGuard};

    /// Whether values of the application may be dropped by a thread of their own.
    pub const HAS_THREADS: bool = true;
}

#[cfg(shuttle)]
#[allow(unreachable_pub, reason = "`sync` re-exports some of it")]
mod switched {
    use std::fmt;
    use std::hash::{BuildHasherDefault, DefaultHasher};
    use std::sync::PoisonError;

    pub use shuttle::sync::MutexGuard;
    pub use shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};
    pub use shuttle::thread_local;

    /// Keys that are always the same: which topics share a lock must not differ between two runs of one schedule.
    pub type RandomState = BuildHasherDefault<DefaultHasher>;

    /// A scenario must know when a value is dropped, so no other thread drops it.
    pub const HAS_THREADS: bool = false;

    /// A mutex that no panic poisons.
    #[derive(Default)]
    pub struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub const fn new(value: T) -> Self {
            Mutex(shuttle::sync::Mutex::new(value))
        }

        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }

        pub fn is_locked(&self) -> bool {
            self.try_lock().is_none()
        }
    }

    impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.fmt(f)
        }
    }
}

pub use switched::*;
