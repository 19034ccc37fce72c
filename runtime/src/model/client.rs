//! A client that comes back with the last id it was given, and what it learned so far.

use std::future::poll_fn;

use shuttle::rand::Rng;

use crate::keeper::archive::ResumePoint;
use crate::model::explore::scope;
use crate::model::fake_peer_io::Event;
use crate::model::sequence::Sequence;
use crate::model::test_hold::TestHold;
use crate::model::test_server::{SSE, TestServer};
use abeyance_core::mechanisms::wire::WireForm;
use abeyance_core::words::cause::{Disconnect, Resume};
use abeyance_core::words::event_id::{EventId, Position};
use abeyance_core::words::topic::Topic;

/// A client of some topics, across its holds.
pub(crate) struct Client {
    topics: Vec<&'static str>,
    with_past: bool,
    /// Whether it may be told that something is lost although nothing is.
    may_err: bool,
    last: Option<EventId>,
    learned: Vec<Learned>,
}

#[derive(Clone, Debug)]
enum Learned {
    /// It has everything up to there; of a past that it still gets, what there is of it.
    Stands(EventId),
    /// It has missed something for good, and everything after this is to come.
    Lost(EventId),
    /// It has missed something for good, and what there is of the past is to come.
    Anew,
    Got(Event),
}

/// When a client came that still gets the past; 0 for one that has got it.
fn midway(id: &EventId) -> u64 {
    if id.came > id.offset { id.came } else { 0 }
}

impl Client {
    pub(crate) fn new(topics: &[&'static str]) -> Self {
        Client { topics: topics.to_vec(), with_past: false, may_err: false, last: None, learned: Vec::new() }
    }

    /// As a newcomer it wants what there is of the past.
    pub(crate) fn with_past(self) -> Self {
        Client { with_past: true, ..self }
    }

    /// Its topics may be forgotten whole. The server does not know then what they had for the client.
    pub(crate) fn of_forgotten(self) -> Self {
        Client { may_err: true, ..self }
    }

    /// A stream that ends in good order, or is cut when its client has seen only the first part of what was written.
    pub(crate) fn stream(&mut self, server: &TestServer) -> TestHold {
        let test_hold = self.stay(server);
        let is_polite = shuttle::rand::thread_rng().r#gen();
        match is_polite {
            true => server.end(&test_hold, Resume::Timeout),
            false => server.end(&test_hold, Disconnect::Gone),
        };
        let mut events = test_hold.peer_io.events();
        if !is_polite {
            events.truncate(shuttle::rand::thread_rng().gen_range(0..=events.len()));
        }
        events.into_iter().for_each(|event| self.get(event));
        if is_polite {
            self.stand_still(test_hold.hold.last_position(&[]));
        }
        test_hold
    }

    /// A stream that is not disturbed.
    pub(crate) fn stream_whole(&mut self, server: &TestServer) -> TestHold {
        let test_hold = self.stay(server);
        server.end(&test_hold, Disconnect::Gone);
        self.see(&test_hold);
        test_hold
    }

    /// A stream that goes on.
    pub(crate) fn stay(&mut self, server: &TestServer) -> TestHold {
        let test_hold = self.begin_hold(server, SSE, usize::MAX);
        test_hold.hold.open(Vec::new());
        test_hold
    }

    /// It sees all that was written to a stream.
    pub(crate) fn see(&mut self, test_hold: &TestHold) {
        test_hold.peer_io.events().into_iter().for_each(|event| self.get(event));
    }

    /// A stream whose peer takes so many bytes, one time after the other, and is cut.
    pub(crate) fn crawl(&mut self, server: &TestServer, steps: &[usize]) -> TestHold {
        let test_hold = self.begin_hold(server, SSE, 0);
        test_hold.hold.open(Vec::new());
        scope(|scope| {
            scope.spawn(|| test_hold.attend());
            steps.iter().for_each(|step| test_hold.peer_io.widen(*step));
            server.end(&test_hold, Disconnect::Gone);
        });
        self.see(&test_hold);
        test_hold
    }

    /// A long poll, which runs into its timeout if nothing comes before.
    pub(crate) fn poll(&mut self, server: &TestServer) -> TestHold {
        let test_hold = self.begin_hold(server, WireForm::LongPoll, usize::MAX);
        scope(|scope| {
            scope.spawn(|| server.end(&test_hold, Resume::Timeout));
            test_hold.hold.open(Vec::new());
            shuttle::future::block_on(poll_fn(|cx| test_hold.hold.poll_end_requested(cx)));
        });
        self.answered(&test_hold);
        test_hold
    }

    /// Its answer carries one message or, as lines, all that wait.
    fn answered(&mut self, test_hold: &TestHold) {
        let seen = test_hold.seen();
        let last_messages = test_hold.hold.end_request().expect("answered").last_messages;
        let carried = match shuttle::rand::thread_rng().r#gen() {
            true => last_messages.len(),
            false => last_messages.len().min(1),
        };
        let position = test_hold.hold.last_position(&last_messages[..carried]);
        seen.into_iter().take(carried).for_each(|event| self.get(event));
        self.stand_still(position);
    }

    /// What it is told at the end: where it stands. That something is lost it has learned when it came.
    fn stand_still(&mut self, position: Position) {
        self.stand(Position { is_lost: false, ..position });
    }

    fn begin_hold(&mut self, server: &TestServer, form: WireForm, window: usize) -> TestHold {
        let last = self.last.map(|id| id.to_string());
        let named: Vec<_> = self.topics.iter().map(|topic| Topic::from(*topic)).collect();
        let resume_point =
            server.keeper.resume_point(named.iter(), last.as_deref()).expect("an id that it was given");
        assert_eq!(resume_point == ResumePoint::New, last.is_none());
        let topics: Vec<_> = self.topics.iter().map(|topic| (*topic, self.with_past)).collect();
        let test_hold = server.begin_hold_with(form, topics, resume_point, window).expect("there is room");
        self.stand(test_hold.hold.first_position());
        test_hold
    }

    /// Whether it was given an id to bring back.
    pub(crate) fn knows_where_it_stands(&self) -> bool {
        self.last.is_some()
    }

    fn stand(&mut self, position: Position) {
        self.last = position.id.or(self.last);
        match (position.id, position.is_lost) {
            (Some(id), true) => self.learned.push(Learned::Lost(id)),
            (Some(id), false) => self.learned.push(Learned::Stands(id)),
            (None, true) => self.learned.push(Learned::Anew),
            (None, false) => {}
        }
    }

    fn get(&mut self, event: Event) {
        self.last = event.id.or(self.last);
        self.learned.push(Learned::Got(event));
    }

    /// All that it learned is true: no gap, none twice, none that is not its own, and where it was told that something
    /// is lost, something was. In the end it has everything.
    pub(crate) fn check(&self, sequence: &Sequence) {
        let at = self.check_so_far(sequence);
        let rest = at.and_then(|at| self.between(sequence, at, u64::MAX));
        assert_eq!(rest, None, "never came: {:?}", self.learned);
    }

    fn check_so_far(&self, sequence: &Sequence) -> Option<u64> {
        let mut at: Option<u64> = None;
        // What of the past is forgotten while it still gets it, it gets no more: it was published before it came.
        let mut came = 0;
        for (step, learned) in self.learned.iter().enumerate() {
            let story = || format!("step {step} of {:?}", self.learned);
            let (to, missed) = match learned {
                Learned::Stands(id) => {
                    came = came.max(midway(id));
                    (id.offset, id.offset)
                }
                Learned::Got(event) => {
                    let id = event.id.expect("kept messages have an id");
                    let offset = id.offset;
                    came = came.max(midway(&id));
                    let topic = sequence.topic(offset, &event.text);
                    assert!(self.topics.contains(&topic), "not its own: {}", story());
                    assert!(at.is_none_or(|at| at < offset), "came twice: {}", story());
                    (offset, offset - 1)
                }
                Learned::Lost(id) => {
                    let is_so = at.is_none_or(|at| self.between(sequence, at, id.came).is_some());
                    assert!(is_so || self.may_err, "nothing was lost: {}", story());
                    at = Some(id.offset);
                    came = came.max(midway(id));
                    (id.offset, id.offset)
                }
                Learned::Anew => {
                    at = None;
                    continue;
                }
            };
            assert!(at.is_none_or(|at| at <= to), "went back: {}", story());
            let gap = at.and_then(|at| self.between(sequence, at.max(came), missed));
            assert_eq!(gap, None, "a gap: {}", story());
            at = Some(to);
        }
        at.map(|at| at.max(came))
    }

    /// A message of its topics behind `after` and up to `until`.
    fn between<'s>(&self, sequence: &'s Sequence, after: u64, until: u64) -> Option<&'s str> {
        sequence.between(&self.topics, after, until)
    }
}
