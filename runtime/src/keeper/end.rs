//! The beginning of every end, and its settling. Whatever ends a hold comes through here and leaves a note.

use std::sync::Arc;
use std::task::Waker;

use tokio::sync::Notify;

use abeyance_core::mechanisms::topics::MemberSlot;
use abeyance_core::sync::foreign;
use abeyance_core::words::cause::{Disconnect, End};
use abeyance_core::words::topic::Topic;

use super::end_request::EndRequest;
use super::hold::Hold;
use super::{Keeper, Registry};

/// What is left to do once the books are closed again.
#[derive(Default)]
#[must_use]
pub(super) struct EndEffects {
    pub(super) joined: Box<[(Topic, MemberSlot)]>,
    /// The hold's own task.
    pub(super) waker: Option<Waker>,
    /// Whoever waits for room.
    pub(super) room: Option<Arc<Notify>>,
    /// An ending that waits for too long, now that there are so many.
    pub(super) too_long: Option<Arc<Hold>>,
}

impl Keeper {
    /// Begins a hold's end. `false` if it had begun: the first cause stands.
    pub(crate) fn end(&self, hold: &Hold, end_request: EndRequest) -> bool {
        let begun = self.registry.lock().end(hold, end_request);
        let is_first = begun.is_ok();
        if let Ok(aftermath) = begun {
            self.finish(aftermath);
        }
        is_first
    }

    /// Ends every hold at once; each is told.
    pub(crate) fn end_all(&self, cause: &End) -> usize {
        self.end_those(cause, |registry| registry.ledger.held().cloned().collect())
    }

    /// Ends every hold with this key, at whichever endpoint; says how many these are.
    pub(crate) fn end_key(&self, key: &str, cause: &End) -> usize {
        let key = Arc::from(key);
        let hold = |registry: &Registry, id| registry.ledger.get(id).cloned();
        self.end_those(cause, |registry| {
            registry.limits.of_key(&key).into_iter().filter_map(|id| hold(registry, id)).collect()
        })
    }

    /// Ends several holds in one step: or what the first to leave publish in their end hooks would be the last word to
    /// the others, and a long poll's answer.
    pub(super) fn end_those(&self, cause: &End, those: impl FnOnce(&Registry) -> Vec<Arc<Hold>>) -> usize {
        let mut registry = self.registry.lock();
        let holds = those(&registry);
        let ended: Vec<_> =
            holds.iter().filter_map(|hold| registry.end(hold, cause.clone().into()).ok()).collect();
        drop(registry);
        let count = ended.len();
        for aftermath in ended {
            self.finish(aftermath);
        }
        count
    }

    /// Cuts every ending that is not finished: there is no time for manners any more.
    pub(crate) fn cut_endings(&self) {
        let holds: Vec<_> = self.registry.lock().ledger.ending().cloned().collect();
        holds.iter().for_each(|hold| hold.cut_short());
    }

    /// The wire of a hold is finished: it lets go of its line and of what still waits, whoever has a handle on it, and
    /// from now on it counts as ended.
    pub(crate) fn settle(&self, hold: &Hold) {
        hold.put_down();
        let settled = self.registry.lock().ledger.settle(hold.id);
        drop(settled);
        self.tell_if_quiet();
    }

    pub(super) fn finish(&self, aftermath: EndEffects) {
        for (topic, place) in aftermath.joined {
            if self.topics.leave(&topic, place) {
                self.last_left(topic.as_str());
            }
        }
        if let Some(waker) = aftermath.waker {
            waker.wake();
        }
        if let Some(room) = aftermath.room {
            foreign::call(|| room.notify_waiters());
        }
        if let Some(hold) = aftermath.too_long {
            hold.cut_short();
        }
    }
}

impl Registry {
    /// Begins a hold's end. If it had begun, the note comes back, for the messages in it are not dropped under a lock.
    pub(super) fn end(&mut self, hold: &Hold, end_request: EndRequest) -> Result<EndEffects, EndRequest> {
        let Some(permit) = self.ledger.end(hold.id, &end_request.end) else { return Err(end_request) };
        self.limits.give_back(permit, Some(hold.id));
        self.deadlines.clear(hold.id.slot());
        let aftermath = hold.leave_note(end_request);
        // Endings are bounded like holds, or peers that never finish theirs would pile up uncounted.
        let is_over = self.ledger.counts().ending > self.limits.server();
        let too_long = if is_over { self.ledger.cut().cloned() } else { None };
        Ok(EndEffects { too_long, ..aftermath })
    }
}

impl Hold {
    /// What its end will be, if it has begun.
    pub(crate) fn end_request(&self) -> Option<EndRequest> {
        self.outbox().end_request.as_deref().cloned()
    }

    /// Whether its end has begun.
    pub(crate) fn is_ended(&self) -> bool {
        self.outbox().end_request.is_some()
    }

    fn leave_note(&self, end_request: EndRequest) -> EndEffects {
        let mut outbox = self.outbox();
        // What will not be written any more need not wait for the hold's task to run.
        outbox.give_up_opening();
        if let End::Disconnect(
            Disconnect::Slow | Disconnect::Stalled | Disconnect::Idle | Disconnect::Unreachable,
        ) = end_request.end
        {
            outbox.give_up_backlog();
        }
        if end_request.end == Disconnect::Overload.into() {
            // The reader lets go of it as soon as its task runs.
            outbox.inbound = 0;
        }
        outbox.end_request = Some(Box::new(end_request));
        let joined = std::mem::take(&mut outbox.joined);
        self.follow_no_more(&mut outbox);
        let (waker, room) = (outbox.waker(), outbox.room.take());
        EndEffects { joined, waker, room, too_long: None }
    }

    /// Ends a polite ending that too many others wait behind.
    fn cut_short(&self) {
        let mut outbox = self.outbox();
        outbox.is_cut = true;
        outbox.wake();
    }
}
