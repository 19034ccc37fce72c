//! The thread that drops what was let go of under a lock: nobody else waits for a destructor that waits.
//!
//! Where the lock is free again would be early enough for our own locks. But who publishes may hold a lock of the
//! application, and be the one whose message pushes out another whose destructor takes that lock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use super::foreign::let_go;

/// How many values may wait for the thread. Where destructors are slower than what is let go of, the others are dropped by
/// who lets go of them, so that it slows down, too.
const MOST: usize = 65_536;

/// Values of any type.
pub(super) type Values = Vec<Box<dyn Send>>;

static WAITING: AtomicUsize = AtomicUsize::new(0);

/// The way to the thread, which is started by the first values; `None` where the system has no thread for it.
static DOOR: OnceLock<Option<Sender<Values>>> = OnceLock::new();

/// Has the thread drop them; gives back what it has no room for.
pub(super) fn hand_over(values: Values) -> Result<(), Values> {
    let Some(door) = DOOR.get_or_init(start) else { return Err(values) };
    let count = values.len();
    if WAITING.fetch_add(count, Relaxed) + count > MOST {
        WAITING.fetch_sub(count, Relaxed);
        return Err(values);
    }
    door.send(values).map_err(|refused| refused.0)
}

fn start() -> Option<Sender<Values>> {
    let (door, values) = channel::<Values>();
    let dispose = move || {
        for value in values.into_iter().flatten() {
            // Not within another: what this one lets go of comes after it.
            let_go(value);
            WAITING.fetch_sub(1, Relaxed);
        }
    };
    thread::Builder::new().name("abeyance-drops".into()).spawn(dispose).ok().map(|_| door)
}
