//! What arrived is given to `on_message`, although the end has begun. The hook that runs goes on, and the messages that were
//! taken follow it, in order. All of them are begun within one `hook_timeout`; the last that is begun has its own, so that
//! no message is cut in the middle.
//!
//! Taken is what was read, what lay whole in the socket, and what was answered with `202`. Some ends cut off what was not
//! begun: the application wants nothing more of this peer, the peer broke the rules or the connection, or the server has
//! no more time. Messages that no hook gets are counted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::task::coop;

use crate::keeper::hold::Hold;
use crate::keeper::outbox::posted;
use crate::socket::Socket;
use abeyance_core::mechanisms::wire::assembler::Incoming;
use abeyance_core::words::cause::{Disconnect, End};
use abeyance_core::words::escaped::Escaped;
use abeyance_core::words::message::Message;
use abeyance_core::words::tick::Tick;
use abeyance_settings::endpoint::Transport;

use super::hooks::{Call, Hooks};
use super::user_code::{caught, drop_quietly};
use abeyance_core::request::reader::{Read, Reader};

/// The messages of one hold that `on_message` has not had yet.
pub(super) struct RemainingMessages {
    /// Until when another message may be begun.
    until: Tick,
    /// Whether anything more is begun.
    is_open: bool,
    /// Whether messages may lie in the socket: more than was read ahead.
    reads: bool,
    /// How many bytes were read since the end began.
    taken: usize,
    /// What came by `POST`.
    posted: VecDeque<Message>,
    /// How many no hook got.
    pub(super) unheard: u64,
}

/// How much is read at most once the end has begun. What a peer had under way is less, with any buffers on both sides.
const MOST_TAKEN: usize = 16 << 20;

/// How many reads one turn may take before others get theirs.
const READS: usize = 16;

impl RemainingMessages {
    /// `has_more` says whether there was more in the socket than was read ahead, `said_goodbye` whether a goodbye was read
    /// there.
    pub(super) fn new(hold: &Hold, end: &End, has_more: bool, said_goodbye: bool) -> Self {
        let keeper = hold.keeper();
        RemainingMessages {
            until: keeper.time().mark().plus(keeper.server_config().hook_timeout),
            is_open: !cuts_off(end, hold.transport())
                || (said_goodbye && *end == End::from(Disconnect::Reset)),
            reads: has_more,
            taken: 0,
            posted: std::iter::from_fn(|| hold.take_posted()).collect(),
            unheard: 0,
        }
    }

    /// Ready when no hook runs and none will be begun but the end hook.
    pub(super) fn poll(
        &mut self,
        hold: &Arc<Hold>,
        hooks: &mut Hooks,
        reader: &mut Reader,
        socket: Option<&dyn Socket>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            match hooks.poll(cx) {
                Poll::Pending => {
                    // A message that no hook will get need not wait in memory for the hook that runs.
                    while !self.is_open || hold.keeper().is_hurried() {
                        let turn = ready!(coop::poll_proceed(cx));
                        let Some(message) = ready!(self.next(hold, reader, socket, cx)) else {
                            break;
                        };
                        turn.made_progress();
                        self.unheard += 1;
                        drop_quietly(message);
                    }
                    return Poll::Pending;
                }
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err((name, fault))) => {
                    let _ = caught(|| {
                        tracing::error!(hold = %hold.id, path = %Escaped(&hold.path), %fault, "{name} failed");
                    });
                    hold.keeper().count_failed_hook();
                }
            }
            let turn = ready!(coop::poll_proceed(cx));
            let Some(message) = ready!(self.next(hold, reader, socket, cx)) else {
                return Poll::Ready(());
            };
            turn.made_progress();
            self.start(hold, hooks, message);
        }
    }

    /// How many bytes wait for `on_message`, beside those of the reader.
    pub(super) fn bytes(&self) -> usize {
        self.posted.iter().map(posted).sum()
    }

    /// Whether the socket is still read for messages.
    pub(super) fn reads(&self) -> bool {
        self.reads
    }

    /// The socket is not read any more.
    pub(super) fn let_go_of_socket(&mut self) {
        self.reads = false;
    }

    fn start(&mut self, hold: &Arc<Hold>, hooks: &mut Hooks, message: Message) {
        let keeper = hold.keeper();
        let now = keeper.time().now();
        if !self.is_open || !hooks.is_free() || now >= self.until || keeper.is_hurried() {
            self.unheard += 1;
            drop_quietly(message);
            return;
        }
        hold.record_message();
        // Its own deadline, though that is later: what is begun is not cut in the middle.
        hooks.start(hold, Call::Message(message), keeper.server_config().hook_timeout);
    }

    /// The next message that was taken.
    fn next(
        &mut self,
        hold: &Hold,
        reader: &mut Reader,
        socket: Option<&dyn Socket>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Message>> {
        if let Some(message) = self.posted.pop_front() {
            return Poll::Ready(Some(message));
        }
        let mut buffer = [0; 8 * 1024];
        for _ in 0..READS {
            match reader.next_item() {
                Read::Item(Incoming::Message(message)) => return Poll::Ready(Some(message)),
                Read::Item(Incoming::Close { .. }) | Read::Fault(_) => {
                    self.reads = false;
                    return Poll::Ready(None);
                }
                Read::Item(_) => continue,
                Read::More => {}
            }
            // A peer that sends without end would have us read for ever, and nothing else ends that.
            self.reads &= self.taken < MOST_TAKEN;
            let Some(socket) = socket.filter(|_| self.reads) else { return Poll::Ready(None) };
            match socket.poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(count @ 1..)) => {
                    self.taken += count;
                    hold.record_received(count, socket);
                    reader.feed(&buffer[..count], &hold.config.endpoint_config, hold.keeper().time().stamp());
                }
                _ => {
                    self.reads = false;
                    return Poll::Ready(None);
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Whether an end cuts off what was not begun.
fn cuts_off(end: &End, transport: Transport) -> bool {
    match end {
        End::Disconnect(
            Disconnect::Kicked { .. } | Disconnect::Reset | Disconnect::Overload | Disconnect::Shutdown,
        ) => true,
        // What stands before the fault in a WebSocket's own stream was said in good order, and `on_message` would have had it had
        // the peer waited a little. A `POST` is beside the stream.
        End::Disconnect(Disconnect::Violation | Disconnect::Flood) => transport != Transport::WebSocket,
        _ => false,
    }
}
