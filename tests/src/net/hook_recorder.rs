//! Records the calls of an application's hooks, for tests that block a thread until a call has come.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use abeyance::{End, Ended, Held, HoldId, Lifecycle, Message};

use super::TEST_TIMEOUT;

/// Shared by a test and the contexts of its server.
#[derive(Clone, Debug, Default)]
pub struct HookRecorder(Arc<(Mutex<HookCalls>, Condvar)>);

/// The calls so far, each kind in its order.
#[derive(Debug, Default)]
pub struct HookCalls {
    /// How often an endpoint's function ran.
    pub functions: usize,
    /// The holds whose `on_suspend` ran.
    pub suspended: Vec<HoldId>,
    /// How many drivers have started. A hold's queue is not written to its peer before its driver starts.
    pub drivers: usize,
    /// The messages that `on_message` was given.
    pub messages: Vec<Message>,
    /// The end hooks that ran.
    pub ends: Vec<(End, Ended)>,
}

/// A context that records each call of its hooks, and does nothing else.
#[derive(Debug)]
pub struct RecordingContext(HookRecorder);

impl HookRecorder {
    /// Records that a function runs, and makes the context of its hold.
    pub fn context(&self) -> RecordingContext {
        self.record(|calls| calls.functions += 1);
        RecordingContext(self.clone())
    }

    /// Records that a driver has started.
    pub fn driver_started(&self) {
        self.record(|calls| calls.drivers += 1);
    }

    /// Looks at the calls so far.
    pub fn read<T>(&self, look: impl FnOnce(&HookCalls) -> T) -> T {
        look(&self.0.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Blocks until `find` returns something, and returns that.
    #[track_caller]
    pub fn wait<T>(&self, what: &str, mut find: impl FnMut(&HookCalls) -> Option<T>) -> T {
        let (calls, changed) = &*self.0;
        let mut found = None;
        let calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
        let (calls, _) = changed
            .wait_timeout_while(calls, TEST_TIMEOUT, |calls| {
                found = find(calls);
                found.is_none()
            })
            .unwrap_or_else(PoisonError::into_inner);
        found.unwrap_or_else(|| panic!("waited in vain for: {what}; {calls:?}"))
    }

    /// Blocks until the hold whose client had this address has ended, and checks that its end hook ran once.
    #[track_caller]
    pub fn end_of(&self, client: SocketAddr) -> (End, Ended) {
        let end = self.wait(&format!("the end of {client}"), |calls| {
            calls.ends.iter().find(|(_, ended)| ended.peer() == client).cloned()
        });
        let count =
            self.read(|calls| calls.ends.iter().filter(|(_, known)| known.id() == end.1.id()).count());
        assert_eq!(count, 1, "an end hook runs once");
        end
    }

    /// Fails unless so many end hooks have run, each for a hold of its own.
    #[track_caller]
    pub fn assert_ends(&self, count: u64) {
        self.wait(&format!("{count} end hooks"), |calls| (calls.ends.len() as u64 >= count).then_some(()));
        self.read(|calls| {
            let ids: std::collections::HashSet<_> = calls.ends.iter().map(|(_, ended)| ended.id()).collect();
            assert_eq!((calls.ends.len() as u64, ids.len() as u64), (count, count), "{calls:?}");
        });
    }

    fn record(&self, call: impl FnOnce(&mut HookCalls)) {
        call(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.1.notify_all();
    }
}

impl Lifecycle for RecordingContext {
    async fn on_suspend(&mut self, held: &Held) {
        self.0.record(|calls| calls.suspended.push(held.id()));
    }

    async fn on_message(&mut self, _: &Held, message: Message) {
        self.0.record(|calls| calls.messages.push(message));
    }

    async fn on_end(self, ended: &Ended, end: End) {
        self.0.record(|calls| calls.ends.push((end, ended.clone())));
    }
}
