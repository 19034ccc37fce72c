//! Values of the application's whose destructors are user code: message bytes, contexts, drivers, closures, states.
//!
//! A destructor may panic, wait for a lock of the application, or call the hub. So:
//!
//! 1. It runs with no lock of ours held. What is let go of under a lock waits in a bin of its thread, until the thread
//!    has released its last lock; then another thread drops it (`disposer`).
//!    [`Mutex`](super::Mutex) sees to that, so no place in the code can forget it.
//! 2. A panic of it is caught and logged, for each value alone. Two that panic while one `Vec` of them is dropped
//!    would abort the process.
//! 3. Publishing and sending run none on their caller's stack ([`aside`]): the caller may hold a lock that it takes.
//! 4. One destructor does not run within another of the same thread: a destructor that publishes may push out the
//!    next value, and a chain of them would exhaust the stack.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::disposer::{Value, Values, hand_over};
use super::raw::thread_local;

/// A value of the application's, dropped as the rules above say.
pub struct Foreign<T: Send + 'static>(Option<T>);

/// While one lives, what its thread lets go of waits in the thread's bin.
pub struct Section(
    /// It counts for the thread that began it.
    PhantomData<*const ()>,
);

thread_local! {
    /// How many sections this thread is in.
    static SECTIONS: Cell<usize> = const { Cell::new(0) };
    static BIN: RefCell<Values> = const { RefCell::new(Vec::new()) };
    /// Something is in the bin. A cell of its own, since the bin's has a destructor and costs more to look at.
    static IS_FILLED: Cell<bool> = const { Cell::new(false) };
}

/// Drops a value of the application's: at once, or on another thread if this one holds a lock of ours.
pub fn let_go<T: Send + 'static>(value: T) {
    let_go_of(value, size_of::<T>());
}

/// As [`let_go`], of a value to which so many bytes belong.
pub fn let_go_of<T: Send + 'static>(value: T, bytes: usize) {
    if sections() > 0 {
        return put_by(Value { value: Box::new(value), bytes });
    }
    let _section = Section::begin();
    drop_alone(value);
}

/// Runs user code. A panic in it is an error that says what the panic said. Unwind-safe, because what the code touched
/// is dropped, or handed to an end hook that expects the worst.
pub fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(said)
}

/// Calls user code that gives nothing, such as the wakers of futures that the application polls. A panic is logged.
pub fn call(run: impl FnOnce()) {
    if let Err(fault) = caught(run) {
        tell("a waker of the application panicked", &fault);
    }
}

/// Runs what must not wait for a destructor: all that it lets go of is dropped on another thread.
pub fn aside<T>(run: impl FnOnce() -> T) -> T {
    let _section = Section::begin();
    run()
}

/// What a panic said. Its payload is a value of the application's as well.
fn said(payload: Box<dyn Any + Send>) -> String {
    let text = match (payload.downcast_ref::<String>(), payload.downcast_ref::<&str>()) {
        (Some(text), _) => text.clone(),
        (None, Some(text)) => (*text).to_owned(),
        (None, None) => String::from("a panic"),
    };
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // The destructor of a payload panicked with a payload whose destructor may panic, and so on without end. This
        // one is leaked: a few bytes, for a program that does that.
        mem::forget(again);
    }
    text
}

/// Drops a value; a panic of its destructor is logged.
pub fn drop_alone<T>(value: T) {
    if let Err(fault) = caught(|| drop(value)) {
        tell("a destructor of the application panicked", &fault);
    }
}

fn tell(what: &str, fault: &str) {
    // A subscriber of the log is user code, too.
    let _ = caught(|| tracing::error!(fault, "{what}"));
}

fn put_by(value: Value) {
    let mut value = Some(value);
    let put = BIN.try_with(|bin| bin.borrow_mut().extend(value.take()));
    match put {
        Ok(()) => IS_FILLED.with(|is_filled| is_filled.set(true)),
        // The thread is ending, and a destructor of its own thread-local values has a lock: leaked, not dropped under it.
        Err(_) => mem::forget(value),
    }
}

fn take_bin() -> Values {
    IS_FILLED.with(|is_filled| is_filled.set(false));
    BIN.try_with(|bin| bin.take()).unwrap_or_default()
}

fn sections() -> usize {
    SECTIONS.with(Cell::get)
}

impl Section {
    pub fn begin() -> Self {
        SECTIONS.with(|sections| sections.set(sections.get() + 1));
        Section(PhantomData)
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        // The last one is left when the bin is empty, so that what a destructor lets go of comes after it, not within.
        while sections() == 1 && IS_FILLED.with(Cell::get) {
            if let Err(refused) = hand_over(take_bin(), let_go) {
                refused.into_iter().for_each(|refused| drop_alone(refused.value));
            }
        }
        SECTIONS.with(|sections| sections.set(sections.get() - 1));
    }
}

impl<T: Send + 'static> Foreign<T> {
    pub fn new(value: T) -> Self {
        Foreign(Some(value))
    }

    /// The value itself: from here on the caller answers for its end.
    pub fn take(mut self) -> T {
        self.0.take().expect(TAKEN)
    }
}

/// Why a value is there: `take` and `drop` end its wrapper.
const TAKEN: &str = "the value is there as long as its wrapper";

impl<T: Send + 'static> Deref for Foreign<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect(TAKEN)
    }
}

impl<T: Send + 'static> DerefMut for Foreign<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect(TAKEN)
    }
}

impl<T: Clone + Send + 'static> Clone for Foreign<T> {
    fn clone(&self) -> Self {
        Foreign(self.0.clone())
    }
}

impl<T: Send + 'static> Drop for Foreign<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            let_go(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
    use std::thread::{self, ThreadId};
    use std::time::Duration;

    use super::*;
    use crate::sync::Mutex;

    /// How long a thread may take to run.
    const TEST_TIMEOUT: Duration = Duration::from_secs(20);

    /// Does something when it is dropped.
    struct OnDrop<F: FnMut() + Send>(F);

    impl<F: FnMut() + Send> Drop for OnDrop<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }

    /// What drops tell.
    fn telling() -> (impl Send, Receiver<ThreadId>) {
        let (tell, told) = channel();
        (OnDrop(move || tell.send(thread::current().id()).unwrap()), told)
    }

    #[test]
    fn what_is_let_go_of_under_a_lock_is_dropped_by_another_thread_when_the_last_is_free() {
        let (outer, inner) = (Mutex::new(()), Mutex::new(()));
        let held = (outer.lock(), inner.lock());
        let (value, told) = telling();
        drop(Foreign::new(value));
        drop(held.1);
        assert_eq!(told.try_recv(), Err(TryRecvError::Empty), "one is still held");
        drop(held.0);
        assert_ne!(told.recv_timeout(TEST_TIMEOUT).unwrap(), thread::current().id());
    }

    #[test]
    fn what_is_let_go_of_with_no_lock_is_dropped_at_once_unless_that_is_not_to_be_waited_for() {
        let (value, told) = telling();
        drop(Foreign::new(value));
        assert_eq!(told.try_recv(), Ok(thread::current().id()));
        let (value, told) = telling();
        assert_eq!(aside(|| (drop(Foreign::new(value)), 7).1), 7);
        assert_ne!(told.recv_timeout(TEST_TIMEOUT).unwrap(), thread::current().id());
    }

    #[test]
    fn each_that_panics_does_so_alone() {
        let bomb = || Foreign::new(OnDrop(|| panic!("on purpose")));
        drop([bomb(), bomb(), bomb()]);
        let lock = Mutex::new(vec![bomb(), bomb()]);
        lock.lock().clear();
        assert!(lock.lock().is_empty());
    }

    #[test]
    fn one_that_panics_while_another_panic_unwinds_is_caught() {
        let outcome = caught(|| {
            let _bomb = Foreign::new(OnDrop(|| panic!("while unwinding")));
            panic!("first")
        });
        assert_eq!(outcome, Err::<(), _>("first".into()));
    }

    #[test]
    fn a_chain_of_destructors_does_not_nest() {
        fn link(left: usize, depth: &'static AtomicUsize, last: Sender<()>) -> impl Send {
            OnDrop(move || {
                assert_eq!(depth.fetch_add(1, SeqCst), 0);
                if left > 0 {
                    let next: Box<dyn Send> = Box::new(link(left - 1, depth, last.clone()));
                    let_go(next);
                }
                depth.fetch_sub(1, SeqCst);
                if left == 0 {
                    let _ = last.send(());
                }
            })
        }
        static DEPTH: AtomicUsize = AtomicUsize::new(0);
        let (last, told) = channel();
        // The first is dropped here, and all others by a thread that takes one after the other.
        let_go(link(100_000, &DEPTH, last));
        assert_eq!(told.recv_timeout(TEST_TIMEOUT), Ok(()));
        assert_eq!(DEPTH.load(SeqCst), 0);
    }

    #[test]
    fn a_payload_that_panics_is_survived() {
        fn bomb(left: usize) -> OnDrop<impl FnMut() + Send> {
            OnDrop(move || {
                if left > 0 {
                    panic_any(Box::new(bomb_again(left - 1)));
                }
            })
        }
        fn bomb_again(left: usize) -> Box<dyn Send> {
            Box::new(bomb(left))
        }
        for left in 0..5 {
            assert_eq!(caught(|| panic_any(bomb(left))), Err::<(), _>("a panic".into()));
        }
        assert_eq!(caught(|| panic_any(String::from("text"))), Err::<(), _>("text".into()));
    }
}
