//! Attending one hold, from its beginning to the beginning of its end, in the connection's own task.
//!
//! The task sleeps on the socket, the hold's end request and the driver; clocks and publishers do not wake it. While a hook
//! runs, nothing is read from the peer, but everything else goes on: what waits is written, the driver runs, a peer
//! that leaves is noticed. Its end begins at once then, and the hook goes on beside it (`conclude`).

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::task::coop;

use crate::endpoint::suspension::Driver;
use crate::endpoint::{BoxError, BoxFuture};
use crate::keeper::end_request::EndRequest;
use crate::keeper::held::Held;
use crate::keeper::hold::Hold;
use crate::socket::Socket;
use abeyance_core::mechanisms::wire::assembler::Incoming;
use abeyance_core::mechanisms::wire::protocol_fault::ProtocolFault;
use abeyance_core::mechanisms::wire::websocket;
use abeyance_core::words::cause::Disconnect;
use abeyance_core::words::escaped::Escaped;
use abeyance_core::words::message::Message;
use abeyance_settings::endpoint::Transport;

use super::After;
use super::ending::Ending;
use super::hooks::{Call, Hooks};
use super::user_code::{HookFault, caught, drop_quietly, poll_caught, settled};
use abeyance_core::request::reader::{Read, Reader};

/// Everything one hold needs while it is held. It lies in the connection's task, and its size is part of the memory of
/// every hold: what is needed only for a moment is boxed for that moment.
pub(super) struct Session<'a> {
    pub(super) hold: Arc<Hold>,
    pub(super) socket: &'a Arc<dyn Socket>,
    pub(super) hooks: Hooks,
    pub(super) driver: Option<BoxFuture<'static, Result<(), BoxError>>>,
    pub(super) reader: Reader,
    pub(super) stage: Stage,
    /// How many bytes that came and wait the server's account has.
    pub(super) counted: usize,
}

/// Where a hold is in its life.
pub(super) enum Stage {
    /// `on_suspend` runs.
    Startup(Box<Startup>),
    Held,
    /// The cause of its end is fixed.
    Ending(Box<Ending>),
    /// Its wire is finished, and what was left to do is another task's.
    Over,
}

/// What happens once, when `on_suspend` is over.
#[derive(Default)]
pub(super) struct Startup {
    pub(super) replies: Vec<Message>,
    pub(super) driver: Option<Driver>,
}

/// What there was to read ahead.
pub(super) enum Ahead {
    /// Nothing lies in the socket any more.
    Nothing,
    /// The peer's last word, or what it broke.
    Last(EndRequest),
    /// More than is read ahead.
    More,
}

/// How many reads one turn may take before others get theirs.
const READS: usize = 16;

/// How many bytes of messages are read ahead at most, to find a goodbye behind them. Where more lies there, the goodbye is
/// found when `on_message` has had some of them.
const LOOK_AHEAD: usize = 256 << 10;

impl<'a> Session<'a> {
    pub(super) fn new(hold: Arc<Hold>, socket: &'a Arc<dyn Socket>, hooks: Hooks, reader: Reader) -> Self {
        let stage = Stage::Startup(Box::default());
        Session { hold, socket, hooks, driver: None, reader, stage, counted: 0 }
    }

    /// Ready when the wire is finished.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<After> {
        if !matches!(self.stage, Stage::Ending(_)) {
            ready!(self.poll_held(cx));
            self.begin_ending(cx);
        }
        self.poll_ending(cx)
    }

    /// Ready when the hold's end has begun.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.hold.poll_end_requested(cx).is_ready() {
                return Poll::Ready(());
            }
            if self.hooks.is_busy() {
                match self.hooks.poll(cx) {
                    Poll::Ready(outcome) => self.ran(outcome),
                    Poll::Pending => {
                        self.poll_beside(cx);
                        self.poll_left(cx);
                        return self.hold.poll_end_requested(cx);
                    }
                }
                continue;
            }
            self.poll_beside(cx);
            // A peer whose messages come faster than `on_message` takes them would never let this task wait, nor others run.
            let turn = ready!(coop::poll_proceed(cx));
            let Some(message) = ready!(self.poll_message(cx)) else { return Poll::Ready(()) };
            turn.made_progress();
            self.start_message(message);
        }
    }

    /// Gives one message to the application. Nothing is read from the peer while it has it, so that the peer cannot send
    /// faster than the application takes.
    fn start_message(&mut self, message: Message) {
        self.count_inbound();
        self.hold.record_message();
        self.hold.pause_reads();
        let deadline = self.hold.keeper().server_config().hook_timeout;
        self.hooks.start(&self.hold, Call::Message(message), deadline);
    }

    /// A hook is over.
    fn ran(&mut self, outcome: Result<(), (&'static str, HookFault)>) {
        self.hold.resume_reads();
        let is_well = outcome.is_ok();
        if let Err((name, fault)) = outcome {
            self.fail(name, &fault);
        }
        if let Stage::Startup(startup) = &mut self.stage {
            let startup = std::mem::take(&mut **startup);
            self.stage = Stage::Held;
            self.open(startup, is_well);
        }
    }

    /// `on_suspend` is over: the replies go out, then what was published meanwhile; then the driver starts.
    fn open(&mut self, startup: Startup, is_well: bool) {
        let Startup { replies, driver } = startup;
        // Where an end has begun, this only counts what will not be delivered.
        self.hold.open(replies);
        match driver {
            Some(driver) if is_well => match caught(|| driver(Held::new(self.hold.clone()))) {
                Ok(future) => self.driver = Some(future),
                Err(fault) => self.fail("driver", &fault),
            },
            // It never ran; what it captured may panic when dropped, and the end hook is still to come.
            driver => drop_quietly(driver),
        }
    }

    /// The next message of the peer; `None` when the hold's end has begun.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        if let Some(message) = self.hold.take_posted() {
            return Poll::Ready(Some(message));
        }
        let mut buffer = [0; 8 * 1024];
        for _ in 0..READS {
            match self.reader.next_item() {
                Read::More => match self.socket.poll_read(cx, &mut buffer) {
                    Poll::Pending => {
                        self.count_inbound();
                        return self.hold.poll_end_requested(cx).map(|()| None);
                    }
                    Poll::Ready(Ok(0)) => self.end(Disconnect::Gone.into()),
                    Poll::Ready(Err(error)) => self.broke(&error, cx),
                    Poll::Ready(Ok(count)) => self.feed(&buffer[..count]),
                },
                Read::Item(Incoming::Pong | Incoming::Crumb) => {}
                Read::Item(Incoming::Message(message)) => return Poll::Ready(Some(message)),
                Read::Item(Incoming::Ping(payload)) => {
                    let _ = self.hold.pong(websocket::pong(&payload));
                }
                Read::Item(Incoming::Close { code, reason }) => self.end(closed(code, &reason)),
                Read::Fault(breach) => self.end(violated(breach)),
            }
            if self.hold.poll_end_requested(cx).is_ready() {
                return Poll::Ready(None);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes in what came.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.hold.record_received(bytes.len(), &**self.socket);
        self.reader.feed(bytes, &self.hold.config.endpoint_config, self.hold.keeper().time().stamp());
    }

    /// What goes on beside reading, and while a hook runs.
    fn poll_beside(&mut self, cx: &mut Context<'_>) {
        if let Poll::Ready(Err(error)) = self.hold.poll_flush(cx) {
            self.broke(&error, cx);
        }
        if let Some(driver) = &mut self.driver
            && let Poll::Ready(outcome) = poll_caught(driver, cx)
        {
            drop_quietly(self.driver.take());
            if let Err(fault) = settled(outcome) {
                self.fail("driver", &fault);
            }
        }
    }

    /// Whether the peer has left while a hook runs.
    fn poll_left(&mut self, cx: &mut Context<'_>) {
        match self.socket.poll_gone(cx) {
            Poll::Pending => {}
            Poll::Ready(Err(error)) => self.broke(&error, cx),
            Poll::Ready(Ok(())) if self.hold.transport() != Transport::WebSocket => {
                self.end(Disconnect::Gone.into());
            }
            // A goodbye may stand behind messages that `on_message` has not had yet, and it is the true cause.
            Poll::Ready(Ok(())) => {
                if let Ahead::Last(end_request) = self.look_ahead(cx) {
                    self.end(end_request);
                }
            }
        }
    }

    /// Reads on, without giving anything away, as far as something lies in the socket and as much as may be read ahead.
    pub(super) fn look_ahead(&mut self, cx: &mut Context<'_>) -> Ahead {
        let mut buffer = [0; 8 * 1024];
        let (mut taken, most) = (0, LOOK_AHEAD + self.hold.config.endpoint_config.max_message);
        self.socket.assume_readable();
        let ahead = loop {
            match self.reader.look() {
                Read::Item(Incoming::Close { code, reason }) => break Ahead::Last(closed(code, &reason)),
                Read::Item(_) => continue,
                Read::Fault(breach) => break Ahead::Last(violated(breach)),
                Read::More => {}
            }
            self.count_inbound();
            // Where there is no room for it, it stays in the socket.
            if self.reader.ahead() > LOOK_AHEAD || taken > most || !self.hold.keeper().has_room_ahead(0) {
                break Ahead::More;
            }
            match self.socket.poll_read(cx, &mut buffer) {
                Poll::Pending => break Ahead::Nothing,
                Poll::Ready(Ok(0)) => break Ahead::Last(Disconnect::Gone.into()),
                Poll::Ready(Ok(count)) => {
                    taken += count;
                    self.feed(&buffer[..count]);
                }
                Poll::Ready(Err(error)) => {
                    break Ahead::Last(self.hold.fault(&error, Some(&**self.socket)).into());
                }
            }
        };
        self.count_inbound();
        ahead
    }

    /// Counts what was read and not given to `on_message` among the bytes that wait in the server.
    fn count_inbound(&mut self) {
        let bytes = self.reader.bytes();
        if bytes != self.counted {
            self.counted = bytes;
            self.hold.count_inbound(bytes);
        }
    }

    fn end(&self, end_request: EndRequest) {
        self.hold.keeper().end(&self.hold, end_request);
    }

    /// The connection broke. A client that says goodbye and closes before it has read everything resets the connection: then
    /// its goodbye is the true cause, and lies in the socket.
    fn broke(&mut self, error: &io::Error, cx: &mut Context<'_>) {
        let end_request = match self.hold.transport() {
            Transport::WebSocket => match self.look_ahead(cx) {
                Ahead::Last(end_request) if end_request.is_goodbye() => Some(end_request),
                _ => None,
            },
            _ => None,
        };
        self.end(end_request.unwrap_or_else(|| self.hold.fault(error, Some(&**self.socket)).into()));
    }

    pub(super) fn fail(&self, what: &str, fault: &HookFault) {
        // A subscriber of the log is user code, too.
        let _ = caught(|| {
            tracing::error!(hold = %self.hold.id, path = %Escaped(&self.hold.path), %fault, "{what} failed");
        });
        self.end(Disconnect::Failed.into());
    }
}

fn closed(code: Option<u16>, reason: &str) -> EndRequest {
    Disconnect::closed(code, reason).into()
}

fn violated(breach: ProtocolFault) -> EndRequest {
    EndRequest { code: Some(breach.close_code()), ..breach.cause().into() }
}
