//! All kept messages in their one order, to compare with what others saw.

use crate::model::chronicle::Publication;
use crate::model::guest::TestHold;
use crate::model::house::TestKeeper;
use crate::model::line::Event;

/// The messages, in order.
pub(crate) struct Sequence(Vec<Entry>);

struct Entry {
    offset: u64,
    topic: &'static str,
    text: String,
}

impl Sequence {
    /// As somebody saw it who was there all along and followed every topic.
    pub(crate) fn of(scribe: &TestHold, house: &TestKeeper) -> Self {
        let events = scribe.line.events();
        let texts: Vec<_> = events.iter().map(|event| event.text.clone()).collect();
        house.chronicle.check_order(&texts);
        assert!(events.is_sorted_by_key(|event| event.id.map(|id| id.offset)), "{events:?}");
        assert_eq!(events.len(), house.chronicle.publications().len(), "{events:?}");
        let entry = |event: Event| Entry {
            offset: event.id.expect("kept messages have an id").offset,
            topic: house.chronicle.publication(&event.text).topic,
            text: event.text,
        };
        Sequence(events.into_iter().map(entry).collect())
    }

    /// As the only publisher knows it.
    pub(crate) fn of_one_publisher(house: &TestKeeper) -> Self {
        let publications = house.chronicle.publications().into_iter();
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

    /// The topic of the message that has this place.
    pub(crate) fn topic(&self, offset: u64, text: &str) -> &'static str {
        let entry = self.0.iter().find(|entry| entry.offset == offset);
        let entry = entry.unwrap_or_else(|| panic!("{text:?} has {offset}, which nothing has"));
        assert_eq!(entry.text, text, "two messages of one id");
        entry.topic
    }
}
