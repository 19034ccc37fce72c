//! A hold, what was done with it when, and what its peer saw.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::keeper::Keeper;
use crate::keeper::ended::Ended;
use crate::keeper::hold::Hold;
use crate::model::chronicle::{Chronicle, Publication, Span};
use crate::model::house::TestKeeper;
use crate::model::line::{Event, Peer};

/// One hold.
pub(crate) struct TestHold {
    pub(crate) hold: Arc<Hold>,
    pub(crate) line: Arc<Peer>,
    keeper: Arc<Keeper>,
    /// Not the scheduler's: see [`Chronicle`].
    past: Mutex<EndLog>,
}

#[derive(Debug, Default)]
struct EndLog {
    stays: Vec<Stay>,
    ends: Vec<Span>,
}

/// One stay in a topic.
#[derive(Clone, Copy, Debug)]
struct Stay {
    topic: &'static str,
    joined: Span,
    left: Option<Span>,
}

impl TestHold {
    pub(crate) fn new(keeper: Arc<Keeper>, hold: Arc<Hold>, line: Arc<Peer>) -> Self {
        TestHold { hold, line, keeper, past: Mutex::default() }
    }

    pub(crate) fn join(&self, house: &TestKeeper, topic: &'static str) {
        let (span, joined) = house.chronicle.time(|| self.keeper.join(&self.hold, topic.into()));
        if joined.is_ok() {
            self.note_join(topic, span);
        }
    }

    pub(crate) fn leave(&self, house: &TestKeeper, topic: &'static str) {
        let (span, _) = house.chronicle.time(|| self.keeper.leave(&self.hold, topic));
        let mut past = self.past.lock().expect("nobody panics with it");
        for stay in past.stays.iter_mut().filter(|stay| stay.topic == topic) {
            stay.left.get_or_insert(span);
        }
    }

    pub(crate) fn note_join(&self, topic: &'static str, joined: Span) {
        self.past.lock().expect("nobody panics with it").stays.push(Stay { topic, joined, left: None });
    }

    pub(crate) fn note_end(&self, span: Span) {
        self.past.lock().expect("nobody panics with it").ends.push(span);
    }

    /// The word of the end that has begun, if any.
    pub(crate) fn cause(&self) -> Option<&'static str> {
        self.hold.end_request().map(|end_request| end_request.end.as_str())
    }

    /// Writes what waits, as far as the peer takes it.
    pub(crate) fn flush(&self) -> Poll<()> {
        self.hold
            .poll_flush(&mut Context::from_waker(Waker::noop()))
            .map(|flushed| flushed.expect("a line that holds"))
    }

    /// Waits as the hold's own task does, and writes what waits; back when the end has begun.
    pub(crate) fn attend(&self) {
        shuttle::future::block_on(poll_fn(|cx| {
            if self.hold.poll_noted(cx).is_ready() {
                return Poll::Ready(());
            }
            let _ = self.hold.poll_flush(cx);
            Poll::Pending
        }));
    }

    /// Waits until the peer has seen so many messages.
    pub(crate) fn wait_for(&self, count: usize) {
        shuttle::future::block_on(poll_fn(|cx| self.line.poll_events(count, cx)));
    }

    /// What the peer saw, the answer of a long poll included.
    pub(crate) fn seen(&self) -> Vec<Event> {
        let mut seen = self.line.events();
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
    pub(crate) fn check(&self, chronicle: &Chronicle) {
        let texts = self.texts();
        chronicle.check_order(&texts);
        let past = self.past.lock().expect("nobody panics with it");
        for publication in chronicle.publications() {
            let Publication { topic, text, span, .. } = &publication;
            let stays = || past.stays.iter().filter(|stay| stay.topic == *topic);
            let has_ended = past.ends.iter().any(|end| end.is_before(*span));
            let is_before_end = past.ends.iter().all(|end| span.is_before(*end));
            let must = is_before_end
                && stays().any(|stay| {
                    stay.joined.is_before(*span) && stay.left.is_none_or(|left| span.is_before(left))
                });
            let may = !has_ended
                && stays().any(|stay| {
                    !span.is_before(stay.joined) && !stay.left.is_some_and(|left| left.is_before(*span))
                });
            let came = texts.contains(text);
            assert!(came || !must, "{text} is lost: {texts:?}, {past:?}");
            assert!(!came || may, "{text} should not have come: {texts:?}, {past:?}");
        }
    }
}
