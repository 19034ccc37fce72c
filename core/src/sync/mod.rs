//! The lowest layer: locks, atomics, and the application's values, which are never dropped while a lock is held.
//!
//! All that decides how threads meet comes from here alone: with `--cfg shuttle`, `raw` has a scheduler's locks, and the
//! thread of `disposer` is not started.

mod disposer; // the thread that drops what was let go of under a lock
pub mod foreign; // values whose destructors are user code
pub mod lasting; // tasks that no panic ends
mod lock; // a mutex under which nothing of the application's is dropped
mod raw; // what the model replaces

pub use lock::{Mutex, MutexGuard};
pub use raw::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, RandomState};
