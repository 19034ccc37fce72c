//! What the application was told: who was held, what each hold heard, and how it ended.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};

use abeyance::{End, Ended, Held, HoldId, Message};
use tokio::time::Instant;

#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    begun: Vec<(HoldId, String)>,
    heard: Vec<(HoldId, Heard)>,
    ended: Vec<(HoldId, Over)>,
}

/// A message that `on_message` got.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) message: Message,
    /// It was sent back.
    pub(super) is_echoed: bool,
    pub(super) at: Instant,
}

/// How a hold ended, as its end hook was told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Over {
    pub(super) cause: &'static str,
    pub(super) at: Instant,
}

impl Log {
    pub(super) fn begin(&self, held: &Held) {
        self.entries().begun.push((held.id(), held.token()));
    }

    pub(super) fn hear(&self, held: &Held, message: &Message, is_echoed: bool) {
        let heard = Heard { message: message.clone(), is_echoed, at: Instant::now() };
        self.entries().heard.push((held.id(), heard));
    }

    pub(super) fn end(&self, ended: &Ended, end: &End) {
        let over = Over { cause: end.as_str(), at: Instant::now() };
        self.entries().ended.push((ended.id(), over));
    }

    /// How many have begun.
    pub(super) fn begun(&self) -> usize {
        self.entries().begun.len()
    }

    /// Who began last, and its token.
    pub(super) fn latest(&self) -> Option<(HoldId, String)> {
        self.entries().begun.last().cloned()
    }

    /// What a hold heard, in order.
    pub(super) fn heard(&self, id: HoldId) -> Vec<Heard> {
        let entries = self.entries();
        entries.heard.iter().filter(|(of, _)| *of == id).map(|(_, heard)| heard.clone()).collect()
    }

    /// How a hold ended, if it has.
    pub(super) fn over(&self, id: HoldId) -> Option<Over> {
        self.entries().ended.iter().find(|(of, _)| *of == id).map(|(_, over)| *over)
    }

    /// Each of so many was told its end, once.
    pub(super) fn check(&self, suspended: u64) {
        let entries = self.entries();
        let ended: HashSet<HoldId> = entries.ended.iter().map(|(id, _)| *id).collect();
        assert_eq!(ended.len(), entries.ended.len(), "an end was told twice: {:?}", entries.ended);
        assert_eq!(ended.len() as u64, suspended, "not each was told its end");
        let begun: HashSet<HoldId> = entries.begun.iter().map(|(id, _)| *id).collect();
        assert_eq!(begun, ended, "`on_suspend` runs before every end hook");
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().expect("nothing panics while it is locked, but a check that fails")
    }
}
