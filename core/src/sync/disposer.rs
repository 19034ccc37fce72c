//! The thread that drops what was let go of under a lock, so that no other thread waits for a destructor that waits.
//!
//! For our own locks it would do to drop it where the lock is released. But a publisher may hold a lock of the application,
//! and its message may push out another message whose destructor takes that lock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use super::raw::HAS_THREADS;

/// How many bytes of values may wait for the thread. Where destructors are slower than what is let go of, or one hangs, the
/// others are dropped by the thread that lets go of them, so that it slows down, too.
const MOST: usize = 64 << 20;

/// What a value costs beside its bytes while it waits.
const COST: usize = 128;

/// A value of any type, and how many bytes are its own.
pub(super) struct Value {
    pub(super) value: Box<dyn Send>,
    pub(super) bytes: usize,
}

pub(super) type Values = Vec<Value>;

/// How many bytes wait.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// The way to the thread, which is started by the first values; `None` where the system has no thread for it.
static QUEUE: OnceLock<Option<Sender<Values>>> = OnceLock::new();

/// Has the thread give them to `dispose`, always the same one; gives back what it has no room for.
pub(super) fn hand_over(values: Values, dispose: fn(Box<dyn Send>)) -> Result<(), Values> {
    if !HAS_THREADS {
        return Err(values);
    }
    let Some(queue) = QUEUE.get_or_init(|| start(dispose)) else { return Err(values) };
    let cost = values.iter().map(Value::cost).sum();
    let before = WAITING.fetch_add(cost, Relaxed);
    // However large they are, if nothing else waits.
    if before > 0 && before.saturating_add(cost) > MOST {
        WAITING.fetch_sub(cost, Relaxed);
        return Err(values);
    }
    queue.send(values).map_err(|refused| refused.0)
}

impl Value {
    fn cost(&self) -> usize {
        self.bytes.saturating_add(COST)
    }
}

fn start(dispose: fn(Box<dyn Send>)) -> Option<Sender<Values>> {
    let (queue, values) = channel::<Values>();
    let run = move || {
        for value in values.into_iter().flatten() {
            let cost = value.cost();
            dispose(value.value);
            WAITING.fetch_sub(cost, Relaxed);
        }
    };
    thread::Builder::new().name("abeyance-drops".into()).spawn(run).ok().map(|_| queue)
}
