//! Messages whose destructors take a lock of the application and publish, wherever they are dropped: nobody waits for
//! ever, and each is dropped once.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use shuttle::sync::Mutex;

use crate::keeper::Keeper;
use crate::keeper::archive::ResumePoint;
use crate::model::explore::{explore, scope};
use crate::model::house::{Plans, SSE, TestKeeper};
use crate::model::kept::few;
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
    fn of(house: &TestKeeper) -> Arc<Self> {
        let keeper = Arc::downgrade(&house.keeper);
        Arc::new(Application { lock: Mutex::new(()), left: AtomicUsize::new(0), keeper })
    }

    fn message(self: &Arc<Self>) -> Message {
        self.left.fetch_add(1, SeqCst);
        Bytes::from_owner(Body(self.clone())).into()
    }

    /// What it does with its lock, and what its destructors do. Of this topic nothing is pushed out that has one: here no
    /// other thread drops it, and this one has the lock.
    fn publish(&self) {
        let _mine = self.lock.lock().expect("nobody panics with it");
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
        let house = TestKeeper::new(Plans::keeping(&["a", "b"], few(1)));
        let application = Application::of(&house);
        scope(|scope| {
            scope.spawn(|| house.keeper.publish("a", &application.message()));
            scope.spawn(|| application.publish());
            house.keeper.publish("a", &application.message());
        });
        house.keeper.publish("a", &"the last".into());
        assert_eq!(application.left.load(SeqCst), 0);
        house.close(Vec::new());
    });
}

/// A hold ends, or is opened, while messages wait for it to open.
#[test]
fn a_message_that_waits_for_a_hold_to_open_is_dropped_with_no_lock_held() {
    explore(|| {
        let house = TestKeeper::new(Plans::default());
        let application = Application::of(&house);
        let [ending, opening] =
            [["a"], ["a"]].map(|[topic]| house.arrive(SSE, &[topic, "b"], ResumePoint::New));
        scope(|scope| {
            scope.spawn(|| house.keeper.publish("a", &application.message()));
            scope.spawn(|| house.end(&ending, Resume::Released));
            scope.spawn(|| opening.hold.open(Vec::new()));
            application.publish();
        });
        for guest in [&ending, &opening] {
            house.end(guest, Resume::Released);
            house.keeper.settle(&guest.hold);
        }
        assert_eq!(application.left.load(SeqCst), 0);
        house.close(vec![ending, opening]);
    });
}
