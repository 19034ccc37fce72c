//! A hold, what was done with it when, and what its peer saw.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::keeper::Keeper;
use crate::keeper::ended::Ended;
use crate::keeper::hold::Hold;
use crate::model::fake_peer_io::{Event, FakePeerIo};
use crate::model::operation_log::{OperationLog, Publication, Span};
use crate::model::test_server::TestServer;

/// One hold.
pub(crate) struct TestHold {
    pub(crate) hold: Arc<Hold>,
    pub(crate) peer_io: Arc<FakePeerIo>,
    keeper: Arc<Keeper>,
    /// Not the scheduler's: see [`OperationLog`].
    own_log: Mutex<HoldLog>,
}

#[derive(Debug, Default)]
struct HoldLog {
    memberships: Vec<Membership>,
    ends: Vec<Span>,
}

/// One stay in a topic.
#[derive(Clone, Copy, Debug)]
struct Membership {
    topic: &'static str,
    joined: Span,
    left: Option<Span>,
}

impl TestHold {
    pub(crate) fn new(keeper: Arc<Keeper>, hold: Arc<Hold>, peer_io: Arc<FakePeerIo>) -> Self {
        TestHold { hold, peer_io, keeper, own_log: Mutex::default() }
    }

    pub(crate) fn join(&self, server: &TestServer, topic: &'static str) {
        let (span, joined) = server.log.time(|| self.keeper.join(&self.hold, topic.into()));
        if joined.is_ok() {
            self.record_join(topic, span);
        }
    }

    pub(crate) fn leave(&self, server: &TestServer, topic: &'static str) {
        let (span, _) = server.log.time(|| self.keeper.leave(&self.hold, topic));
        let mut own_log = self.own_log.lock().expect("no thread panics with it");
        for membership in own_log.memberships.iter_mut().filter(|membership| membership.topic == topic) {
            membership.left.get_or_insert(span);
        }
    }

    pub(crate) fn record_join(&self, topic: &'static str, joined: Span) {
        self.own_log.lock().expect("no thread panics with it").memberships.push(Membership {
            topic,
            joined,
            left: None,
        });
    }

    pub(crate) fn record_end(&self, span: Span) {
        self.own_log.lock().expect("no thread panics with it").ends.push(span);
    }

    /// The word of the end that has begun, if any.
    pub(crate) fn cause(&self) -> Option<&'static str> {
        self.hold.end_request().map(|end_request| end_request.end.as_str())
    }

    /// Writes what waits, as far as the peer takes it.
    pub(crate) fn flush(&self) -> Poll<()> {
        self.hold
            .poll_flush(&mut Context::from_waker(Waker::noop()))
            .map(|flushed| flushed.expect("the peer takes it"))
    }

    /// Waits as the hold's own task does, and writes what waits; back when the end has begun.
    pub(crate) fn attend(&self) {
        shuttle::future::block_on(poll_fn(|cx| {
            if self.hold.poll_end_requested(cx).is_ready() {
                return Poll::Ready(());
            }
            let _ = self.hold.poll_flush(cx);
            Poll::Pending
        }));
    }

    /// Waits until the peer has seen so many messages.
    pub(crate) fn wait_for(&self, count: usize) {
        shuttle::future::block_on(poll_fn(|cx| self.peer_io.poll_events(count, cx)));
    }

    /// What the peer saw, the answer of a long poll included.
    pub(crate) fn seen(&self) -> Vec<Event> {
        let mut seen = self.peer_io.events();
        let last_messages =
            self.hold.end_request().map_or(Vec::new(), |end_request| end_request.last_messages);
        seen.extend(last_messages.into_iter().map(|numbered| Event {
            id: numbered.id,
            text: numbered.message.as_text().expect("text").to_owned(),
        }));
        seen
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        self.seen().into_iter().map(|event| event.text).collect()
    }

    /// How many messages it was given, and how many of them it was not told of.
    pub(crate) fn accepted(&self) -> usize {
        self.seen().len() + Ended::of(&self.hold, true).undelivered() as usize
    }

    /// It saw every message that was published while it had joined, and none that was published while it had not; none
    /// twice, and in the order of their publishing where they have one.
    pub(crate) fn check(&self, log: &OperationLog) {
        let texts = self.texts();
        log.check_order(&texts);
        let own_log = self.own_log.lock().expect("no thread panics with it");
        for publication in log.publications() {
            let Publication { topic, text, span, .. } = &publication;
            let memberships = || own_log.memberships.iter().filter(|membership| membership.topic == *topic);
            let has_ended = own_log.ends.iter().any(|end| end.is_before(*span));
            let is_before_end = own_log.ends.iter().all(|end| span.is_before(*end));
            let must = is_before_end
                && memberships().any(|membership| {
                    membership.joined.is_before(*span)
                        && membership.left.is_none_or(|left| span.is_before(left))
                });
            let may = !has_ended
                && memberships().any(|membership| {
                    !span.is_before(membership.joined)
                        && !membership.left.is_some_and(|left| left.is_before(*span))
                });
            let came = texts.contains(text);
            assert!(came || !must, "{text} is lost: {texts:?}, {own_log:?}");
            assert!(!came || may, "{text} should not have come: {texts:?}, {own_log:?}");
        }
    }
}
