//! How every end begins and settles. Every end of a hold starts here and stores an [`EndRequest`].

use std::sync::Arc;
use std::task::Waker;

use tokio::sync::Notify;

use abeyance_core::mechanisms::topics::MemberSlot;
use abeyance_core::sync::foreign;
use abeyance_core::words::cause::{Disconnect, End};
use abeyance_core::words::topic::Topic;

use super::end_request::EndRequest;
use super::hold::Hold;
use super::outbox_guard::wake;
use super::{Keeper, Registry};

/// What is left to do once the registry is unlocked.
#[derive(Default)]
#[must_use]
pub(super) struct EndEffects {
    pub(super) joined: Box<[(Topic, MemberSlot)]>,
    /// Wakes the hold's own task.
    pub(super) waker: Option<Waker>,
    /// Notifies those that wait for room or for the end.
    pub(super) room: Option<Arc<Notify>>,
    /// The ending to cut, because there are too many.
    pub(super) too_long: Option<Arc<Hold>>,
}

impl Keeper {
    /// Begins a hold's end. `false` if it had begun: the first cause stands.
    pub(crate) fn end(&self, hold: &Hold, end_request: EndRequest) -> bool {
        let begun = self.registry.lock().end(hold, end_request);
        let is_first = begun.is_ok();
        if let Ok(effects) = begun {
            self.apply(effects);
        }
        is_first
    }

    /// Ends every hold at once, and returns how many ends began.
    pub(crate) fn end_all(&self, cause: &End) -> usize {
        self.end_those(cause, |registry| registry.ledger.held().cloned().collect())
    }

    /// Ends every hold with this key, at all endpoints, and returns how many ends began.
    pub(crate) fn end_key(&self, key: &str, cause: &End) -> usize {
        let key = Arc::from(key);
        let hold = |registry: &Registry, id| registry.ledger.get(id).cloned();
        self.end_those(cause, |registry| {
            registry.limits.of_key(&key).into_iter().filter_map(|id| hold(registry, id)).collect()
        })
    }

    /// Ends several holds in one step. Otherwise a message that the end hook of the first publishes would be delivered
    /// to the others, and would be the answer of a long poll.
    pub(super) fn end_those(&self, cause: &End, those: impl FnOnce(&Registry) -> Vec<Arc<Hold>>) -> usize {
        let mut registry = self.registry.lock();
        let holds = those(&registry);
        let ended: Vec<_> =
            holds.iter().filter_map(|hold| registry.end(hold, cause.clone().into()).ok()).collect();
        drop(registry);
        let count = ended.len();
        for effects in ended {
            self.apply(effects);
        }
        count
    }

    /// Cuts every ending that is not finished, because the time for endings is over.
    pub(crate) fn cut_endings(&self) {
        let holds: Vec<_> = self.registry.lock().ledger.ending().cloned().collect();
        holds.iter().for_each(|hold| hold.cut_short());
    }

    /// The wire of a hold is finished. The hold drops its I/O and what still waits, although handles on it may remain,
    /// and counts as ended from now on.
    pub(crate) fn settle(&self, hold: &Hold) {
        hold.release();
        let settled = self.registry.lock().ledger.settle(hold.id);
        drop(settled);
        self.tell_if_quiet();
    }

    pub(super) fn apply(&self, effects: EndEffects) {
        for (topic, slot) in effects.joined {
            if self.topics.leave(&topic, slot) {
                self.last_left(topic.as_str());
            }
        }
        if let Some(waker) = effects.waker {
            waker.wake();
        }
        if let Some(room) = effects.room {
            foreign::call(|| room.notify_waiters());
        }
        if let Some(hold) = effects.too_long {
            hold.cut_short();
        }
    }
}

impl Registry {
    /// Begins a hold's end.
    ///
    /// # Errors
    /// If it had begun, the request comes back, because the messages in it must not be dropped under a lock.
    pub(super) fn end(&mut self, hold: &Hold, end_request: EndRequest) -> Result<EndEffects, EndRequest> {
        let Some(permit) = self.ledger.end(hold.id, &end_request.end) else { return Err(end_request) };
        self.limits.give_back(permit, Some(hold.id));
        self.deadlines.clear(hold.id.slot());
        let effects = hold.set_end_request(end_request);
        // Endings are bounded like holds, or peers that never finish theirs would pile up uncounted.
        let is_over = self.ledger.counts().ending > self.limits.server();
        let too_long = if is_over { self.ledger.cut().cloned() } else { None };
        Ok(EndEffects { too_long, ..effects })
    }
}

impl Hold {
    /// The request to end, if the end has begun.
    pub(crate) fn end_request(&self) -> Option<EndRequest> {
        self.outbox().end_request.as_deref().cloned()
    }

    /// Whether the end has begun.
    pub(crate) fn is_ended(&self) -> bool {
        self.outbox().end_request.is_some()
    }

    fn set_end_request(&self, end_request: EndRequest) -> EndEffects {
        let mut outbox = self.outbox();
        // What will not be written is given up now, not when the hold's task runs.
        outbox.give_up_pending();
        if let End::Disconnect(
            Disconnect::Slow | Disconnect::Stalled | Disconnect::Idle | Disconnect::Unreachable,
        ) = end_request.end
        {
            outbox.give_up_queued();
        }
        if end_request.end == Disconnect::Overload.into() {
            // The reader frees these bytes as soon as its task runs.
            outbox.inbound = 0;
        }
        outbox.end_request = Some(Box::new(end_request));
        let joined = std::mem::take(&mut outbox.joined);
        self.follow_no_more(&mut outbox);
        let (waker, room) = (outbox.waker(), outbox.room.take());
        EndEffects { joined, waker, room, too_long: None }
    }

    /// Cuts the ending of this hold.
    fn cut_short(&self) {
        let mut outbox = self.outbox();
        outbox.is_cut = true;
        wake(outbox);
    }
}
