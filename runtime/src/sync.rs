//! The keeper's locks, its atomics, and what draws the shard of a topic: all that decides how its threads meet.
//!
//! The keeper has them from here alone, so that `abeyance-model` can compile it with a scheduler's in their place.

pub(crate) use std::hash::RandomState;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};

pub(crate) use parking_lot::{Mutex, MutexGuard};
