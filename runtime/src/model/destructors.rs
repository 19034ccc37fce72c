//! Messages whose destructors take a lock of the application and publish, where they are dropped: no thread waits for
//! ever, and each is dropped once.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use shuttle::sync::Mutex;

use crate::keeper::Keeper;
use crate::keeper::archive::ResumePoint;
use crate::model::explore::{explore, scope};
use crate::model::kept::few;
use crate::model::test_server::{SSE, TestConfig, TestServer};
use abeyance_core::words::cause::Resume;
use abeyance_core::words::message::Message;

/// The application: one lock, and how many of its messages there are.
struct Application {
    lock: Mutex<()>,
    /// Not the scheduler's: nothing is decided by it.
    left: AtomicUsize,
    keeper: Weak<Keeper>,
}

/// Bytes of the application's.
struct Body(Arc<Application>);

impl Application {
    fn of(server: &TestServer) -> Arc<Self> {
        let keeper = Arc::downgrade(&server.keeper);
        Arc::new(Application { lock: Mutex::new(()), left: AtomicUsize::new(0), keeper })
    }

    fn message(self: &Arc<Self>) -> Message {
        self.left.fetch_add(1, SeqCst);
        Bytes::from_owner(Body(self.clone())).into()
    }

    /// What it does with its lock, and what its destructors do. Of this topic nothing is pushed out that has one: here
    /// no other thread drops it, and this one has the lock.
    fn publish(&self) {
        let _mine = self.lock.lock().expect("no thread panics with it");
        if let Some(keeper) = self.keeper.upgrade() {
            keeper.publish("b", &"plain".into());
        }
    }
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        b"foreign"
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.0.publish();
        self.0.left.fetch_sub(1, SeqCst);
    }
}

/// Two publishers push each other's messages out of a topic that keeps one.
#[test]
fn a_kept_message_is_dropped_with_no_lock_held() {
    explore(|| {
        let server = TestServer::new(TestConfig::keeping(&["a", "b"], few(1)));
        let application = Application::of(&server);
        scope(|scope| {
            scope.spawn(|| server.keeper.publish("a", &application.message()));
            scope.spawn(|| application.publish());
            server.keeper.publish("a", &application.message());
        });
        server.keeper.publish("a", &"the last".into());
        assert_eq!(application.left.load(SeqCst), 0);
        server.close(Vec::new());
    });
}

/// A hold ends, or is opened, while messages wait for it to open.
#[test]
fn a_message_that_waits_for_a_hold_to_open_is_dropped_with_no_lock_held() {
    explore(|| {
        let server = TestServer::new(TestConfig::default());
        let application = Application::of(&server);
        let [ending, pending] =
            [["a"], ["a"]].map(|[topic]| server.begin_hold(SSE, &[topic, "b"], ResumePoint::New));
        scope(|scope| {
            scope.spawn(|| server.keeper.publish("a", &application.message()));
            scope.spawn(|| server.end(&ending, Resume::Released));
            scope.spawn(|| pending.hold.open(Vec::new()));
            application.publish();
        });
        for test_hold in [&ending, &pending] {
            server.end(test_hold, Resume::Released);
            server.keeper.settle(&test_hold.hold);
        }
        assert_eq!(application.left.load(SeqCst), 0);
        server.close(vec![ending, pending]);
    });
}
