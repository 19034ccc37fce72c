//! Topics: joining, leaving, and one message to all that joined.

use std::hash::BuildHasher;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::mechanisms::topics::{Place, Topics};
use crate::mechanisms::wire::Encoded;
use crate::words::message::Message;
use crate::words::topic::Topic;

use super::Keeper;
use super::hold::Hold;
use super::send::{Origin, Refusal};

/// The members of all topics, in shards so that busy topics do not wait for each other.
pub(super) struct TopicShards {
    shards: [Mutex<Topics<Arc<Hold>>>; 16],
    hasher: std::hash::RandomState,
}

impl TopicShards {
    pub(super) fn new() -> Self {
        TopicShards { shards: std::array::from_fn(|_| Mutex::new(Topics::new())), hasher: Default::default() }
    }

    fn shard(&self, topic: &str) -> &Mutex<Topics<Arc<Hold>>> {
        &self.shards[self.hasher.hash_one(topic) as usize % self.shards.len()]
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.lock().is_empty())
    }

    pub(super) fn leave(&self, topic: &Topic, place: Place) {
        let member = self.shard(topic.as_str()).lock().leave(topic.as_str(), place);
        // Not under the lock: it may be the last handle on the hold.
        drop(member);
    }
}

impl Keeper {
    /// Joins a topic; joining twice is joining once, and a hold whose end has begun joins nothing.
    pub(crate) fn join(&self, hold: &Arc<Hold>, topic: Topic) {
        // The pen under the topics: a second place, or one that is taken back, would be seen by publishers.
        let mut topics = self.topics.shard(topic.as_str()).lock();
        let mut pen = hold.pen();
        if pen.note.is_some() || pen.joined.iter().any(|(joined, _)| *joined == topic) {
            return;
        }
        let joined = topics.join(topic, hold.clone());
        let before = std::mem::take(&mut pen.joined);
        pen.joined = before.into_iter().chain([joined]).collect();
    }

    /// Leaves a topic; nothing happens if it was not joined.
    pub(crate) fn leave(&self, hold: &Hold, topic: &str) {
        let mut topics = self.topics.shard(topic).lock();
        let mut pen = hold.pen();
        let Some(at) = pen.joined.iter().position(|(joined, _)| joined.as_str() == topic) else { return };
        let mut joined = std::mem::take(&mut pen.joined).into_vec();
        let (_, place) = joined.swap_remove(at);
        pen.joined = joined.into();
        drop(pen);
        let member = topics.leave(topic, place);
        drop(topics);
        drop(member);
    }

    /// Everybody who joined `topic`.
    pub(super) fn members(&self, topic: &str) -> Vec<Arc<Hold>> {
        self.topics.shard(topic).lock().members(topic).cloned().collect()
    }

    /// Sends a message to all that joined `topic`; says for how many holds it was accepted. Never waits.
    pub(crate) fn publish(&self, topic: &str, message: &Message) -> usize {
        let encoded = Encoded::new(message);
        let mut accepted = 0;
        for hold in self.members(topic) {
            match hold.send(&encoded, Origin::Published) {
                Ok(()) => accepted += 1,
                // What follows for the hold has followed.
                Err(Refusal::Full | Refusal::Ended) => {}
                // The publisher's fault, not the peer's.
                Err(Refusal::TooLarge) => tracing::warn!(
                    hold = %hold.id,
                    topic,
                    bytes = message.len(),
                    "message larger than the backlog: not sent"
                ),
            }
        }
        accepted
    }
}
