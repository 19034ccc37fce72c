//! The beginning of every end, and its settling. Whatever ends a hold comes through here and leaves a note.

use std::sync::Arc;
use std::task::Waker;

use tokio::sync::Notify;

use abeyance_core::mechanisms::topics::Place;
use abeyance_core::sync::foreign;
use abeyance_core::words::cause::{Disconnect, End};
use abeyance_core::words::topic::Topic;

use super::hold::Hold;
use super::note::Note;
use super::pen::wake;
use super::{Books, Keeper};

/// What is left to do once the books are closed again.
#[derive(Default)]
#[must_use]
pub(super) struct Aftermath {
    pub(super) joined: Box<[(Topic, Place)]>,
    /// The hold's own task.
    pub(super) waker: Option<Waker>,
    /// Whoever waits for room.
    pub(super) room: Option<Arc<Notify>>,
    /// An ending that waits for too long, now that there are so many.
    pub(super) too_long: Option<Arc<Hold>>,
}

impl Keeper {
    /// Begins a hold's end. `false` if it had begun: the first cause stands.
    pub(crate) fn end(&self, hold: &Hold, note: Note) -> bool {
        let begun = self.books.lock().end(hold, note);
        let is_first = begun.is_ok();
        if let Ok(aftermath) = begun {
            self.finish(aftermath);
        }
        is_first
    }

    /// Ends every hold at once; each is told.
    pub(crate) fn end_all(&self, cause: &End) -> usize {
        self.end_those(cause, |books| books.ledger.held().cloned().collect())
    }

    /// Ends every hold with this key, at whichever endpoint; says how many these are.
    pub(crate) fn end_key(&self, key: &str, cause: &End) -> usize {
        let key = Arc::from(key);
        let hold = |books: &Books, id| books.ledger.get(id).cloned();
        self.end_those(cause, |books| {
            books.limits.of_key(&key).into_iter().filter_map(|id| hold(books, id)).collect()
        })
    }

    /// Ends several holds in one step: or what the first to leave publish in their end hooks would be the last word to
    /// the others, and a long poll's answer.
    pub(super) fn end_those(&self, cause: &End, those: impl FnOnce(&Books) -> Vec<Arc<Hold>>) -> usize {
        let mut books = self.books.lock();
        let holds = those(&books);
        let ended: Vec<_> =
            holds.iter().filter_map(|hold| books.end(hold, cause.clone().into()).ok()).collect();
        drop(books);
        let count = ended.len();
        for aftermath in ended {
            self.finish(aftermath);
        }
        count
    }

    /// Cuts every ending that is not finished: there is no time for manners any more.
    pub(crate) fn cut_endings(&self) {
        let holds: Vec<_> = self.books.lock().ledger.ending().cloned().collect();
        holds.iter().for_each(|hold| hold.cut_short());
    }

    /// The wire of a hold is finished: it lets go of its line and of what still waits, whoever has a handle on it, and
    /// from now on it counts as ended.
    pub(crate) fn settle(&self, hold: &Hold) {
        hold.put_down();
        let settled = self.books.lock().ledger.settle(hold.id);
        drop(settled);
        self.tell_if_quiet();
    }

    pub(super) fn finish(&self, aftermath: Aftermath) {
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

impl Books {
    /// Begins a hold's end. If it had begun, the note comes back, for the messages in it are not dropped under a lock.
    pub(super) fn end(&mut self, hold: &Hold, note: Note) -> Result<Aftermath, Note> {
        let Some(permit) = self.ledger.end(hold.id, &note.end) else { return Err(note) };
        self.limits.give_back(permit, Some(hold.id));
        self.deadlines.clear(hold.id.slot());
        let aftermath = hold.leave_note(note);
        // Endings are bounded like holds, or peers that never finish theirs would pile up uncounted.
        let is_over = self.ledger.counts().ending > self.limits.server();
        let too_long = if is_over { self.ledger.cut().cloned() } else { None };
        Ok(Aftermath { too_long, ..aftermath })
    }
}

impl Hold {
    /// What its end will be, if it has begun.
    pub(crate) fn note(&self) -> Option<Note> {
        self.pen().note.as_deref().cloned()
    }

    /// Whether its end has begun.
    pub(crate) fn is_ended(&self) -> bool {
        self.pen().note.is_some()
    }

    fn leave_note(&self, note: Note) -> Aftermath {
        let mut pen = self.pen();
        // What will not be written any more need not wait for the hold's task to run.
        pen.give_up_opening();
        if let End::Disconnect(
            Disconnect::Slow | Disconnect::Stalled | Disconnect::Idle | Disconnect::Unreachable,
        ) = note.end
        {
            pen.give_up_backlog();
        }
        if note.end == Disconnect::Overload.into() {
            // The reader lets go of it as soon as its task runs.
            pen.inbound = 0;
        }
        pen.note = Some(Box::new(note));
        let joined = std::mem::take(&mut pen.joined);
        self.follow_no_more(&mut pen);
        let (waker, room) = (pen.waker(), pen.room.take());
        Aftermath { joined, waker, room, too_long: None }
    }

    /// Ends a polite ending that too many others wait behind.
    fn cut_short(&self) {
        let mut pen = self.pen();
        pen.is_cut = true;
        wake(pen);
    }
}
