//! The one exit door: whatever ended a hold, its wire is finished here, and its end hook is called here.
//!
//! Two things go on beside each other. On the wire the ending is written, then FIN (after a WebSocket's answer to our close
//! frame, or a second); what the peer still sends is discarded until its own FIN, because closing with unread bytes would reset the connection and destroy the ending on its way.
//! Meanwhile hooks finish (`hearing`). When the ending is written and the hooks are over, the end hook starts. When the wire
//! is finished, the books are settled and the connection is let go of; a hook that still runs then goes on in a task of its
//! own.

use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use crate::endpoint::erased::Erased;
use crate::keeper::Keeper;
use crate::keeper::end_request::EndRequest;
use crate::keeper::ended::Ended;
use crate::keeper::hold::Hold;
use crate::keeper::hook_tracker::UnfinishedHooks;
use crate::socket::Socket;
use abeyance_core::mechanisms::send_buffer::{Kind, Piece};
use abeyance_core::mechanisms::wire::ending::ending;
use abeyance_core::mechanisms::wire::ending_bytes::EndingBytes;
use abeyance_core::mechanisms::wire::{Encoded, WireForm, head, long_poll};
use abeyance_core::words::cause::{Disconnect, End};
use abeyance_core::words::escaped::Escaped;
use abeyance_core::words::event_id::Numbered;
use abeyance_settings::endpoint::Transport;
use http::HeaderMap;

use super::date::http_date;
use super::discard::{Ending as Peer, discard};
use super::hooks::Hooks;
use super::refusals::retry_after;
use super::remaining_messages::Hearing;
use super::session::{Ahead, Session, Stage};
use super::user_code::{UserCode, caught, drop_quietly, settled};
use super::{After, Deadline};
use abeyance_core::mechanisms::wire::assembler::Incoming;
use abeyance_core::request::reader::{Read, Reader};

/// How much is discarded at most. What a peer had under way when its ending came is less, whatever its and our buffers; one
/// that does not listen would have us read for as long as the polite end lasts.
const MOST_DISCARDED: usize = 16 << 20;

/// How long a WebSocket's answer to our close frame is awaited before our FIN (RFC 6455 §7.1.1: both have sent and received
/// one, then the server closes). A proxy closes both of its sides at our FIN, so a client behind it that has not answered yet
/// would see an unclean end. A peer that does not answer has its FIN after this time.
const CLOSE_REPLY: Duration = Duration::from_secs(1);

/// How often is read in one turn while that answer is awaited.
const READS: usize = 16;

/// What must be known while a hold is ending.
pub(super) struct Ending {
    end_request: EndRequest,
    hearing: Hearing,
    wire: Wire,
    /// When the polite end is over.
    due: Deadline,
    discarded: usize,
    /// Until when the peer's close frame is awaited. `None` if it is not, or not any more.
    reply_due: Option<Deadline>,
    /// The snapshot, once the ending is written; taken by the end hook.
    ended: Option<Ended>,
    is_reported: bool,
}

/// How far the ending is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Begun,
    /// It waits for the peer to take it.
    Writing(Kept),
    Written(Written, Kept),
}

/// Whether the connection may serve another request.
type Kept = bool;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Whole,
    Torn,
    /// There is no ending to write.
    Nothing,
}

impl Session<'_> {
    /// The hold's end has begun: its driver is dropped, and what lies in the socket now is the last that is taken.
    pub(super) fn begin_ending(&mut self, cx: &mut Context<'_>) {
        drop_quietly(self.driver.take());
        if let Stage::Startup(opening) = &mut self.stage {
            let opening = std::mem::take(&mut **opening);
            // This only counts what will not be delivered.
            self.hold.open(opening.replies);
            drop_quietly(opening.driver);
        }
        // Nobody can end what has ended: there is a note.
        let end_request = self.hold.end_request().unwrap_or_else(|| Disconnect::Shutdown.into());
        let reads = self.hold.transport() == Transport::WebSocket && !end_request.is_goodbye();
        let ahead = if reads { self.look_ahead(cx) } else { Ahead::Nothing };
        let has_more = matches!(ahead, Ahead::More);
        // A publisher may have met the reset first. What stands before a goodbye was said in good order all the same.
        let said_goodbye = matches!(ahead, Ahead::Last(last) if last.is_goodbye());
        let keeper = self.hold.keeper();
        let due = keeper.time().mark().plus(keeper.server_config().close_timeout);
        self.stage = Stage::Ending(Box::new(Ending {
            hearing: Hearing::new(&self.hold, &end_request.end, has_more, said_goodbye),
            due: Deadline::at(due, keeper.time()),
            end_request,
            wire: Wire::Begun,
            discarded: 0,
            reply_due: None,
            ended: None,
            is_reported: false,
        }));
    }

    /// Ready when the wire is finished.
    pub(super) fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<After> {
        let Session { hold, line, hooks, reader, stage, counted, .. } = self;
        let Stage::Ending(ending) = stage else { return Poll::Ready(After::Close) };
        ending.poll_written(hold, &***line, reader, cx);
        let heard = ending.hearing.poll(hold, hooks, reader, Some(&***line), cx);
        let waiting = reader.bytes() + ending.hearing.bytes();
        if waiting != *counted {
            *counted = waiting;
            hold.count_inbound(waiting);
        }
        if heard.is_ready() {
            ending.report(hold, hooks);
        }
        let after = ready!(ending.poll_let_go(hold, &***line, reader, cx));
        let Stage::Ending(ending) = std::mem::replace(stage, Stage::Over) else { return Poll::Ready(after) };
        if !ending.is_reported {
            self.leave_hooks(*ending);
        }
        self.hold.keeper().settle(&self.hold);
        Poll::Ready(after)
    }

    /// The connection is let go of while a hook runs: that goes on in a task of its own.
    fn leave_hooks(&mut self, ending: Ending) {
        let mut unfinished = self.hold.keeper().leave_hooks(self.hold.peer().ip().into());
        // Not twice at any moment.
        self.hold.count_inbound(0);
        unfinished.count(self.reader.bytes() + ending.hearing.bytes());
        let hooks = std::mem::replace(&mut self.hooks, Hooks::Gone);
        let reader = std::mem::replace(&mut self.reader, Reader::Strays(0));
        let mut rest = Rest { hold: self.hold.clone(), hooks, reader, ending, unfinished };
        tokio::spawn(async move {
            std::future::poll_fn(|cx| rest.poll(cx)).await;
        });
    }
}

impl Ending {
    /// Writes the ending, as far as the peer, the deadline and the bound on endings allow.
    fn poll_written(&mut self, hold: &Hold, line: &dyn Socket, reader: &Reader, cx: &mut Context<'_>) {
        if self.wire == Wire::Begun {
            self.wire = self.begin_writing(hold, line, reader);
        }
        if let Wire::Writing(is_kept) = self.wire {
            let is_whole = match hold.poll_flush(cx) {
                Poll::Ready(flushed) => flushed.is_ok(),
                Poll::Pending if hold.poll_cut(cx).is_ready() => false,
                Poll::Pending if self.due.poll(hold.keeper().time(), cx).is_ready() => false,
                Poll::Pending => return,
            };
            self.wire = Wire::Written(if is_whole { Written::Whole } else { Written::Torn }, is_kept);
            self.wrote(hold, line, reader);
        }
        if let (Wire::Written(written, _), None, false) = (self.wire, &self.ended, self.is_reported) {
            self.ended = Some(Ended::of(hold, written == Written::Whole));
        }
    }

    /// Puts the ending behind what waits. What needs no waiting for the peer is done at once.
    fn begin_writing(&mut self, hold: &Hold, line: &dyn Socket, reader: &Reader) -> Wire {
        let last = |pieces: &mut dyn Iterator<Item = Piece>, is_kept| match hold.write_last(pieces) {
            Ok(()) => Wire::Writing(is_kept),
            Err(_) => {
                line.cut();
                Wire::Written(Written::Torn, false)
            }
        };
        match self.finish(hold, reader) {
            EndingBytes::Polite(bytes) => {
                let form = hold.form;
                let last_messages =
                    self.end_request.last_messages.iter().map(|last| Encoded::new(&last.message).form(form));
                let pieces = last_messages.map(|bytes| Piece { bytes, kind: Kind::Message });
                last(&mut pieces.chain([Piece { bytes, kind: Kind::Other }]), false)
            }
            EndingBytes::Answer { bytes, keep_alive } => {
                let begun = last(&mut [Piece { bytes, kind: Kind::Other }].into_iter(), keep_alive);
                if begun == Wire::Written(Written::Torn, false) {
                    self.count_answer(hold, reader, Written::Torn);
                }
                begun
            }
            EndingBytes::LastWord(bytes) => match hold.write_last_word(&bytes) {
                true => {
                    line.shut();
                    Wire::Written(Written::Whole, false)
                }
                false => {
                    line.cut();
                    Wire::Written(Written::Nothing, false)
                }
            },
            EndingBytes::Close => {
                line.shut();
                Wire::Written(Written::Nothing, false)
            }
            EndingBytes::Cut => {
                line.cut();
                Wire::Written(Written::Nothing, false)
            }
        }
    }

    /// The ending is written, or given up.
    fn wrote(&mut self, hold: &Hold, line: &dyn Socket, reader: &Reader) {
        let Wire::Written(written, is_kept) = self.wire else { return };
        if hold.form == WireForm::LongPoll {
            self.count_answer(hold, reader, written);
        }
        match written {
            Written::Whole if hold.form == WireForm::WebSocket && !self.end_request.is_goodbye() => {
                let keeper = hold.keeper();
                let patience = CLOSE_REPLY.min(keeper.server_config().close_timeout / 2);
                self.reply_due = Some(Deadline::at(keeper.time().mark().plus(patience), keeper.time()));
            }
            Written::Whole if !is_kept => line.shut(),
            Written::Torn => line.cut(),
            Written::Whole | Written::Nothing => {}
        }
    }

    fn count_answer(&self, hold: &Hold, reader: &Reader, written: Written) {
        let carried = match written {
            Written::Whole => self.carried(reader).len(),
            Written::Torn | Written::Nothing => 0,
        };
        // What is kept is not lost: the client gets it with its next request.
        let lost = self.end_request.last_messages[carried..].iter().filter(|left| left.id.is_none());
        hold.count_answer(carried, lost.count());
    }

    /// What a long poll's answer has room for: all that waits as lines, if its client takes lines, or else the first.
    fn carried(&self, reader: &Reader) -> &[Numbered] {
        match reader {
            Reader::Poll { is_batch: true, .. } => &self.end_request.last_messages,
            _ => &self.end_request.last_messages[..self.end_request.last_messages.len().min(1)],
        }
    }

    /// How this end looks on this wire.
    fn finish(&self, hold: &Hold, reader: &Reader) -> EndingBytes {
        let carried = self.carried(reader);
        let none = HeaderMap::new();
        let date = http_date();
        // Of the other forms nothing is asked here but the cause.
        let mut exchange = head::AnswerHead {
            version_11: true,
            keep_alive: false,
            date: &date,
            extra: &none,
            position: hold.last_position(carried),
        };
        let mut in_lines = false;
        if let Reader::Poll { version_11, keep_alive, is_batch, rest } = reader {
            exchange.version_11 = *version_11;
            // The next request shall go to another server.
            exchange.keep_alive = *keep_alive && !hold.keeper().is_draining();
            exchange.extra = rest.as_ref().map_or(&none, |rest| &rest.headers);
            in_lines = *is_batch;
        }
        match (hold.form, carried.first()) {
            (WireForm::LongPoll, Some(_)) if in_lines => {
                long_poll::batch(carried.iter().map(|item| &item.message), &exchange)
            }
            (WireForm::LongPoll, Some(item)) => long_poll::one(&item.message, &exchange),
            (form, _) => {
                let retry_after = retry_after(hold.keeper().spread());
                let when_evicted = hold.config.endpoint_config.when_evicted;
                ending(
                    form,
                    &self.end_request.end,
                    retry_after,
                    self.end_request.code,
                    when_evicted,
                    &exchange,
                )
            }
        }
    }

    /// Ready when the connection is not needed any more: it may serve its next request, or the peer has closed, too. What the
    /// peer still sends is discarded.
    fn poll_let_go(
        &mut self,
        hold: &Hold,
        line: &dyn Socket,
        reader: &mut Reader,
        cx: &mut Context<'_>,
    ) -> Poll<After> {
        let Wire::Written(written, is_kept) = self.wire else { return Poll::Pending };
        let is_late = self.due.poll(hold.keeper().time(), cx).is_ready() || hold.poll_cut(cx).is_ready();
        if written == Written::Whole && is_kept {
            return Poll::Ready(After::KeepAlive { unread: reader.take_unread() });
        }
        if self.hearing.reads() {
            // Messages lie there that were not heard yet. They are waited for, but not by too many endings at once.
            ready!(hold.poll_cut(cx));
            self.hearing.let_go_of_socket();
        }
        if written == Written::Nothing {
            return Poll::Ready(After::Close);
        }
        if let Some(mut due) = self.reply_due.take() {
            // While a hook runs, the reader has messages that it is to hear, and the connection waits for no hook.
            let is_answered = !self.is_reported || self.poll_reply(hold, line, reader, cx).is_ready();
            if !is_answered && !is_late && due.poll(hold.keeper().time(), cx).is_pending() {
                self.reply_due = Some(due);
                return Poll::Pending;
            }
            line.shut();
        }
        match discard(line, cx, &mut self.discarded, MOST_DISCARDED) {
            Poll::Ready(Peer::Closed) => {}
            Poll::Pending if !is_late => return Poll::Pending,
            Poll::Ready(Peer::Deaf) | Poll::Pending => line.cut(),
        }
        Poll::Ready(After::Close)
    }

    /// Ready when the peer has answered our close frame, or will not. Nothing of what it says before is heard: that came
    /// after the end had begun.
    fn poll_reply(
        &mut self,
        hold: &Hold,
        line: &dyn Socket,
        reader: &mut Reader,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut buffer = [0; 8 * 1024];
        for _ in 0..READS {
            loop {
                match reader.next_item() {
                    Read::Item(Incoming::Close { .. }) | Read::Fault(_) => return Poll::Ready(()),
                    Read::Item(item) => drop_quietly(item),
                    Read::More => break,
                }
            }
            match ready!(line.poll_read(cx, &mut buffer)) {
                Ok(count @ 1..) if self.discarded < MOST_DISCARDED => {
                    self.discarded += count;
                    let (config, now) = (&hold.config.endpoint_config, hold.keeper().time().stamp());
                    reader.feed(&buffer[..count], config, now);
                }
                _ => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Starts the end hook, once the ending is written. It has a task of its own unless it is done at once: it may take as
    /// long as its deadline, and neither the books nor the connection's next request wait for it.
    fn report(&mut self, hold: &Hold, hooks: &mut Hooks) {
        let Some(mut ended) = self.ended.take() else { return };
        self.is_reported = true;
        let keeper = hold.keeper().clone();
        ended.heard(hold, self.hearing.unheard);
        keeper.count_unheard(hold, self.hearing.unheard);
        let end = self.end_request.end.clone();
        // A subscriber of the log is user code, too: the end hook follows, whatever it does.
        let _ = caught(|| {
            tracing::info!(
                hold = %hold.id,
                path = %Escaped(&hold.path),
                transport = hold.transport().as_str(),
                peer = %hold.peer(),
                cause = end.as_str(),
                held_for = ?ended.held_for(),
                // Only where there is something to say.
                dropped = Some(ended.dropped()).filter(|dropped| *dropped > 0),
                unheard = Some(ended.unheard()).filter(|unheard| *unheard > 0),
                "a hold ended: {end}"
            );
        });
        keeper.remember(hold, &ended, &end);
        let Some(context) = hooks.take() else { return };
        let mut hook = Box::pin(end_hook(keeper, context, ended, end));
        if hook.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            tokio::spawn(hook);
        }
    }
}

/// A hold whose wire is finished and whose hooks are not.
struct Rest {
    hold: Arc<Hold>,
    hooks: Hooks,
    reader: Reader,
    ending: Ending,
    /// Counted among the hooks that run, until the end hook is.
    unfinished: UnfinishedHooks,
}

impl Rest {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Rest { hold, hooks, reader, ending, unfinished } = self;
        let heard = ending.hearing.poll(hold, hooks, reader, None, cx);
        unfinished.count(reader.bytes() + ending.hearing.bytes());
        ready!(heard);
        ending.report(hold, hooks);
        Poll::Ready(())
    }
}

/// The runtime is going away: the end is remembered all the same.
impl Drop for Rest {
    fn drop(&mut self) {
        if let (false, Some(ended)) = (self.ending.is_reported, &self.ending.ended) {
            self.hold.keeper().remember(&self.hold, ended, &self.ending.end_request.end);
        }
        drop_quietly(std::mem::replace(&mut self.hooks, Hooks::Gone));
    }
}

/// A hold that is dropped before its end was concluded: the runtime is going away, or the server was dropped.
impl Drop for Session<'_> {
    fn drop(&mut self) {
        let is_reported = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Over => return,
            Stage::Ending(ending) => ending.is_reported,
            opening @ (Stage::Startup(_) | Stage::Held) => {
                drop_quietly(opening);
                false
            }
        };
        let keeper = self.hold.keeper();
        if keeper.end(&self.hold, Disconnect::Shutdown.into()) {
            tracing::warn!(hold = %self.hold.id, path = %Escaped(&self.hold.path), "a hold was cut: the server is going away");
        }
        if let (false, Some(end_request)) = (is_reported, self.hold.end_request()) {
            keeper.remember(&self.hold, &Ended::of(&self.hold, false), &end_request.end);
        }
        keeper.settle(&self.hold);
        drop_quietly(self.driver.take());
        drop_quietly(std::mem::replace(&mut self.hooks, Hooks::Gone));
    }
}

/// Calls the one end hook that is due, within its deadline.
async fn end_hook(keeper: Arc<Keeper>, context: Box<dyn Erased>, ended: Ended, end: End) {
    let running = keeper.begin_hook();
    let deadline = keeper.server_config().hook_timeout;
    let (id, cause) = (ended.id(), end.as_str());
    let call = || match end {
        End::Resume(cause) => context.on_resume(&ended, cause),
        End::Disconnect(cause) => context.on_disconnect(&ended, cause),
    };
    if let Err(fault) = settled(UserCode::start(call, deadline, keeper.time()).await) {
        running.failed();
        tracing::error!(hold = %id, path = %Escaped(ended.path()), %cause, %fault, "an end hook failed");
    }
}
