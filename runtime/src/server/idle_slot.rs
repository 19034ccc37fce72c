//! What the server knows of a connection while it is not held: what it waits for, and how it is asked to leave.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

use super::connections::Connections;
use super::evict::Evict;
use super::service::Service;
use super::turn_away::TurnAway;
use crate::dispatch::WaitObserver;
use crate::socket::Socket;
use abeyance_core::mechanisms::connection_queue::{ConnectionQueue, Ticket};
use abeyance_core::words::peer::Peer;

/// A connection that sends or takes so many bytes of a body has earned [`EARNED_TIME`]. In that time it is not asked to
/// leave, and it counts as waiting from its end on. A slower connection has waited since it began to wait.
const EARNING_BYTES: usize = 16 * 1024;

const EARNED_TIME: Duration = Duration::from_secs(1);

/// The slot of one connection while it is not held: from its acceptance or the end of its hold, to its hold or its end.
/// A held connection has none, so this may be large.
pub(super) struct IdleSlot<H: Service> {
    connections: Arc<Connections<H>>,
    state: Mutex<SlotState>,
    /// What it waits for now: bits of [`For`]. Outside of the lock, because it is read at each write.
    waits: AtomicU8,
}

struct SlotState {
    /// Its entry among the connections that are not held.
    unheld: Option<Waiter>,
    /// Its entry among those that have a parser, while it has one.
    parser: Option<Waiter>,
    /// How many bytes have come or were taken since it last earned time, or since its request.
    moved: usize,
    stage: Stage,
    /// hyper may have bytes of an answer that are not written.
    has_unwritten: bool,
}

/// How far a connection is with its request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It has not sent a whole head yet.
    Fresh,
    /// The head of its request was read, and there is no answer yet.
    RequestRead,
    /// There is an answer, and not all of it is written.
    Answered,
    /// Between two requests.
    Resting,
    /// The application has taken it over from HTTP.
    Upgraded,
}

/// What a connection can wait for. If these are several things at once, it waits until all have come.
#[derive(Clone, Copy)]
pub(super) enum For {
    /// A request.
    Request = 1,
    /// The rest of its request's body.
    Body = 2,
    /// Its peer, to take what is being written.
    Taking = 4,
}

/// What a connection can be asked for.
#[derive(Clone, Copy)]
pub(super) enum Asset {
    /// Its slot: it leaves.
    Slot,
    /// Its parser. If it needs none now, it gives the parser up and stays; otherwise it leaves.
    Parser,
}

/// A ticket in one of the two queues, and how the connection is asked for its slot or its parser.
struct Waiter {
    ticket: Ticket,
    evict: Arc<Evict>,
}

/// Answers of a connection that was asked to leave and stays. They are given when no lock is held.
#[must_use]
#[derive(Default)]
struct Stayed(Vec<Arc<Evict>>);

/// A permit to have an HTTP parser; dropping it gives it back.
pub(super) struct Parser<H: Service> {
    slot: Arc<IdleSlot<H>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl<H: Service> IdleSlot<H> {
    pub(super) fn new(connections: Arc<Connections<H>>, ticket: Ticket) -> Arc<Self> {
        let unheld = Some(Waiter::new(ticket));
        let state = SlotState { unheld, parser: None, moved: 0, stage: Stage::Fresh, has_unwritten: false };
        Arc::new(IdleSlot { connections, state: Mutex::new(state), waits: AtomicU8::new(0) })
    }

    /// The slot of a connection that was held until now.
    pub(super) fn back(connections: &Arc<Connections<H>>, peer: SocketAddr) -> Arc<Self> {
        let ticket = connections.unheld.lock().come_back(connections.counted(peer.ip()));
        let slot = IdleSlot::new(connections.clone(), ticket);
        slot.state.lock().stage = Stage::Resting;
        slot.wait(For::Request);
        slot
    }

    /// The peer as which it is counted, if it is.
    pub(super) fn peer(&self) -> Option<Peer> {
        self.state.lock().unheld.as_ref().and_then(|unheld| unheld.ticket.peer())
    }

    /// The connection waits from now on: it can be asked to leave.
    pub(super) fn wait(&self, what: For) {
        let what = what as u8;
        if self.waits.load(SeqCst) & what != 0 {
            return;
        }
        let mut state = self.state.lock();
        if self.waits.fetch_or(what, SeqCst) == 0 {
            self.queue(&mut state);
        }
    }

    /// The connection need not wait for this now: so many bytes came or were taken, or the body is not read any more.
    pub(super) fn go_on(&self, what: For, moved: usize) {
        let mut state = self.state.lock();
        state.moved = state.moved.saturating_add(moved);
        let before = self.waits.fetch_and(!(what as u8), SeqCst);
        let still = before & !(what as u8) != 0;
        if before == 0 || (still && state.moved < EARNING_BYTES) {
            return;
        }
        self.each(&mut state, |waiting, waiter| {
            waiting.pause(&mut waiter.ticket);
        });
        if still {
            self.queue(&mut state);
        }
    }

    /// Bytes of a request are here, and wait for a parser. The connection does not wait for its peer until a parser has
    /// [read](IdleSlot::parsed) them.
    pub(super) fn come(&self) {
        let mut state = self.state.lock();
        let stayed = self.go_ahead(&mut state, ConnectionQueue::stay);
        drop(state);
        stayed.answer();
    }

    /// A whole head has come. If the connection was asked to leave before this was known, it stays.
    pub(super) fn begin(&self) {
        let mut state = self.state.lock();
        // hyper begins with the next request when the last answer is in its buffer, written or not.
        state.has_unwritten |= state.stage == Stage::Answered;
        state.stage = Stage::RequestRead;
        state.moved = 0;
        let stayed = self.go_ahead(&mut state, ConnectionQueue::begin);
        drop(state);
        stayed.answer();
    }

    /// There is an answer. From now on the server may write nothing else.
    pub(super) fn answer(&self) {
        self.state.lock().stage = Stage::Answered;
    }

    /// hyper writes, and the peer took so many bytes.
    pub(super) fn write(&self, taken: usize) {
        let is_blocked = self.waits.load(SeqCst) & For::Taking as u8 != 0;
        match taken {
            0 => self.wait(For::Taking),
            _ if is_blocked => self.go_on(For::Taking, taken),
            _ => {}
        }
        self.state.lock().has_unwritten = true;
    }

    /// The application takes the connection over: a WebSocket of the fallback. It is still counted, and waits only
    /// while its peer takes nothing of what is written to it.
    pub(super) fn upgrade(&self) {
        let mut state = self.state.lock();
        state.stage = Stage::Upgraded;
        let stayed = self.go_ahead(&mut state, ConnectionQueue::begin);
        drop(state);
        stayed.answer();
    }

    /// hyper has written all that it had; if the connection `rests`, the answer is complete.
    pub(super) fn flush(&self, rests: bool) {
        let mut state = self.state.lock();
        state.has_unwritten = false;
        if !rests || state.stage == Stage::Upgraded {
            return;
        }
        let mut stayed = Stayed::default();
        if state.stage == Stage::Answered {
            state.stage = Stage::Resting;
            state.moved = 0;
            // From now on it waits for a request, whether it waited for something else before or not.
            stayed = self.go_ahead(&mut state, ConnectionQueue::begin);
        }
        drop(state);
        stayed.answer();
        self.wait(For::Request);
    }

    /// Waits in both queues.
    fn queue(&self, state: &mut SlotState) {
        let now = self.connections.age();
        let has_earned = state.moved >= EARNING_BYTES;
        if has_earned {
            state.moved = 0;
        }
        self.each(state, |waiting, Waiter { ticket, evict }| match has_earned {
            true => waiting.wait(ticket, now + EARNED_TIME, evict.clone()),
            false => waiting.wait_on(ticket, now, evict.clone()),
        });
    }

    /// Waits in neither queue any more. If it was asked for its slot or its parser meanwhile, it stays.
    fn go_ahead(
        &self,
        state: &mut SlotState,
        act: impl Fn(&mut ConnectionQueue<Arc<Evict>>, &mut Ticket) -> bool,
    ) -> Stayed {
        self.waits.store(0, SeqCst);
        let mut stayed = Vec::new();
        self.each(state, |waiting, waiter| {
            if !act(waiting, &mut waiter.ticket) {
                stayed.push(std::mem::take(&mut waiter.evict));
            }
        });
        Stayed(stayed)
    }

    /// Does the same in both queues.
    fn each(
        &self,
        state: &mut SlotState,
        mut act: impl FnMut(&mut ConnectionQueue<Arc<Evict>>, &mut Waiter),
    ) {
        let SlotState { unheld, parser, .. } = state;
        for (waiting, waiter) in [(&self.connections.unheld, unheld), (&self.connections.parsers, parser)] {
            if let Some(waiter) = waiter {
                act(&mut waiting.lock(), waiter);
            }
        }
    }

    /// Has a parser from now on.
    pub(super) fn take_parser(self: &Arc<Self>, ticket: Ticket, permit: OwnedSemaphorePermit) -> Parser<H> {
        self.state.lock().parser = Some(Waiter::new(ticket));
        Parser { slot: self.clone(), permit: Some(permit) }
    }

    /// The parser has read what came so far. If that was no whole head, the connection waits for the rest.
    pub(super) fn parsed(&self) {
        if self.is_between_requests() {
            self.wait(For::Request);
        }
    }

    /// Whether no request has begun, as far as was read. Bytes of the next one may have come already.
    pub(super) fn is_between_requests(&self) -> bool {
        matches!(self.state.lock().stage, Stage::Fresh | Stage::Resting)
    }

    /// Whether it was asked for this, and has not [begun](IdleSlot::begin) since.
    pub(super) fn poll_asked(&self, asset: Asset, cx: &mut Context<'_>) -> Poll<()> {
        let state = self.state.lock();
        let waiter = match asset {
            Asset::Slot => &state.unheld,
            Asset::Parser => &state.parser,
        };
        let Some(evict) = waiter.as_ref().map(|waiter| waiter.evict.clone()) else { return Poll::Pending };
        drop(state);
        evict.poll_asked(cx)
    }

    /// Returns when it is asked for this.
    pub(super) async fn asked(&self, asset: Asset) {
        poll_fn(|cx| self.poll_asked(asset, cx)).await;
    }

    /// Returns when it is asked for this while a request is under way.
    pub(super) async fn asked_amid_request(&self, asset: Asset) {
        poll_fn(|cx| match self.is_between_requests() {
            true => Poll::Pending,
            false => self.poll_asked(asset, cx),
        })
        .await;
    }

    /// Leaves because it was asked to.
    pub(super) fn make_way(&self, socket: &Arc<dyn Socket>) {
        self.connections.service.count_turned_away();
        let state = self.state.lock();
        match state.stage {
            // An RST, after which the kernel need not remember the connection.
            Stage::Fresh => socket.cut(),
            // Nothing is written yet, so an answer can be: a proxy would take a close for a broken server.
            Stage::RequestRead if !state.has_unwritten => {
                socket.write_and_close(TurnAway::Full.answer().as_bytes())
            }
            // Not a FIN, which could pass for the end of an answer that is not whole.
            Stage::RequestRead | Stage::Answered | Stage::Upgraded => socket.cut(),
            // It may not have read its answer yet, and an RST would destroy that.
            Stage::Resting => {}
        }
    }

    /// It is held now, or gone.
    pub(super) fn leave(&self) {
        let unheld = self.state.lock().unheld.take();
        if let Some(Waiter { ticket, evict }) = unheld {
            self.connections.unheld.lock().leave(ticket);
            evict.give();
        }
    }
}

impl<H: Service> WaitObserver for IdleSlot<H> {
    fn waits(&self) {
        self.wait(For::Body);
    }

    fn goes_on(&self, came: usize) {
        self.go_on(For::Body, came);
    }
}

impl<H: Service> Drop for IdleSlot<H> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<H: Service> Drop for Parser<H> {
    fn drop(&mut self) {
        let parser = self.slot.state.lock().parser.take();
        if let Some(Waiter { ticket, evict }) = parser {
            self.slot.connections.parsers.lock().leave(ticket);
            // In this order: the connection that asked for the parser finds the permit.
            self.permit = None;
            evict.give();
        }
    }
}

impl Waiter {
    fn new(ticket: Ticket) -> Self {
        Waiter { ticket, evict: Arc::default() }
    }
}

impl Stayed {
    fn answer(self) {
        for evict in self.0 {
            evict.stay();
        }
    }
}
