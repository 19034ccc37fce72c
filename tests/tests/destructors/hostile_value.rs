//! A value whose destructor misbehaves, and the count of such values.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use abeyance::http::HeaderValue;
use abeyance::{Hub, Message};
use bytes::Bytes;

/// What a destructor does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Panics,
    /// It waits for a lock of the application, which another thread holds while it calls the hub.
    Waits,
    /// It takes a lock of the application, which the application holds while it calls the hub.
    Takes,
    Calls,
}

/// All values of one test.
#[derive(Clone)]
pub(crate) struct HostileValues(Arc<Inside>);

struct Inside {
    kind: Kind,
    /// Taken out at the end: the messages that topics keep would keep the hub alive.
    hub: Mutex<Option<Hub>>,
    /// The application's own.
    lock: Mutex<()>,
    made: AtomicUsize,
    dropped: AtomicUsize,
}

/// One such value.
pub(crate) struct HostileValue(HostileValues);

/// Bytes with such a value.
struct Body(Vec<u8>, #[expect(dead_code, reason = "only its destructor counts")] HostileValue);

impl HostileValues {
    pub(crate) fn new(kind: Kind) -> Self {
        HostileValues(Arc::new(Inside {
            kind,
            hub: Mutex::default(),
            lock: Mutex::default(),
            made: 0.into(),
            dropped: 0.into(),
        }))
    }

    /// From here on destructors may call it.
    pub(crate) fn let_call(&self, hub: Hub) {
        *self.0.hub.lock().unwrap() = Some(hub);
    }

    /// No destructor calls it any more.
    pub(crate) fn close(&self) {
        self.0.hub.lock().unwrap().take();
    }

    pub(crate) fn value(&self) -> HostileValue {
        self.0.made.fetch_add(1, SeqCst);
        HostileValue(self.clone())
    }

    /// A message of so many bytes.
    pub(crate) fn message(&self, length: usize) -> Message {
        Message::from(self.bytes(length))
    }

    /// The value of a header.
    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_maybe_shared(self.bytes(10)).unwrap()
    }

    fn bytes(&self, length: usize) -> Bytes {
        Bytes::from_owner(Body(vec![b'x'; length], self.value()))
    }

    /// Calls the hub as the application does: under its lock, for `Kind::Takes`.
    pub(crate) fn call<T>(&self, act: impl FnOnce() -> T) -> T {
        let _mine = matches!(self.0.kind, Kind::Takes).then(|| self.0.lock.lock().unwrap());
        act()
    }

    /// How many have been dropped.
    pub(crate) fn dropped(&self) -> usize {
        self.0.dropped.load(SeqCst)
    }

    /// Whether all have been.
    pub(crate) fn is_empty(&self) -> bool {
        self.dropped() == self.0.made.load(SeqCst)
    }

    fn hub(&self) -> Option<Hub> {
        self.0.hub.lock().unwrap().clone()
    }
}

/// Calls so much of the hub that each of the server's locks is taken.
fn call(hub: &Hub) {
    hub.publish("room", "from a destructor");
    hub.publish("kept/by a destructor", "from a destructor");
    hub.publish_after(Duration::ZERO, "empty", "from a destructor").unwrap().detach();
    let _ = (hub.stats(), hub.stats_by_endpoint(), hub.list(), hub.last_ends().count(), hub.scheduled());
    for listed in hub.list() {
        hub.publish(listed.path, "from a destructor");
    }
    hub.resume_key("empty");
}

impl Drop for HostileValue {
    fn drop(&mut self) {
        let Inside { kind, lock, dropped, .. } = &*self.0.0;
        dropped.fetch_add(1, SeqCst);
        let hub = self.0.hub();
        match (kind, hub) {
            (Kind::Takes, _) => drop(lock.lock().unwrap()),
            (Kind::Panics, _) => panic!("a destructor, on purpose"),
            (Kind::Calls, Some(hub)) => call(&hub),
            (Kind::Waits, Some(hub)) => thread::scope(|scope| {
                let (locked, is_locked) = mpsc::channel();
                scope.spawn(move || {
                    let _mine = lock.lock().unwrap();
                    locked.send(()).unwrap();
                    call(&hub);
                });
                is_locked.recv().unwrap();
                drop(lock.lock().unwrap());
            }),
            (Kind::Calls | Kind::Waits, None) => {}
        }
    }
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
