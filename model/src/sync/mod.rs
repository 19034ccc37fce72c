//! The runtime's lowest layer, with the scheduler's locks under it.

mod disposer;
#[path = "../../../runtime/src/sync/foreign.rs"]
pub(crate) mod foreign;
#[path = "../../../runtime/src/sync/lasting.rs"]
pub(crate) mod lasting;
#[path = "../../../runtime/src/sync/lock.rs"]
mod lock;
mod raw;

pub(crate) use lock::{Mutex, MutexGuard};
pub(crate) use raw::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, RandomState};
