//! Topics: joining, leaving, and one message to all members.

use std::hash::BuildHasher;
use std::sync::Arc;

use abeyance_core::mechanisms::topics::{MemberSlot, Topics};
use abeyance_core::mechanisms::wire::Encoded;
use abeyance_core::sync::{Mutex, RandomState};
use abeyance_core::words::message::Message;
use abeyance_core::words::topic::Topic;

use super::Keeper;
use super::archive::ResumePoint;
use super::hold::Hold;
use super::message_class::MessageClass;
use super::outbox::Outbox;
use super::send::Refusal;

/// The members of all topics, in shards so that busy topics rarely wait for each other.
pub(super) struct TopicShards {
    shards: [Mutex<Topics<Arc<Hold>>>; 16],
    hasher: RandomState,
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

    #[cfg(test)]
    pub(super) fn is_locked(&self, topic: &str) -> bool {
        self.shard(topic).is_locked()
    }

    /// Leaves a topic. `true` if that was its last member.
    #[must_use = "a topic that has ended is to be told so"]
    pub(super) fn leave(&self, topic: &Topic, slot: MemberSlot) -> bool {
        let left = self.shard(topic.as_str()).lock().leave(topic.as_str(), slot);
        // Dropped with the shard unlocked: it may be the last handle on the hold.
        left.is_some_and(|left| left.was_last)
    }

    /// Calls `act` if `topic` has no members. The shard stays locked meanwhile, so that no hold joins.
    pub(super) fn if_empty<T>(&self, topic: &str, act: impl FnOnce() -> T) -> Option<T> {
        let topics = self.shard(topic).lock();
        let is_empty = topics.members(topic).next().is_none();
        is_empty.then(act)
    }
}

/// Why a hold did not join a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JoinRefusal {
    Ended,
    TooMany,
}

impl Keeper {
    /// A new hold joins its topics, and follows those that keep a history from the resume point of its client. `true`
    /// marks topics whose whole history a new client wants.
    pub(crate) fn enter(&self, hold: &Arc<Hold>, topics: &[(Topic, bool)], resume_point: ResumePoint) {
        // First joined, then followed: every message that is published from here on finds the hold, and the cursor is
        // set in one moment for all topics.
        for (topic, _) in topics {
            let _ = self.add_member(hold, topic, |_| {});
        }
        hold.follow(topics, resume_point);
    }

    /// Joins a topic. Joining twice is joining once.
    pub(crate) fn join(&self, hold: &Arc<Hold>, topic: Topic) -> Result<(), JoinRefusal> {
        self.add_member(hold, &topic, |outbox| hold.follow_too(outbox, &topic))
    }

    fn add_member(
        &self,
        hold: &Arc<Hold>,
        topic: &Topic,
        follow: impl FnOnce(&mut Outbox),
    ) -> Result<(), JoinRefusal> {
        // The outbox is locked under the shard. Otherwise publishers could see a second membership, or one that is
        // undone.
        let mut topics = self.topics.shard(topic.as_str()).lock();
        let mut outbox = hold.outbox();
        if outbox.end_request.is_some() {
            return Err(JoinRefusal::Ended);
        }
        if outbox.joined.iter().any(|(joined, _)| joined == topic) {
            return Ok(());
        }
        if outbox.joined.len() >= self.server_config().max_topics {
            return Err(JoinRefusal::TooMany);
        }
        let joined = topics.join(topic.clone(), hold.clone());
        let before = std::mem::take(&mut outbox.joined);
        outbox.joined = before.into_iter().chain([joined]).collect();
        follow(&mut outbox);
        Ok(())
    }

    /// Leaves a topic. `false` if it was not joined.
    pub(crate) fn leave(&self, hold: &Hold, topic: &str) -> bool {
        let mut topics = self.topics.shard(topic).lock();
        let mut outbox = hold.outbox();
        let Some(at) = outbox.joined.iter().position(|(joined, _)| joined.as_str() == topic) else {
            return false;
        };
        let mut joined = std::mem::take(&mut outbox.joined).into_vec();
        let (_, slot) = joined.swap_remove(at);
        outbox.joined = joined.into();
        hold.unfollow(&mut outbox, topic);
        drop(outbox);
        let left = topics.leave(topic, slot);
        drop(topics);
        if left.is_some_and(|left| left.was_last) {
            self.last_left(topic);
        }
        true
    }

    /// The members of `topic`.
    pub(super) fn members(&self, topic: &str) -> Vec<Arc<Hold>> {
        self.topics.shard(topic).lock().members(topic).cloned().collect()
    }

    /// How many members `topic` has.
    pub(super) fn count_members(&self, topic: &str) -> usize {
        self.topics.shard(topic).lock().count(topic)
    }

    /// Sends a message to all members of `topic`, and returns for how many holds it was accepted. Never waits.
    pub(crate) fn publish(&self, topic: &str, message: &Message) -> usize {
        if let Some(archive) = self.archive()
            && let Some(rule) = archive.rule(topic)
        {
            // Recorded first: a hold that joins now reads it from the history, or is found among the members, or both.
            let in_flight = self.record(archive, rule, topic, message);
            let encoded = Encoded::numbered(message, Some(archive.id(in_flight.recorded.offset)));
            return self.hand_out(topic, message, |hold| hold.deliver(archive, &in_flight, &encoded));
        }
        let encoded = Encoded::new(message);
        self.hand_out(topic, message, |hold| hold.send(&encoded, MessageClass::Published))
    }

    fn hand_out(&self, topic: &str, message: &Message, give: impl Fn(&Hold) -> Result<(), Refusal>) -> usize {
        let mut accepted = 0;
        for hold in self.members(topic) {
            match give(&hold) {
                Ok(()) => accepted += usize::from(message.is_for(hold.id)),
                // The hold has dealt with it.
                Err(Refusal::Full | Refusal::Ended) => {}
                // The publisher caused this, not the peer.
                Err(Refusal::TooLarge) => tracing::warn!(
                    hold = %hold.id,
                    topic,
                    bytes = message.len(),
                    "message larger than the send buffer: not sent"
                ),
            }
        }
        accepted
    }
}
