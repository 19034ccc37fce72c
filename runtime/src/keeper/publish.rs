//! Topics: joining, leaving, and one message to all that joined.

use std::hash::BuildHasher;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::mechanisms::topics::{Place, Topics};
use crate::mechanisms::wire::Encoded;
use crate::words::cause::Disconnect;
use crate::words::message::Message;
use crate::words::topic::Topic;

use super::Keeper;
use super::hold::Hold;
use super::pen::{Origin, Refusal};

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

    pub(super) fn leave(&self, topic: &Topic, place: Place) {
        let member = self.shard(topic.as_str()).lock().leave(topic.as_str(), place);
        // Not under the lock: it may be the last handle on the hold.
        drop(member);
    }
}

impl Keeper {
    /// Joins a topic; joining twice is joining once, and a hold whose end has begun joins nothing.
    pub(crate) fn join(&self, hold: &Arc<Hold>, topic: Topic) {
        let shard = self.topics.shard(topic.as_str());
        // The name that all members share: an idle hold keeps none of its own.
        let (topic, place) = shard.lock().join(topic, hold.clone());
        let mut pen = hold.pen.lock();
        let is_member = pen.joined.iter().any(|(joined, _)| *joined == topic);
        if pen.note.is_none() && !is_member {
            let joined = std::mem::take(&mut pen.joined);
            pen.joined = joined.into_iter().chain([(topic, place)]).collect();
            return;
        }
        drop(pen);
        self.topics.leave(&topic, place);
    }

    /// Leaves a topic; nothing happens if it was not joined.
    pub(crate) fn leave(&self, hold: &Hold, topic: &str) {
        let mut pen = hold.pen.lock();
        let Some(at) = pen.joined.iter().position(|(joined, _)| joined.as_str() == topic) else { return };
        let mut joined = std::mem::take(&mut pen.joined).into_vec();
        let (topic, place) = joined.swap_remove(at);
        pen.joined = joined.into();
        drop(pen);
        self.topics.leave(&topic, place);
    }

    /// Sends a message to all that joined `topic`; says for how many holds it was accepted. Never waits.
    pub(crate) fn publish(&self, topic: &str, message: &Message) -> usize {
        let members: Vec<_> = self.topics.shard(topic).lock().members(topic).cloned().collect();
        let encoded = Encoded::new(message);
        let mut accepted = 0;
        for hold in members {
            match hold.send(&encoded, Origin::Published) {
                Ok(()) => accepted += 1,
                // Not `TooLarge`: that is the publisher's fault, not the peer's.
                Err(Refusal::Full) => {
                    self.end(&hold, Disconnect::Slow.into());
                }
                Err(Refusal::Ended) => {}
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
