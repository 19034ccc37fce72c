//! How one hold ends: on the wire, and for the application.
//!
//! Two things go on beside each other. On the wire the ending is written, then FIN (after a WebSocket's answer to our close
//! frame, or a second). What the peer still sends is discarded until its own FIN, because closing with unread bytes would
//! reset the connection and destroy the ending on its way. Meanwhile hooks finish (`remaining_messages`). When the ending is
//! written and the hooks are over, the end hook starts.

use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use http::HeaderMap;

use crate::endpoint::erased::Erased;
use crate::keeper::Keeper;
use crate::keeper::end_request::EndRequest;
use crate::keeper::ended::Ended;
use crate::keeper::hold::Hold;
use crate::socket::Socket;
use abeyance_core::mechanisms::send_buffer::{Kind, Piece};
use abeyance_core::mechanisms::wire::assembler::Incoming;
use abeyance_core::mechanisms::wire::ending::ending;
use abeyance_core::mechanisms::wire::ending_bytes::EndingBytes;
use abeyance_core::mechanisms::wire::{Encoded, WireForm, head, long_poll};
use abeyance_core::request::reader::{Read, Reader};
use abeyance_core::words::cause::End;
use abeyance_core::words::escaped::Escaped;
use abeyance_core::words::event_id::Numbered;

use super::answers::retry_after;
use super::date::http_date;
use super::discard::{Discarded, discard};
use super::hooks::Hooks;
use super::remaining_messages::RemainingMessages;
use super::user_code::{UserCode, caught, drop_quietly, settled};
use super::{After, Deadline};

/// How much is discarded at most. What a peer had under way when its ending came is less, however large its and our buffers; a
/// peer that goes on sending would have us read for the whole `close_timeout`.
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
    remaining: RemainingMessages,
    wire: WireState,
    /// When `close_timeout` is over.
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
enum WireState {
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

impl Ending {
    /// `has_more` says whether more lies in the socket than was read ahead, `said_goodbye` whether a goodbye was read there.
    pub(super) fn new(hold: &Hold, end_request: EndRequest, has_more: bool, said_goodbye: bool) -> Self {
        let keeper = hold.keeper();
        let due = keeper.time().mark().plus(keeper.server_config().close_timeout);
        Ending {
            remaining: RemainingMessages::new(hold, &end_request.end, has_more, said_goodbye),
            due: Deadline::at(due, keeper.time()),
            end_request,
            wire: WireState::Begun,
            discarded: 0,
            reply_due: None,
            ended: None,
            is_reported: false,
        }
    }

    /// How many bytes of messages wait that the peer sent, beside those of the reader.
    pub(super) fn bytes(&self) -> usize {
        self.remaining.bytes()
    }

    /// Ready when no hook runs and none will be begun but the end hook.
    pub(super) fn poll_remaining(
        &mut self,
        hold: &Arc<Hold>,
        hooks: &mut Hooks,
        reader: &mut Reader,
        socket: Option<&dyn Socket>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        self.remaining.poll(hold, hooks, reader, socket, cx)
    }

    /// The end hook was started, or there is none any more.
    pub(super) fn is_reported(&self) -> bool {
        self.is_reported
    }

    /// The runtime is going away before the end hook could be called: the end is remembered all the same.
    pub(super) fn remember(&self, hold: &Hold) {
        if let (false, Some(ended)) = (self.is_reported, &self.ended) {
            hold.keeper().remember(hold, ended, &self.end_request.end);
        }
    }

    /// Writes the ending, as far as the peer, the deadline and the bound on endings allow.
    pub(super) fn poll_written(
        &mut self,
        hold: &Hold,
        socket: &dyn Socket,
        reader: &Reader,
        cx: &mut Context<'_>,
    ) {
        if self.wire == WireState::Begun {
            self.wire = self.begin_writing(hold, socket, reader);
        }
        if let WireState::Writing(is_kept) = self.wire {
            let is_whole = match hold.poll_flush(cx) {
                Poll::Ready(flushed) => flushed.is_ok(),
                Poll::Pending if hold.poll_cut(cx).is_ready() => false,
                Poll::Pending if self.due.poll(hold.keeper().time(), cx).is_ready() => false,
                Poll::Pending => return,
            };
            self.wire = WireState::Written(if is_whole { Written::Whole } else { Written::Torn }, is_kept);
            self.wrote(hold, socket, reader);
        }
        if let (WireState::Written(written, _), None, false) = (self.wire, &self.ended, self.is_reported) {
            self.ended = Some(Ended::of(hold, written == Written::Whole));
        }
    }

    /// Puts the ending behind what waits. What needs no waiting for the peer is done at once.
    fn begin_writing(&mut self, hold: &Hold, socket: &dyn Socket, reader: &Reader) -> WireState {
        let last = |pieces: &mut dyn Iterator<Item = Piece>, is_kept| match hold.write_last(pieces) {
            Ok(()) => WireState::Writing(is_kept),
            Err(_) => {
                socket.cut();
                WireState::Written(Written::Torn, false)
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
                if begun == WireState::Written(Written::Torn, false) {
                    self.count_answer(hold, reader, Written::Torn);
                }
                begun
            }
            EndingBytes::LastWord(bytes) => match hold.replace_with_ending(&bytes) {
                true => {
                    socket.shut();
                    WireState::Written(Written::Whole, false)
                }
                false => {
                    socket.cut();
                    WireState::Written(Written::Nothing, false)
                }
            },
            EndingBytes::Close => {
                socket.shut();
                WireState::Written(Written::Nothing, false)
            }
            EndingBytes::Cut => {
                socket.cut();
                WireState::Written(Written::Nothing, false)
            }
        }
    }

    /// The ending is written, or given up.
    fn wrote(&mut self, hold: &Hold, socket: &dyn Socket, reader: &Reader) {
        let WireState::Written(written, is_kept) = self.wire else { return };
        if hold.form == WireForm::LongPoll {
            self.count_answer(hold, reader, written);
        }
        match written {
            Written::Whole if hold.form == WireForm::WebSocket && !self.end_request.is_goodbye() => {
                let keeper = hold.keeper();
                let wait = CLOSE_REPLY.min(keeper.server_config().close_timeout / 2);
                self.reply_due = Some(Deadline::at(keeper.time().mark().plus(wait), keeper.time()));
            }
            Written::Whole if !is_kept => socket.shut(),
            Written::Torn => socket.cut(),
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
    pub(super) fn poll_let_go(
        &mut self,
        hold: &Hold,
        socket: &dyn Socket,
        reader: &mut Reader,
        cx: &mut Context<'_>,
    ) -> Poll<After> {
        let WireState::Written(written, is_kept) = self.wire else { return Poll::Pending };
        let is_late = self.due.poll(hold.keeper().time(), cx).is_ready() || hold.poll_cut(cx).is_ready();
        if written == Written::Whole && is_kept {
            return Poll::Ready(After::KeepAlive { unread: reader.take_unread() });
        }
        if self.remaining.reads() {
            // Messages lie there that no hook has had yet. They are waited for, but not by too many endings at once.
            ready!(hold.poll_cut(cx));
            self.remaining.let_go_of_socket();
        }
        if written == Written::Nothing {
            return Poll::Ready(After::Close);
        }
        if let Some(mut due) = self.reply_due.take() {
            // While a hook runs, the reader has messages for `on_message`, and the connection waits for no hook.
            let is_answered = !self.is_reported || self.poll_reply(hold, socket, reader, cx).is_ready();
            if !is_answered && !is_late && due.poll(hold.keeper().time(), cx).is_pending() {
                self.reply_due = Some(due);
                return Poll::Pending;
            }
            socket.shut();
        }
        match discard(socket, cx, &mut self.discarded, MOST_DISCARDED) {
            Poll::Ready(Discarded::PeerClosed) => {}
            Poll::Pending if !is_late => return Poll::Pending,
            Poll::Ready(Discarded::TooMuch) | Poll::Pending => socket.cut(),
        }
        Poll::Ready(After::Close)
    }

    /// Ready when the peer has answered our close frame, or will not. Messages before that are dropped: they came
    /// after the end had begun.
    fn poll_reply(
        &mut self,
        hold: &Hold,
        socket: &dyn Socket,
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
            match ready!(socket.poll_read(cx, &mut buffer)) {
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
    /// long as its deadline, and neither the registry nor the connection's next request waits for it.
    pub(super) fn report(&mut self, hold: &Hold, hooks: &mut Hooks) {
        let Some(mut ended) = self.ended.take() else { return };
        self.is_reported = true;
        let keeper = hold.keeper().clone();
        ended.heard(hold, self.remaining.unheard);
        keeper.count_unheard(hold, self.remaining.unheard);
        let end = self.end_request.end.clone();
        // A subscriber of the log is user code, too: the end hook follows, even if it panics.
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
