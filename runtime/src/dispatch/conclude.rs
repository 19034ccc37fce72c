//! The one exit door: whatever ended a hold, its wire is finished here, and its end hook is called here.
//!
//! The order: the ending is written, then FIN; the end hook starts; what the peer still sends is discarded until its own
//! FIN, because closing with unread bytes would reset the connection and destroy the ending on its way; the books are
//! settled. The wait and the hook do not wait for each other.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::endpoint::erased::Erased;
use crate::keeper::Keeper;
use crate::keeper::ended::Ended;
use crate::keeper::note::Note;
use crate::mechanisms::backlog::{Kind, Piece};
use crate::mechanisms::wire::ending::ending;
use crate::mechanisms::wire::finish::Finish;
use crate::mechanisms::wire::{Encoded, Form, head, long_poll};
use crate::words::cause::{Disconnect, End};
use crate::words::event_id::Numbered;
use crate::words::tick::Tick;
use http::HeaderMap;

use super::After;
use super::attend::Attendant;
use super::date::http_date;
use super::discard::{Ending, discard};
use super::guard::{Guarded, drop_quietly};
use super::reader::Reader;
use super::refusal::retry_after;

/// How much is discarded at most. What a peer had under way when its ending came is less, whatever its and our buffers; one
/// that does not listen would have us read for as long as the polite end lasts.
const MOST_DISCARDED: usize = 16 << 20;

impl Attendant<'_> {
    pub(super) async fn conclude(&mut self) -> After {
        drop_quietly(self.driver.take());
        let Some(note) = self.hold.note() else { return After::Close };
        let keeper = self.hold.keeper();
        let deadline = keeper.time().mark().plus(keeper.policy().polite_end);
        let (written, keep_alive) = self.finish(&note, deadline).await;
        self.report(note.end.clone(), written == Written::Whole);
        if keep_alive && written == Written::Whole {
            self.settle();
            return After::KeepAlive { unread: self.reader.take_unread() };
        }
        if written != Written::Nothing {
            self.linger(deadline).await;
        }
        self.settle();
        After::Close
    }

    /// Writes the ending; says how much of it was written, and whether the connection may serve another request.
    async fn finish(&mut self, note: &Note, deadline: Tick) -> (Written, bool) {
        match self.ending(note) {
            Finish::Polite(bytes) => {
                let form = self.hold.form;
                let farewell = note.farewell.iter().map(|last| Encoded::new(&last.message).form(form));
                let pieces = farewell.map(|bytes| Piece { bytes, kind: Kind::Message });
                let written = self.flush(pieces.chain([Piece { bytes, kind: Kind::Other }]), deadline).await;
                if written == Written::Whole {
                    self.line.shut();
                }
                (written, false)
            }
            Finish::Answer { bytes, keep_alive } => {
                let written = self.flush([Piece { bytes, kind: Kind::Other }], deadline).await;
                let carried = match written {
                    Written::Whole => self.carried(note).len(),
                    Written::Torn | Written::Nothing => 0,
                };
                // What is kept is not lost: the client gets it with its next request.
                let lost = note.farewell[carried..].iter().filter(|left| left.id.is_none());
                self.hold.count_answer(carried, lost.count());
                if written == Written::Whole && !keep_alive {
                    self.line.shut();
                }
                (written, keep_alive)
            }
            Finish::LastWord(bytes) => match self.hold.write_last_word(&bytes) {
                true => {
                    self.line.shut();
                    (Written::Whole, false)
                }
                false => {
                    self.line.cut();
                    (Written::Nothing, false)
                }
            },
            Finish::Close => {
                self.line.shut();
                (Written::Nothing, false)
            }
            Finish::Cut => {
                self.line.cut();
                (Written::Nothing, false)
            }
        }
    }

    /// What a long poll's answer has room for: all that waits as lines, if its client takes lines, or else the first.
    fn carried<'n>(&self, note: &'n Note) -> &'n [Numbered] {
        match &self.reader {
            Reader::Poll { is_batch: true, .. } => &note.farewell,
            _ => &note.farewell[..note.farewell.len().min(1)],
        }
    }

    fn ending(&self, note: &Note) -> Finish {
        let carried = self.carried(note);
        let none = HeaderMap::new();
        let date = http_date();
        // Of the other forms nothing is asked here but the cause.
        let mut exchange = head::Exchange {
            version_11: true,
            keep_alive: false,
            date: &date,
            extra: &none,
            position: self.hold.last_position(carried),
        };
        let mut in_lines = false;
        if let Reader::Poll { version_11, keep_alive, is_batch, rest } = &self.reader {
            exchange.version_11 = *version_11;
            // The next request shall go to another server.
            exchange.keep_alive = *keep_alive && !self.hold.keeper().is_draining();
            exchange.extra = rest.as_ref().map_or(&none, |rest| &rest.headers);
            in_lines = *is_batch;
        }
        match (self.hold.form, carried.first()) {
            (Form::LongPoll, Some(_)) if in_lines => {
                long_poll::batch(carried.iter().map(|item| &item.message), &exchange)
            }
            (Form::LongPoll, Some(item)) => long_poll::one(&item.message, &exchange),
            (form, _) => {
                let retry_after = retry_after(self.hold.keeper().spread());
                ending(form, &note.end, retry_after, note.code, self.hold.post.terms.when_evicted, &exchange)
            }
        }
    }

    /// Writes everything, the ending last, for as long as the deadline and the bound on endings allow.
    async fn flush(&mut self, pieces: impl IntoIterator<Item = Piece>, deadline: Tick) -> Written {
        if self.hold.write_last(pieces).is_err() {
            return Written::Torn;
        }
        let written = poll_fn(|cx| {
            if let Poll::Ready(flushed) = self.hold.poll_flush(cx) {
                return Poll::Ready(flushed.is_ok());
            }
            self.hold.poll_cut(cx).map(|()| false)
        });
        match self.hold.keeper().time().before(deadline, written).await {
            Some(true) => Written::Whole,
            _ => {
                self.line.cut();
                Written::Torn
            }
        }
    }

    /// Discards what the peer still sends until it closes too, or has sent too much.
    async fn linger(&mut self, deadline: Tick) {
        let mut discarded = 0;
        let closed = poll_fn(|cx| match discard(&**self.line, cx, &mut discarded, MOST_DISCARDED) {
            Poll::Ready(ending) => Poll::Ready(ending),
            Poll::Pending => self.hold.poll_cut(cx).map(|()| Ending::Deaf),
        });
        if self.hold.keeper().time().before(deadline, closed).await != Some(Ending::Closed) {
            self.line.cut();
        }
    }

    /// Starts the end hook. It has a task of its own unless it is done at once: it may take as long as its deadline,
    /// and neither the books nor the connection's next request wait for it.
    fn report(&mut self, end: End, is_delivered: bool) {
        let hold = &self.hold;
        let keeper = hold.keeper().clone();
        let ended = Ended::of(hold, is_delivered);
        tracing::info!(
            hold = %hold.id,
            path = %hold.path,
            transport = hold.transport().as_str(),
            peer = %hold.peer(),
            cause = end.as_str(),
            held_for = ?ended.held_for(),
            // Only where there is something to say.
            dropped = Some(ended.dropped()).filter(|dropped| *dropped > 0),
            "a hold ended: {end}"
        );
        keeper.remember(hold, &ended, &end);
        let Some(context) = self.context.take() else { return };
        let mut hook = Box::pin(end_hook(keeper, context, ended, end));
        if hook.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            tokio::spawn(hook);
        }
    }

    fn settle(&self) {
        self.hold.keeper().settle(&self.hold);
    }
}

/// A hold that is dropped before its end was concluded: the runtime is going away, or the server was dropped.
impl Drop for Attendant<'_> {
    fn drop(&mut self) {
        let keeper = self.hold.keeper();
        if keeper.end(&self.hold, Disconnect::Shutdown.into()) {
            tracing::warn!(hold = %self.hold.id, path = %self.hold.path, "a hold was cut: the server is going away");
        }
        let context = self.context.take();
        if let (Some(_), Some(note)) = (&context, self.hold.note()) {
            // Not reported before.
            keeper.remember(&self.hold, &Ended::of(&self.hold, false), &note.end);
        }
        self.settle();
        if let Some(context) = context {
            drop_quietly(context);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Whole,
    Torn,
    /// There is no ending to write.
    Nothing,
}

/// Calls the one end hook that is due, within its deadline.
async fn end_hook(keeper: Arc<Keeper>, context: Box<dyn Erased>, ended: Ended, end: End) {
    let running = keeper.begin_hook();
    let deadline = keeper.policy().hook_deadline;
    let (id, cause) = (ended.id(), end.as_str());
    let call = || match end {
        End::Resume(cause) => context.on_resume(&ended, cause),
        End::Disconnect(cause) => context.on_disconnect(&ended, cause),
    };
    if let Err(fault) = Guarded::start(call, deadline, keeper.time()).await {
        tracing::error!(hold = %id, path = %ended.path(), %cause, %fault, "an end hook failed");
        running.failed();
    }
}
