//! Who joined what.

use std::collections::HashMap;

use slab::Slab;

use crate::words::topic::Topic;

/// The members of every topic. A topic without members costs nothing.
#[derive(Debug)]
pub struct Topics<M> {
    rooms: HashMap<Topic, Slab<M>>,
}

/// A member's place in one topic, needed to leave it without a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberSlot(u32);

/// Who left a topic.
#[derive(Debug, PartialEq, Eq)]
pub struct Left<M> {
    pub member: M,
    /// The last member has left.
    pub was_last: bool,
}

impl<M> Default for Topics<M> {
    fn default() -> Self {
        Topics { rooms: HashMap::new() }
    }
}

impl<M> Topics<M> {
    pub fn new() -> Self {
        Topics::default()
    }

    /// Joins; gives back the place, and the topic's name as all its members share it.
    pub fn join(&mut self, topic: Topic, member: M) -> (Topic, MemberSlot) {
        let name = match self.rooms.get_key_value(&topic) {
            Some((name, _)) => name.clone(),
            None => topic,
        };
        let place = self.rooms.entry(name.clone()).or_default().insert(member);
        (
            name,
            MemberSlot(
                u32::try_from(place).expect("fewer members than holds, of which there are under 2^24"),
            ),
        )
    }

    pub fn leave(&mut self, topic: &str, place: MemberSlot) -> Option<Left<M>> {
        let room = self.rooms.get_mut(topic)?;
        let member = room.try_remove(place.0 as usize)?;
        let was_last = room.is_empty();
        if was_last {
            self.rooms.remove(topic);
            if self.rooms.capacity() > 64 && self.rooms.len() < self.rooms.capacity() / 8 {
                self.rooms.shrink_to_fit();
            }
        }
        Some(Left { member, was_last })
    }

    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// How many are in `topic`.
    pub fn count(&self, topic: &str) -> usize {
        self.rooms.get(topic).map_or(0, Slab::len)
    }

    /// The members of `topic`, in no order.
    pub fn members(&self, topic: &str) -> impl Iterator<Item = &M> {
        self.rooms.get(topic).into_iter().flat_map(|room| room.iter().map(|(_, member)| member))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_leaves_the_topic_it_joined_and_no_other() {
        let mut topics = Topics::new();
        let (a, b) = (Topic::from("a"), Topic::from("b"));
        let (_, place) = topics.join(a.clone(), 1);
        let (_, other) = topics.join(a, 2);
        topics.join(b, 1);
        assert_eq!(topics.leave("a", place), Some(Left { member: 1, was_last: false }));
        assert_eq!(topics.members("a").copied().collect::<Vec<_>>(), [2]);
        assert_eq!(topics.members("b").copied().collect::<Vec<_>>(), [1]);
        assert_eq!(topics.leave("a", place), None);
        assert_eq!(topics.leave("a", other), Some(Left { member: 2, was_last: true }));
    }

    #[test]
    fn topics_without_members_leave_no_memory() {
        let mut topics = Topics::new();
        for n in 0..10_000 {
            let topic = Topic::from(n.to_string());
            let (topic, place) = topics.join(topic, ());
            topics.leave(topic.as_str(), place);
        }
        let places: Vec<_> =
            (0..10_000).map(|n| Topic::from(n.to_string())).map(|topic| topics.join(topic, ())).collect();
        for (topic, place) in places {
            topics.leave(topic.as_str(), place);
        }
        assert!(topics.rooms.is_empty());
        assert!(topics.rooms.capacity() <= 64);
    }
}
