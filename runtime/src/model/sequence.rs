//! All kept messages in their one order, to compare with what others saw.

use crate::model::fake_peer_io::Event;
use crate::model::operation_log::Publication;
use crate::model::test_hold::TestHold;
use crate::model::test_server::TestServer;

/// The messages, in order.
pub(crate) struct Sequence(Vec<Entry>);

struct Entry {
    offset: u64,
    topic: &'static str,
    text: String,
}

impl Sequence {
    /// As a hold saw it that followed every topic all along.
    pub(crate) fn of(observer: &TestHold, server: &TestServer) -> Self {
        let events = observer.peer_io.events();
        let texts: Vec<_> = events.iter().map(|event| event.text.clone()).collect();
        server.log.check_order(&texts);
        assert!(events.is_sorted_by_key(|event| event.id.map(|id| id.offset)), "{events:?}");
        assert_eq!(events.len(), server.log.publications().len(), "{events:?}");
        let entry = |event: Event| Entry {
            offset: event.id.expect("kept messages have an id").offset,
            topic: server.log.publication(&event.text).topic,
            text: event.text,
        };
        Sequence(events.into_iter().map(entry).collect())
    }

    /// As the only publisher knows it.
    pub(crate) fn of_one_publisher(server: &TestServer) -> Self {
        let publications = server.log.publications().into_iter();
        let entry = |(one, offset): (Publication, u64)| Entry { offset, topic: one.topic, text: one.text };
        Sequence(publications.zip(1..).map(entry).collect())
    }

    /// Messages of the sequence, in its order.
    pub(crate) fn check_ascending(&self, events: &[Event]) {
        let offsets: Vec<_> = events.iter().map(|event| event.id.expect("an id").offset).collect();
        assert!(offsets.is_sorted_by(|earlier, later| earlier < later), "{events:?}");
        events.iter().zip(offsets).for_each(|(event, offset)| _ = self.topic(offset, &event.text));
    }

    /// A message of these topics behind `after` and up to `until`.
    pub(crate) fn between(&self, topics: &[&str], after: u64, until: u64) -> Option<&str> {
        let entries = self.0.iter().filter(|entry| entry.offset > after && entry.offset <= until);
        entries.filter(|entry| topics.contains(&entry.topic)).map(|entry| entry.text.as_str()).next()
    }

    /// The topic of the message with this offset.
    pub(crate) fn topic(&self, offset: u64, text: &str) -> &'static str {
        let entry = self.0.iter().find(|entry| entry.offset == offset);
        let entry = entry.unwrap_or_else(|| panic!("{text:?} has {offset}, which nothing has"));
        assert_eq!(entry.text, text, "two messages of one id");
        entry.topic
    }
}
