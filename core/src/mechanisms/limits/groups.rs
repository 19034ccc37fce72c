//! The holds of each peer or key, oldest first.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use crate::words::hold_id::HoldId;

/// The holders of places by peer or key; empty groups cost nothing.
#[derive(Debug)]
pub(super) struct Groups<K> {
    groups: HashMap<K, Group>,
    /// How many groups there ever were.
    count: u64,
    /// The holds of all groups, by the group's number. Ids grow with every hold, so those of a group are oldest first.
    ///
    /// One set for all: a list in each group would cost every peer an allocation, and leaving a long one a search.
    seated: BTreeSet<(u64, HoldId)>,
}

#[derive(Debug)]
struct Group {
    number: u64,
    taken: usize,
}

/// The holds of one group, oldest first; empty where there is no such group.
#[derive(Clone, Copy, Debug, Default)]
pub struct HoldersOfKey<'a>(Option<(&'a BTreeSet<(u64, HoldId)>, u64)>);

impl<K: Eq + Hash> Groups<K> {
    pub(super) fn new() -> Self {
        Groups { groups: HashMap::new(), count: 0, seated: BTreeSet::new() }
    }

    pub(super) fn taken(&self, key: &K) -> usize {
        self.groups.get(key).map_or(0, |group| group.taken)
    }

    pub(super) fn take(&mut self, key: K) {
        let count = &mut self.count;
        let found = || {
            *count += 1;
            Group { number: *count, taken: 0 }
        };
        self.groups.entry(key).or_insert_with(found).taken += 1;
    }

    pub(super) fn seat(&mut self, key: &K, id: HoldId) {
        if let Some(group) = self.groups.get(key) {
            self.seated.insert((group.number, id));
        }
    }

    pub(super) fn holders(&self, key: &K) -> HoldersOfKey<'_> {
        HoldersOfKey(self.groups.get(key).map(|group| (&self.seated, group.number)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.seated.is_empty()
    }

    pub(super) fn give_back(&mut self, key: K, seated: Option<HoldId>) {
        let Some(group) = self.groups.get_mut(&key) else { return };
        group.taken -= 1;
        if let Some(id) = seated {
            self.seated.remove(&(group.number, id));
        }
        if group.taken == 0 {
            self.groups.remove(&key);
            if self.groups.capacity() > 64 && self.groups.len() < self.groups.capacity() / 8 {
                self.groups.shrink_to_fit();
            }
        }
    }
}

impl<'a> HoldersOfKey<'a> {
    pub fn iter(self) -> impl Iterator<Item = HoldId> + use<'a> {
        self.0.into_iter().flat_map(|(seated, number)| {
            seated.range((number, HoldId::FIRST)..(number + 1, HoldId::FIRST)).map(|(_, id)| *id)
        })
    }

    /// Without looking at the others.
    pub fn contains(self, id: HoldId) -> bool {
        self.0.is_some_and(|(seated, number)| seated.contains(&(number, id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_without_holders_leave_no_memory() {
        let mut groups = Groups::new();
        for key in 0..10_000 {
            groups.take(key);
            groups.seat(&key, HoldId::new(key, 0));
        }
        (0..10_000).for_each(|key| groups.give_back(key, Some(HoldId::new(key, 0))));
        assert!(groups.groups.capacity() <= 64);
        assert!(groups.seated.is_empty());
    }
}
