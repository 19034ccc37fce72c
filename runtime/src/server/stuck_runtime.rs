//! Rousing the runtime, for hooks that block their thread.
//!
//! A thread of tokio's that finds one thing to do wakes no other for it. If that is a hook that blocks, nobody waits for
//! sockets and timers any more, though all other threads are free: every hold stands still. So a thread of our own gives
//! the runtime a task now and then. Whichever thread takes it then waits for what else there is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::runtime::Handle;

/// How long other holds may stand still behind a hook that blocks its thread.
const PERIOD: Duration = Duration::from_millis(50);

/// Rouses a runtime until it is dropped.
pub(super) struct StuckRuntime {
    is_over: Arc<AtomicBool>,
    thread: Option<Thread>,
}

impl StuckRuntime {
    pub(super) fn start(runtime: Handle) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let until = is_over.clone();
        let rouse = move || {
            while !until.load(Relaxed) {
                thread::park_timeout(PERIOD);
                runtime.spawn(async {});
            }
        };
        // Without it the server is as good as others.
        let started = thread::Builder::new().name("abeyance-rouse".into()).stack_size(64 << 10).spawn(rouse);
        StuckRuntime { is_over, thread: started.ok().map(|started| started.thread().clone()) }
    }
}

impl Drop for StuckRuntime {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}
