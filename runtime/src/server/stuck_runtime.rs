//! Keeps sockets and timers attended while a hook blocks its thread.
//!
//! A worker of tokio's that finds one thing to do wakes no other worker for it. If that thing is a hook that blocks, no
//! thread waits for sockets and timers any more, though all others are free: every hold stands still. So while a worker
//! is awake, a thread of our own gives the runtime a task now and then. The worker that takes it then attends to the
//! rest. While all workers are parked, this thread is parked as well: an idle process is not woken.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};

/// How long other holds may stand still behind a hook that blocks its thread.
const PERIOD: Duration = Duration::from_millis(50);

/// Which of the runtime's workers are awake, and whether our thread is.
#[derive(Default)]
struct Workers {
    parked: AtomicUsize,
    /// Our thread is parked until a worker wakes.
    is_watcher_parked: AtomicBool,
    watcher: OnceLock<Thread>,
    is_over: AtomicBool,
}

/// Watches a runtime until it is dropped.
pub(super) struct StuckRuntime(Arc<Workers>);

impl StuckRuntime {
    /// Has the runtime that is being built tell which workers are awake.
    pub(super) fn of(builder: &mut Builder) -> Self {
        let workers = Arc::new(Workers::default());
        let (parks, wakes) = (workers.clone(), workers.clone());
        builder.on_thread_park(move || parks.park());
        builder.on_thread_unpark(move || wakes.unpark());
        StuckRuntime(workers)
    }

    /// Starts to watch the runtime that was built.
    pub(super) fn start(&self, runtime: Handle) {
        let workers = self.0.clone();
        let watch = move || {
            let count = runtime.metrics().num_workers();
            while workers.is_busy(count) {
                runtime.spawn(async {});
                thread::park_timeout(PERIOD);
            }
        };
        // The server runs without the thread, too: then a hook that blocks can delay other holds.
        let _ = thread::Builder::new().name("abeyance-watch".into()).stack_size(64 << 10).spawn(watch);
    }
}

impl Drop for StuckRuntime {
    fn drop(&mut self) {
        self.0.is_over.store(true, SeqCst);
        self.0.wake();
    }
}

impl Workers {
    fn park(&self) {
        self.parked.fetch_add(1, SeqCst);
    }

    fn unpark(&self) {
        self.parked.fetch_sub(1, SeqCst);
        if self.is_watcher_parked.swap(false, SeqCst) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(watcher) = self.watcher.get() {
            watcher.unpark();
        }
    }

    /// Our thread calls this. It waits until one of so many workers is awake; `false` when the runtime is not watched
    /// any more.
    fn is_busy(&self, count: usize) -> bool {
        // Before the store below: a worker that sees `is_watcher_parked` finds the thread to wake.
        self.watcher.get_or_init(thread::current);
        while !self.is_over.load(SeqCst) {
            self.is_watcher_parked.store(true, SeqCst);
            // After the store: a worker that wakes from here on sees it.
            if self.parked.load(SeqCst) < count {
                self.is_watcher_parked.store(false, SeqCst);
                return true;
            }
            thread::park();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use tokio::sync::oneshot;

    use super::*;

    /// A runtime with two workers, watched.
    fn watched() -> (tokio::runtime::Runtime, StuckRuntime) {
        let mut builder = Builder::new_multi_thread();
        let stuck = StuckRuntime::of(builder.worker_threads(2).enable_all());
        let runtime = builder.build().expect("a runtime");
        stuck.start(runtime.handle().clone());
        (runtime, stuck)
    }

    fn until(condition: impl Fn() -> bool) {
        while !condition() {
            thread::yield_now();
        }
    }

    #[test]
    fn an_idle_runtime_is_not_woken() {
        let (runtime, stuck) = watched();
        let is_at_rest = || stuck.0.is_watcher_parked.load(SeqCst) && stuck.0.parked.load(SeqCst) == 2;
        until(is_at_rest);
        // It wakes with the workers, and rests again with them.
        runtime.block_on(runtime.spawn(async {})).expect("a task");
        until(is_at_rest);
        drop(stuck);
    }

    #[test]
    fn the_first_worker_that_wakes_finds_the_thread_to_wake() {
        let workers = Arc::new(Workers::default());
        workers.park();
        let watcher = thread::spawn({
            let workers = workers.clone();
            move || workers.is_busy(1)
        });
        until(|| workers.is_watcher_parked.load(SeqCst));
        workers.unpark();
        assert!(watcher.join().expect("the watcher"));
    }

    #[test]
    fn the_end_of_the_watch_ends_its_thread() {
        let stuck = StuckRuntime(Arc::new(Workers::default()));
        let workers = stuck.0.clone();
        workers.park();
        let watcher = thread::spawn({
            let workers = workers.clone();
            move || workers.is_busy(1)
        });
        until(|| workers.is_watcher_parked.load(SeqCst));
        drop(stuck);
        assert!(!watcher.join().expect("the watcher"));
    }

    #[test]
    fn sockets_and_timers_are_attended_while_a_task_blocks_its_thread() {
        let (runtime, stuck) = watched();
        until(|| stuck.0.parked.load(SeqCst) == 2);
        let (start, started) = oneshot::channel::<()>();
        let (unblock, blocked) = channel::<()>();
        // One thing to do, by which one worker is woken. It blocks until a timer has fired.
        runtime.spawn(async move {
            started.await.expect("told to start");
            blocked.recv().expect("told to go on");
        });
        let timer = runtime.spawn(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            start.send(()).expect("it waits");
            tokio::time::sleep(Duration::from_millis(5)).await;
            unblock.send(()).expect("it is blocked");
        });
        runtime.block_on(timer).expect("the timer's task");
    }
}
