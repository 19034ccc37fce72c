//! Which holds there are, and the law over them: `suspended = held + ending + Σ ended by cause`.
//!
//! An entry is *held* until its first [`end`](Ledger::end), *ending* until [`settle`](Ledger::settle), then gone. Both lists
//! (the held of each endpoint, and all that are ending) are kept oldest first, by links inside the entries; what was
//! [`cut`](Ledger::cut) goes to the back.

use slab::Slab;

use crate::words::cause::{CAUSES, End};
use crate::words::hold_id::HoldId;
use crate::words::tick::Tick;

/// The record of all holds. `H` is what is kept while a hold is held; it is given back at its end.
#[derive(Debug)]
pub struct Ledger<H, E> {
    entries: Slab<Entry<H, E>>,
    turn: u64,
    endpoints: Vec<Page>,
    ending: List,
    total: Counts,
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub suspended: u64,
    pub held: usize,
    pub ending: usize,
    /// The most that were held at one instant.
    pub peak: usize,
    pub ended: [u64; CAUSES.len()],
}

#[derive(Debug, Default)]
struct Page {
    held: List,
    counts: Counts,
}

#[derive(Debug)]
struct Entry<H, E> {
    state: State<H>,
    each: E,
    id: HoldId,
    began: Tick,
    endpoint: u32,
    older: u32,
    newer: u32,
}

#[derive(Debug)]
enum State<H> {
    Held(H),
    /// The cause, as [`End::index`].
    Ending(u8),
}

/// One of the linked lists: its oldest and newest slot.
#[derive(Clone, Copy, Debug)]
struct List {
    oldest: u32,
    newest: u32,
}

const NONE: u32 = u32::MAX;

impl Counts {
    /// The law. It holds between any two calls.
    pub fn is_lawful(&self) -> bool {
        self.suspended == self.held as u64 + self.ending as u64 + self.ended.iter().sum::<u64>()
    }
}

impl<H, E> Ledger<H, E> {
    pub fn new(endpoints: usize) -> Self {
        Ledger {
            entries: Slab::new(),
            turn: 0,
            endpoints: (0..endpoints).map(|_| Page::default()).collect(),
            ending: List::default(),
            total: Counts::default(),
        }
    }

    /// The id the next hold will have.
    pub fn next_id(&self) -> HoldId {
        let slot = self.entries.vacant_key();
        assert!(slot < HoldId::MAX_SLOTS, "more than {} holds at once", HoldId::MAX_SLOTS);
        HoldId::new(self.turn, slot as u32)
    }

    /// A hold begins, under [`next_id`](Ledger::next_id). `each` stays until it is settled, `held` until its end.
    pub fn begin(&mut self, endpoint: u32, now: Tick, each: E, held: H) -> HoldId {
        let id = self.next_id();
        self.turn += 1;
        let state = State::Held(held);
        self.entries.insert(Entry { state, each, id, began: now, endpoint, older: NONE, newer: NONE });
        push(&mut self.entries, &mut self.endpoints[endpoint as usize].held, id.slot());
        for counts in [&mut self.total, &mut self.endpoints[endpoint as usize].counts] {
            counts.suspended += 1;
            counts.held += 1;
            counts.peak = counts.peak.max(counts.held);
        }
        id
    }

    /// A hold's end begins. `None` if it had begun before: the first cause stands.
    pub fn end(&mut self, id: HoldId, end: &End) -> Option<H> {
        let entry = self.entries.get_mut(id.slot() as usize).filter(|entry| entry.id == id)?;
        let State::Held(_) = entry.state else { return None };
        let State::Held(held) = std::mem::replace(&mut entry.state, State::Ending(end.index() as u8)) else {
            return None;
        };
        let endpoint = entry.endpoint as usize;
        unlink(&mut self.entries, &mut self.endpoints[endpoint].held, id.slot());
        push(&mut self.entries, &mut self.ending, id.slot());
        for counts in [&mut self.total, &mut self.endpoints[endpoint].counts] {
            counts.held -= 1;
            counts.ending += 1;
        }
        Some(held)
    }

    /// A hold's wire is finished: it has ended, and its slot is free. `None` if it is not ending.
    pub fn settle(&mut self, id: HoldId) -> Option<E> {
        let entry = self.entries.get(id.slot() as usize).filter(|entry| entry.id == id)?;
        let State::Ending(cause) = entry.state else { return None };
        let endpoint = entry.endpoint as usize;
        unlink(&mut self.entries, &mut self.ending, id.slot());
        let entry = self.entries.remove(id.slot() as usize);
        if self.entries.is_empty() && self.entries.capacity() > 64 {
            self.entries.shrink_to_fit();
        }
        for counts in [&mut self.total, &mut self.endpoints[endpoint].counts] {
            counts.ending -= 1;
            counts.ended[usize::from(cause)] += 1;
        }
        Some(entry.each)
    }

    /// The entry of a hold that has not settled yet.
    pub fn get(&self, id: HoldId) -> Option<&E> {
        self.entries.get(id.slot() as usize).filter(|entry| entry.id == id).map(|entry| &entry.each)
    }

    /// The entry in `slot`, of any generation.
    pub fn at(&self, slot: u32) -> Option<&E> {
        self.entries.get(slot as usize).map(|entry| &entry.each)
    }

    /// Every held hold, in no order.
    pub fn held(&self) -> impl Iterator<Item = &E> {
        self.entries.iter().filter(|(_, entry)| entry.is_held()).map(|(_, entry)| &entry.each)
    }

    /// Every hold that is ending, in no order.
    pub fn ending(&self) -> impl Iterator<Item = &E> {
        self.entries.iter().filter(|(_, entry)| !entry.is_held()).map(|(_, entry)| &entry.each)
    }

    /// The oldest held hold of `endpoint`, and when it began.
    pub fn oldest_of(&self, endpoint: u32) -> Option<(HoldId, Tick)> {
        self.entries.get(self.endpoints[endpoint as usize].held.oldest as usize).map(Entry::age)
    }

    /// When the held hold in `slot` began, and where.
    pub fn age(&self, slot: u32) -> Option<(HoldId, Tick)> {
        self.entries.get(slot as usize).filter(|entry| entry.is_held()).map(Entry::age)
    }

    /// The hold that has been ending for longest, to be cut; the next call gives the one after it.
    pub fn cut(&mut self) -> Option<&E> {
        let slot = self.ending.oldest;
        self.entries.get(slot as usize)?;
        unlink(&mut self.entries, &mut self.ending, slot);
        push(&mut self.entries, &mut self.ending, slot);
        self.entries.get(slot as usize).map(|entry| &entry.each)
    }

    pub fn counts(&self) -> &Counts {
        &self.total
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn counts_of(&self, endpoint: u32) -> &Counts {
        &self.endpoints[endpoint as usize].counts
    }
}

impl<H, E> Entry<H, E> {
    fn is_held(&self) -> bool {
        matches!(self.state, State::Held(_))
    }

    fn age(&self) -> (HoldId, Tick) {
        (self.id, self.began)
    }
}

impl Default for List {
    fn default() -> Self {
        List { oldest: NONE, newest: NONE }
    }
}

fn push<H, E>(entries: &mut Slab<Entry<H, E>>, list: &mut List, slot: u32) {
    let before = std::mem::replace(&mut list.newest, slot);
    entries[slot as usize].older = before;
    entries[slot as usize].newer = NONE;
    match entries.get_mut(before as usize) {
        Some(entry) => entry.newer = slot,
        None => list.oldest = slot,
    }
}

fn unlink<H, E>(entries: &mut Slab<Entry<H, E>>, list: &mut List, slot: u32) {
    let Entry { older, newer, .. } = entries[slot as usize];
    match entries.get_mut(older as usize) {
        Some(entry) => entry.newer = newer,
        None => list.oldest = newer,
    }
    match entries.get_mut(newer as usize) {
        Some(entry) => entry.older = older,
        None => list.newest = older,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::words::cause::{Disconnect, Resume};

    fn timeout() -> End {
        Resume::Timeout.into()
    }

    #[test]
    fn the_first_cause_stands() {
        let mut ledger = Ledger::new(1);
        let id = ledger.begin(0, Tick(0), (), "permit");
        assert_eq!(ledger.end(id, &timeout()), Some("permit"));
        assert_eq!(ledger.end(id, &Disconnect::Gone.into()), None);
        assert_eq!(ledger.settle(id), Some(()));
        assert_eq!(ledger.settle(id), None);
        assert_eq!(ledger.counts().ended[timeout().index()], 1);
    }

    #[test]
    fn a_hold_settles_only_after_its_end() {
        let mut ledger = Ledger::new(1);
        let id = ledger.begin(0, Tick(0), (), ());
        assert_eq!(ledger.settle(id), None);
    }

    #[test]
    fn a_slot_used_again_does_not_answer_to_the_old_id() {
        let mut ledger = Ledger::new(1);
        let first = ledger.begin(0, Tick(0), "first", ());
        ledger.end(first, &timeout());
        ledger.settle(first);
        let second = ledger.begin(0, Tick(0), "second", ());
        assert_eq!(first.slot(), second.slot());
        assert_eq!(ledger.get(first), None);
        assert_eq!(ledger.get(second), Some(&"second"));
    }

    #[test]
    fn the_oldest_is_found_no_matter_which_left_before() {
        let mut ledger = Ledger::new(2);
        let ids: Vec<_> = (0..4).map(|n| ledger.begin(0, Tick(n), (), ())).collect();
        ledger.begin(1, Tick(9), (), ());
        ledger.end(ids[0], &timeout());
        ledger.end(ids[2], &timeout());
        assert_eq!(ledger.oldest_of(0), Some((ids[1], Tick(1))));
        assert_eq!(ledger.counts_of(0).held, 2);
        assert_eq!(ledger.counts_of(1).held, 1);
    }

    proptest! {
        #[test]
        fn the_law_holds_at_every_step(steps in prop::collection::vec((0u8..3, 0usize..16, 0u32..3), 0..400)) {
            let mut ledger = Ledger::new(3);
            let mut model: Vec<(HoldId, u32, bool)> = Vec::new();
            let mut settled = 0u64;
            for (now, (step, which, endpoint)) in steps.into_iter().enumerate() {
                match (step, model.get_mut(which)) {
                    (0, _) => {
                        model.push((ledger.begin(endpoint, Tick(now as u64), (), ()), endpoint, true));
                    }
                    (1, Some((id, _, held))) => {
                        prop_assert_eq!(ledger.end(*id, &timeout()).is_some(), *held);
                        *held = false;
                    }
                    (2, Some((id, _, held))) => {
                        let ending = !*held;
                        prop_assert_eq!(ledger.settle(*id).is_some(), ending);
                        if ending {
                            model.remove(which);
                            settled += 1;
                        }
                    }
                    _ => {}
                }
                prop_assert!(ledger.counts().is_lawful());
                prop_assert_eq!(ledger.counts().held, model.iter().filter(|hold| hold.2).count());
                prop_assert_eq!(ledger.counts().ended.iter().sum::<u64>(), settled);
                for endpoint in 0..3 {
                    let oldest = model.iter().find(|hold| hold.1 == endpoint && hold.2).map(|hold| hold.0);
                    prop_assert_eq!(ledger.oldest_of(endpoint).map(|oldest| oldest.0), oldest);
                    prop_assert!(ledger.counts_of(endpoint).is_lawful());
                }
            }
        }
    }
}
