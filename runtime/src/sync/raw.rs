//! What decides how threads meet: the model has a scheduler's in place of this file.

pub(crate) use std::hash::RandomState;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};
pub(crate) use std::thread_local;

pub(crate) use parking_lot::{Mutex, MutexGuard};
