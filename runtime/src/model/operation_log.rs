//! When each operation was called and returned, in the order in which the scheduler ran them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// From a call to its return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    called: u64,
    returned: u64,
}

/// One message that was published.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    pub(crate) topic: &'static str,
    /// There is no other message with this text.
    pub(crate) text: String,
    pub(crate) span: Span,
    /// For how many holds it was accepted.
    pub(crate) accepted: usize,
}

/// The operations so far. Its locks and atomics are not the scheduler's, so that logging is no scheduling point.
#[derive(Debug, Default)]
pub(crate) struct OperationLog {
    clock: AtomicU64,
    publications: Mutex<Vec<Publication>>,
}

impl Span {
    pub(crate) fn is_before(self, other: Span) -> bool {
        self.returned < other.called
    }
}

impl OperationLog {
    pub(crate) fn time<T>(&self, act: impl FnOnce() -> T) -> (Span, T) {
        let called = self.clock.fetch_add(1, Relaxed);
        let done = act();
        let returned = self.clock.fetch_add(1, Relaxed);
        (Span { called, returned }, done)
    }

    pub(crate) fn record(&self, publication: Publication) {
        self.publications.lock().expect("no thread panics with it").push(publication);
    }

    pub(crate) fn publications(&self) -> Vec<Publication> {
        self.publications.lock().expect("no thread panics with it").clone()
    }

    pub(crate) fn publication(&self, text: &str) -> Publication {
        let publications = self.publications();
        let found = publications.into_iter().find(|publication| publication.text == text);
        found.unwrap_or_else(|| panic!("{text:?} was never published"))
    }

    /// Checks messages that came to one hold in this order: none came twice, and none before one that was published
    /// earlier.
    pub(crate) fn check_order(&self, texts: &[String]) {
        let got: Vec<_> = texts.iter().map(|text| self.publication(text)).collect();
        for (at, earlier) in got.iter().enumerate() {
            for later in &got[at + 1..] {
                assert_ne!(earlier.text, later.text, "came twice: {texts:?}");
                assert!(!later.span.is_before(earlier.span), "{} came too late: {texts:?}", later.text);
            }
        }
    }
}
