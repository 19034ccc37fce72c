//! The lowest layer: locks, atomics, and the application's values, which are never dropped while a lock is held.
//!
//! The keeper has all that decides how its threads meet from here alone, so that `abeyance-model` can compile it with
//! a scheduler's in place of [`raw`], and without the thread of [`disposer`].

mod disposer; // the thread that drops what was let go of under a lock
pub(crate) mod foreign; // values whose destructors are user code
pub(crate) mod lasting; // tasks that no panic ends
mod lock; // a mutex under which nothing of the application's is dropped
mod raw; // what the model replaces

pub(crate) use lock::{Mutex, MutexGuard};
pub(crate) use raw::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, RandomState};
