//! Many orders of a scenario's threads, the same in each run.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Waker};
use std::time::Duration;

use shuttle::scheduler::{
    PctScheduler, RandomScheduler, ReplayScheduler, Scheduler, UncontrolledNondeterminismCheckScheduler,
};
use shuttle::thread::Scope;
use shuttle::{Config, MaxSteps, Runner};

/// How many orders of each scenario are tried, unless `ABEYANCE_SCHEDULES` says otherwise.
const SCHEDULES: usize = 4_000;

const SEED: u64 = 0x0ab_e7a_9ce;

/// How often a thread is set back in one schedule, and one more: most faults need once or twice ("bug depth" of PCT).
const DEPTHS: [usize; 3] = [2, 3, 5];

/// Runs a scenario in many orders: some are drawn at each step; in most of them threads run on for long and are seldom
/// set back, which finds more.
///
/// # Panics
/// When the scenario does, when its threads wait for each other, or when none of its orders ends.
pub(crate) fn explore(scenario: impl Fn() + Clone + Send + Sync + 'static) {
    if let Ok(schedule) = std::env::var("ABEYANCE_SCHEDULE") {
        return run("the given", ReplayScheduler::new_from_encoded(&schedule), scenario);
    }
    let share = schedules() / (1 + DEPTHS.len());
    for depth in DEPTHS {
        run("bounded", PctScheduler::new_from_seed(SEED, depth, share), scenario.clone());
    }
    run("random", RandomScheduler::new_from_seed(SEED, share), scenario);
}

/// Runs each of a few schedules twice.
///
/// # Panics
/// When the second run has other scheduling points than the first: then more than the scheduler decides the order.
pub(crate) fn repeat(scenario: impl Fn() + Send + Sync + 'static) {
    let drawn = RandomScheduler::new_from_seed(SEED, 50);
    run("repeated", UncontrolledNondeterminismCheckScheduler::new(drawn), scenario);
}

fn schedules() -> usize {
    let wanted = std::env::var("ABEYANCE_SCHEDULES").ok();
    wanted.map_or(SCHEDULES, |wanted| wanted.parse().expect("ABEYANCE_SCHEDULES is a number"))
}

fn run(name: &'static str, scheduler: impl Scheduler + 'static, scenario: impl Fn() + Send + Sync + 'static) {
    // Time stands: what is measured would be another thing that decides.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    // Kept when a schedule fails: it would wake threads that are no more.
    let runtime = ManuallyDrop::new(runtime.expect("a runtime without I/O needs nothing"));
    let entered = runtime.enter();
    let mut config = Config::new();
    config.stack_size = 256 << 10;
    config.max_steps = MaxSteps::FailAfter(50_000);
    config.silence_warnings = true;
    // Not in the closure, which need not be dropped when a schedule fails.
    let count = Count { name, tried: Arc::default() };
    let tried = count.tried.clone();
    Runner::new(scheduler, config).run(move || {
        tried.fetch_add(1, Relaxed);
        scenario();
    });
    drop(entered);
    drop(ManuallyDrop::into_inner(runtime));
}

/// Lets time pass. No other thread runs meanwhile.
pub(crate) fn pass(span: Duration) {
    let mut passing = pin!(tokio::time::advance(span));
    // Its first poll sets the clock; what follows gives tasks their turn, of which there are none.
    let _ = passing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
}

shuttle::thread_local! {
    static HAS_SCOPE: Cell<bool> = Cell::new(false);
}

/// Threads that may borrow, as of [`std::thread::scope`].
///
/// # Panics
/// Within another scope of the same thread: the end of the outer one's threads would pass for that of the inner one's,
/// whose threads then go on borrowing what is gone.
pub(crate) fn scope<'e, T>(threads: impl for<'s> FnOnce(&'s Scope<'s, 'e>) -> T) -> T {
    assert!(!HAS_SCOPE.with(|has| has.replace(true)), "shuttle's scopes do not nest");
    let done = shuttle::thread::scope(threads);
    HAS_SCOPE.with(|has| has.set(false));
    done
}

/// Says at which schedule it was, if that one failed.
struct Count {
    name: &'static str,
    tried: Arc<AtomicUsize>,
}

impl Drop for Count {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{} schedule {} failed", self.name, self.tried.load(Relaxed));
        }
    }
}
