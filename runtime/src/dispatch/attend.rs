//! Attending one hold, from its beginning to the beginning of its end, in the connection's own task.
//!
//! The task sleeps on the socket, the hold's note and the driver; clocks and publishers do not wake it. While a hook
//! runs, nothing is read from the peer, but everything else goes on: what waits is written, the driver runs, a peer
//! that leaves is noticed.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::endpoint::erased::Erased;
use crate::endpoint::suspension::Driver;
use crate::endpoint::{BoxError, BoxFuture};
use crate::keeper::held::Held;
use crate::keeper::hold::Hold;
use crate::keeper::note::Note;
use crate::mechanisms::wire::assembler::Incoming;
use crate::mechanisms::wire::fault::Fault as Breach;
use crate::mechanisms::wire::websocket;
use crate::socket::Socket;
use crate::words::cause::Disconnect;
use crate::words::escaped::Escaped;
use crate::words::line::Line;
use crate::words::message::Message;
use crate::words::terms::Transport;

use super::guard::{Fault, Guarded, caught, drop_quietly, poll_caught};
use super::reader::{Read, Reader};

/// Everything one hold needs while it is held. It lies in the connection's task, and its size is part of the memory of
/// every hold: what is needed only for a moment is boxed for that moment.
pub(super) struct Attendant<'a> {
    pub(super) hold: Arc<Hold>,
    pub(super) line: &'a Arc<dyn Socket>,
    /// Taken by the end hook, or by nobody.
    pub(super) context: Option<Box<dyn Erased>>,
    pub(super) driver: Option<BoxFuture<'static, Result<(), BoxError>>>,
    pub(super) reader: Reader,
    /// Taken when the hold is opened.
    pub(super) opening: Option<Box<Opening>>,
}

/// What happens once, when a hold has begun.
pub(super) struct Opening {
    pub(super) head: Bytes,
    pub(super) unread: Bytes,
    pub(super) replies: Vec<Message>,
    pub(super) driver: Option<Driver>,
}

/// How many reads one turn may take before others get theirs.
const READS: usize = 16;

impl Attendant<'_> {
    /// The head, `on_suspend`, the replies, and what was published meanwhile, in this order; then the driver starts.
    pub(super) async fn open(&mut self) {
        let Some(opening) = self.opening.take() else { return };
        let Opening { head, unread, replies, driver } = *opening;
        let held = Held::new(self.hold.clone());
        let is_open = (head.is_empty() || self.hold.write_head(head).is_ok())
            && self.run("on_suspend", |context| context.on_suspend(&held)).await;
        // Where an end has begun, this only counts what will not be delivered.
        self.hold.open(replies);
        if !is_open {
            // It never ran; what it captured may panic when dropped, and the end hook is still to come.
            drop_quietly(driver);
            return;
        }
        if let Some(driver) = driver {
            match caught(|| driver(held)) {
                Ok(future) => self.driver = Some(future),
                Err(fault) => self.side().fail("driver", &fault),
            }
        }
        if !unread.is_empty() {
            // What came behind the request's head, before it was answered. What is more than one item waits in the reader.
            let read = self.feed(&unread);
            if let Some(message) = self.take(read) {
                self.hear(message).await;
            }
        }
    }

    /// Gives one message to the application.
    pub(super) async fn hear(&mut self, message: Box<Message>) {
        self.hold.note_message();
        let held = Held::new(self.hold.clone());
        self.run("on_message", |context| context.on_message(&held, *message)).await;
        // A peer whose messages come faster than they are taken would never have this task wait, nor others run.
        tokio::task::consume_budget().await;
    }

    /// Runs a hook to its end, or until the hold's end begins: then it is dropped where it waits. `true` if it finished.
    /// Nothing is read from the peer meanwhile, so that it cannot send faster than the application takes.
    async fn run<'a>(
        &'a mut self,
        name: &'static str,
        hook: impl FnOnce(&'a mut dyn Erased) -> BoxFuture<'a, ()>,
    ) -> bool {
        let Attendant { hold, line, context, driver, reader, .. } = self;
        let Some(context) = context else { return false };
        let keeper = hold.keeper();
        let hook = Guarded::start(|| hook(&mut **context), keeper.policy().hook_deadline, keeper.time());
        let mut side = Side { hold, line: &***line, driver };
        hold.deafen();
        let ran = side.accompany(hook, name).await;
        hold.listen();
        match ran {
            Ran::Finished => true,
            Ran::Over => false,
            Ran::Left => {
                let note = last_words(hold, &***line, reader).unwrap_or(Disconnect::Gone.into());
                hold.keeper().end(hold, note);
                false
            }
        }
    }

    /// The next message of the peer; `None` when the hold's end has begun. Boxed, or the future that waits for one would
    /// have room for it all along.
    pub(super) fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Box<Message>>> {
        if self.hold.poll_noted(cx).is_ready() {
            return Poll::Ready(None);
        }
        self.side().poll(cx);
        if let Some(message) = self.hold.take_posted() {
            return Poll::Ready(Some(Box::new(message)));
        }
        let mut buffer = [0; 8 * 1024];
        for _ in 0..READS {
            let read = match self.reader.next() {
                Read::More => match self.line.poll_read(cx, &mut buffer) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(0)) => return self.ended(Disconnect::Gone.into(), cx),
                    Poll::Ready(Err(error)) => {
                        let end = self.hold.fault(&error, Some(&**self.line));
                        return self.ended(end.into(), cx);
                    }
                    Poll::Ready(Ok(count)) => self.feed(&buffer[..count]),
                },
                item => item,
            };
            if let Some(message) = self.take(read) {
                return Poll::Ready(Some(message));
            }
            if self.hold.poll_noted(cx).is_ready() {
                return Poll::Ready(None);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn feed(&mut self, bytes: &[u8]) -> Read {
        self.hold.note_received(bytes.len(), &**self.line);
        self.reader.feed(bytes, &self.hold.post.terms, self.hold.keeper().time().stamp())
    }

    /// Acts on what was read; a message is for the application.
    fn take(&mut self, read: Read) -> Option<Box<Message>> {
        match read {
            Read::More | Read::Item(Incoming::Pong | Incoming::Crumb) => {}
            Read::Item(Incoming::Message(message)) => return Some(Box::new(message)),
            Read::Item(Incoming::Ping(payload)) => {
                let _ = self.hold.pong(websocket::pong(&payload));
            }
            Read::Item(Incoming::Close { code, reason }) => self.end(closed(code, &reason)),
            Read::Fault(breach) => self.end(violated(breach)),
        }
        None
    }

    fn end(&self, note: Note) {
        self.hold.keeper().end(&self.hold, note);
    }

    fn ended(&self, note: Note, cx: &mut Context<'_>) -> Poll<Option<Box<Message>>> {
        self.end(note);
        self.hold.poll_noted(cx).map(|()| None)
    }

    fn side(&mut self) -> Side<'_> {
        Side { hold: &self.hold, line: &**self.line, driver: &mut self.driver }
    }
}

/// How a hook came to its end.
enum Ran {
    Finished,
    /// The hold's end has begun; the hook was dropped.
    Over,
    /// The peer closed its side; the hook was dropped.
    Left,
}

/// What goes on beside reading, and while a hook runs.
struct Side<'a> {
    hold: &'a Arc<Hold>,
    line: &'a dyn Line,
    driver: &'a mut Option<BoxFuture<'static, Result<(), BoxError>>>,
}

impl Side<'_> {
    async fn accompany(&mut self, mut hook: Guarded<'_, ()>, name: &'static str) -> Ran {
        poll_fn(|cx| {
            if self.hold.poll_noted(cx).is_ready() {
                return Poll::Ready(Ran::Over);
            }
            match hook.poll(cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ran::Finished),
                Poll::Ready(Err(fault)) => {
                    self.fail(name, &fault);
                    return Poll::Ready(Ran::Over);
                }
                Poll::Pending => {}
            }
            self.poll(cx);
            match self.line.poll_gone(cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ran::Left),
                Poll::Ready(Err(error)) => self.broke(&error),
                Poll::Pending => {}
            }
            self.hold.poll_noted(cx).map(|()| Ran::Over)
        })
        .await
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        if let Poll::Ready(Err(error)) = self.hold.poll_flush(cx) {
            self.broke(&error);
        }
        if let Some(driver) = self.driver
            && let Poll::Ready(outcome) = poll_caught(driver, cx)
        {
            if let Some(driver) = self.driver.take() {
                drop_quietly(driver);
            }
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::error!(hold = %self.hold.id, error = %Escaped(&error.to_string()), "a driver failed");
                    self.hold.keeper().end(self.hold, Disconnect::Failed.into());
                }
                Err(fault) => self.fail("driver", &fault),
            }
        }
    }

    fn broke(&self, error: &io::Error) {
        self.hold.keeper().end(self.hold, self.hold.fault(error, Some(self.line)).into());
    }

    fn fail(&self, what: &str, fault: &Fault) {
        tracing::error!(hold = %self.hold.id, path = %Escaped(&self.hold.path), %fault, "{what} failed");
        self.hold.keeper().end(self.hold, Disconnect::Failed.into());
    }
}

fn closed(code: Option<u16>, reason: &str) -> Note {
    Disconnect::Closed { code, reason: reason.into() }.into()
}

fn violated(breach: Breach) -> Note {
    Note { code: Some(breach.close_code()), ..breach.cause().into() }
}

/// What a peer that left while we were not reading said at last: a goodbye may stand behind unread messages.
fn last_words(hold: &Hold, line: &dyn Line, reader: &mut Reader) -> Option<Note> {
    if hold.transport() != Transport::WebSocket {
        return None;
    }
    let mut cx = Context::from_waker(Waker::noop());
    let mut buffer = [0; 8 * 1024];
    let mut read = reader.next();
    for _ in 0..READS {
        loop {
            match read {
                Read::Item(Incoming::Close { code, reason }) => return Some(closed(code, &reason)),
                Read::Item(_) => read = reader.next(),
                Read::Fault(_) => return None,
                Read::More => break,
            }
        }
        let Poll::Ready(Ok(count @ 1..)) = line.poll_read(&mut cx, &mut buffer) else { return None };
        hold.note_received(count, line);
        read = reader.feed(&buffer[..count], &hold.post.terms, hold.keeper().time().stamp());
    }
    None
}
