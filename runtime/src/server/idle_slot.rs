//! A connection's place while it is not held: for what it waits, and how it is asked to leave.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

use super::connections::{Cancellation, Connections};
use super::service::Service;
use super::turn_away::TurnAway;
use crate::dispatch::WaitObserver;
use crate::socket::Socket;
use abeyance_core::mechanisms::connection_queue::{ConnectionQueue, Ticket};
use abeyance_core::words::peer::Peer;

/// A connection that sends or takes so many bytes of a body has earned a [`WHILE`] in which it is not asked to leave, and
/// counts as waiting from its end on. One that trickles has waited since it began to.
const WORTH_A_WHILE: usize = 16 * 1024;

const WHILE: Duration = Duration::from_secs(1);

/// The place of one connection in the lobby, from its acceptance or the end of its hold to its hold or its end.
/// A held connection has none, so this may be large.
pub(super) struct IdleSlot<H: Service> {
    connections: Arc<Connections<H>>,
    books: Mutex<SlotState>,
    /// For what it waits now; as in the books, so that most who ask need no lock.
    waits: AtomicU8,
}

struct SlotState {
    /// In the lobby of connections.
    place: Option<Waiter>,
    /// In the lobby of parsers, while it has one.
    parser: Option<Waiter>,
    /// How much has come or was taken since it last earned something, or since its request.
    moved: usize,
    stage: Stage,
    /// hyper may have bytes of an answer that are not written.
    owes: bool,
}

/// How far a connection is with its request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It has not sent a whole head yet.
    Unheard,
    /// Its request is there, and nothing of the answer yet.
    RequestFacts,
    /// There is an answer, and not all of it is written.
    Answered,
    /// Between two requests.
    Resting,
    /// It is the application's, which took it over from HTTP.
    Upgraded,
}

/// What a connection can wait for. It may be several things at once: then it waits until all have come.
#[derive(Clone, Copy)]
pub(super) enum For {
    /// A request.
    Request = 1,
    /// The rest of its request's body.
    Body = 2,
    /// Its peer takes nothing of what is being written.
    Taking = 4,
}

/// What a connection can be asked for.
#[derive(Clone, Copy)]
pub(super) enum Asset {
    /// Its place: it leaves.
    Place,
    /// Its parser. If it needs none now, it puts it down and stays; otherwise it leaves.
    Parser,
}

/// A ticket in one of the lobbies, and how whoever has it is asked for what it stands for.
struct Waiter {
    ticket: Ticket,
    evict: Arc<Evict>,
}

/// How a connection is asked for something, once, and how it answers.
#[derive(Default)]
pub(super) struct Evict {
    asked: Mutex<Asked>,
    answered: Cancellation,
    has_stayed: AtomicBool,
}

#[derive(Default)]
struct Asked {
    is_asked: bool,
    waker: Option<Waker>,
}

/// Those that were asked and stay. They say so to whoever asked them when no lock is held.
#[must_use]
#[derive(Default)]
struct Stayed(Vec<Arc<Evict>>);

/// Leave to have an HTTP parser; dropping it gives it back.
pub(super) struct Parser<H: Service> {
    slot: Arc<IdleSlot<H>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl<H: Service> IdleSlot<H> {
    pub(super) fn new(connections: Arc<Connections<H>>, ticket: Ticket) -> Arc<Self> {
        let place = Some(Waiter::new(ticket));
        let books = SlotState { place, parser: None, moved: 0, stage: Stage::Unheard, owes: false };
        Arc::new(IdleSlot { connections, books: Mutex::new(books), waits: AtomicU8::new(0) })
    }

    /// The place of a connection that was held until now.
    pub(super) fn back(connections: &Arc<Connections<H>>, peer: SocketAddr) -> Arc<Self> {
        let ticket = connections.waiting.lock().come_back(connections.counted(peer.ip()));
        let slot = IdleSlot::new(connections.clone(), ticket);
        slot.books.lock().stage = Stage::Resting;
        slot.wait(For::Request);
        slot
    }

    /// As whose it is counted, if it is.
    pub(super) fn peer(&self) -> Option<Peer> {
        self.books.lock().place.as_ref().and_then(|place| place.ticket.peer())
    }

    /// It waits from now on: it can be asked to leave.
    pub(super) fn wait(&self, what: For) {
        let what = what as u8;
        if self.waits.load(SeqCst) & what != 0 {
            return;
        }
        let mut books = self.books.lock();
        if self.waits.fetch_or(what, SeqCst) == 0 {
            self.queue(&mut books);
        }
    }

    /// What it waited for moves: so many bytes came, or were taken, or it is wanted no more.
    pub(super) fn go_on(&self, what: For, moved: usize) {
        let mut books = self.books.lock();
        books.moved = books.moved.saturating_add(moved);
        let before = self.waits.fetch_and(!(what as u8), SeqCst);
        let still = before & !(what as u8) != 0;
        if before == 0 || (still && books.moved < WORTH_A_WHILE) {
            return;
        }
        self.each(&mut books, |waiting, waiter| {
            waiting.pause(&mut waiter.ticket);
        });
        if still {
            self.queue(&mut books);
        }
    }

    /// Bytes of a request are here, and wait for a parser. That is no waiting for the peer, until a parser has
    /// [looked](IdleSlot::look) at them.
    pub(super) fn come(&self) {
        let mut books = self.books.lock();
        let stayed = self.go_ahead(&mut books, ConnectionQueue::stay);
        drop(books);
        stayed.say();
    }

    /// A whole head has come. If the connection was asked to leave, it was so before that was known, and it stays.
    pub(super) fn begin(&self) {
        let mut books = self.books.lock();
        // hyper begins with the next request when the last answer is in its buffer, written or not.
        books.owes |= books.stage == Stage::Answered;
        books.stage = Stage::RequestFacts;
        books.moved = 0;
        let stayed = self.go_ahead(&mut books, ConnectionQueue::begin);
        drop(books);
        stayed.say();
    }

    /// There is an answer. From now on nothing else may be written.
    pub(super) fn answer(&self) {
        self.books.lock().stage = Stage::Answered;
    }

    /// hyper writes: so much was taken.
    pub(super) fn write(&self, taken: usize) {
        let is_blocked = self.waits.load(SeqCst) & For::Taking as u8 != 0;
        match taken {
            0 => self.wait(For::Taking),
            _ if is_blocked => self.go_on(For::Taking, taken),
            _ => {}
        }
        self.books.lock().owes = true;
    }

    /// It is the application's from now on: a WebSocket of the fallback. It counts as it did, and waits only while its peer
    /// takes nothing of what is written to it.
    pub(super) fn upgrade(&self) {
        let mut books = self.books.lock();
        books.stage = Stage::Upgraded;
        let stayed = self.go_ahead(&mut books, ConnectionQueue::begin);
        drop(books);
        stayed.say();
    }

    /// hyper has written all that it had; if the connection `rests`, that was all there is.
    pub(super) fn flush(&self, rests: bool) {
        let mut books = self.books.lock();
        books.owes = false;
        if !rests || books.stage == Stage::Upgraded {
            return;
        }
        let mut stayed = Stayed::default();
        if books.stage == Stage::Answered {
            books.stage = Stage::Resting;
            books.moved = 0;
            // It begins to wait for a request, whatever it waited for before.
            stayed = self.go_ahead(&mut books, ConnectionQueue::begin);
        }
        drop(books);
        stayed.say();
        self.wait(For::Request);
    }

    /// Waits in both lobbies.
    fn queue(&self, books: &mut SlotState) {
        let now = self.connections.age();
        let has_earned = books.moved >= WORTH_A_WHILE;
        if has_earned {
            books.moved = 0;
        }
        self.each(books, |waiting, Waiter { ticket, evict }| match has_earned {
            true => waiting.wait(ticket, now + WHILE, evict.clone()),
            false => waiting.wait_on(ticket, now, evict.clone()),
        });
    }

    /// It does not wait any more, in either lobby, whatever it was asked for meanwhile.
    fn go_ahead(
        &self,
        books: &mut SlotState,
        act: impl Fn(&mut ConnectionQueue<Arc<Evict>>, &mut Ticket) -> bool,
    ) -> Stayed {
        self.waits.store(0, SeqCst);
        let mut stayed = Vec::new();
        self.each(books, |waiting, waiter| {
            if !act(waiting, &mut waiter.ticket) {
                stayed.push(std::mem::take(&mut waiter.evict));
            }
        });
        Stayed(stayed)
    }

    /// Does something in both lobbies.
    fn each(
        &self,
        books: &mut SlotState,
        mut act: impl FnMut(&mut ConnectionQueue<Arc<Evict>>, &mut Waiter),
    ) {
        let SlotState { place, parser, .. } = books;
        for (waiting, waiter) in [(&self.connections.waiting, place), (&self.connections.parsers, parser)] {
            if let Some(waiter) = waiter {
                act(&mut waiting.lock(), waiter);
            }
        }
    }

    /// Has a parser from now on.
    pub(super) fn take_parser(self: &Arc<Self>, ticket: Ticket, permit: OwnedSemaphorePermit) -> Parser<H> {
        self.books.lock().parser = Some(Waiter::new(ticket));
        Parser { slot: self.clone(), permit: Some(permit) }
    }

    /// The parser has seen what came so far. If that was no whole head, the connection waits for the rest.
    pub(super) fn look(&self) {
        if self.is_between_requests() {
            self.wait(For::Request);
        }
    }

    /// Whether there is no request of it that has begun. What it has sent may not have been looked at then.
    pub(super) fn is_between_requests(&self) -> bool {
        matches!(self.books.lock().stage, Stage::Unheard | Stage::Resting)
    }

    /// Whether it was asked for this, and has not [begun](IdleSlot::begin) since.
    pub(super) fn poll_asked(&self, asset: Asset, cx: &mut Context<'_>) -> Poll<()> {
        let books = self.books.lock();
        let waiter = match asset {
            Asset::Place => &books.place,
            Asset::Parser => &books.parser,
        };
        let Some(evict) = waiter.as_ref().map(|waiter| waiter.evict.clone()) else { return Poll::Pending };
        drop(books);
        evict.poll_asked(cx)
    }

    /// Leaves because it was asked to.
    pub(super) fn make_way(&self, line: &Arc<dyn Socket>) {
        self.connections.service.count_turned_away();
        let books = self.books.lock();
        match books.stage {
            // The kernel shall remember nothing of it.
            Stage::Unheard => line.cut(),
            // Nothing is said yet, so this can be: a proxy would take a close for a server that is broken.
            Stage::RequestFacts if !books.owes => line.dismiss(TurnAway::Full.answer().as_bytes()),
            // Not a FIN, which could pass for the end of an answer that is not whole.
            Stage::RequestFacts | Stage::Answered | Stage::Upgraded => line.cut(),
            // It may not have read its answer yet, and an RST would destroy that.
            Stage::Resting => {}
        }
    }

    /// It is held now, or gone.
    pub(super) fn leave(&self) {
        let place = self.books.lock().place.take();
        if let Some(Waiter { ticket, evict }) = place {
            self.connections.waiting.lock().leave(ticket);
            evict.answered.cancel();
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
        let parser = self.slot.books.lock().parser.take();
        if let Some(Waiter { ticket, evict }) = parser {
            self.slot.connections.parsers.lock().leave(ticket);
            // In this order: whoever asked for the parser finds it.
            self.permit = None;
            evict.answered.cancel();
        }
    }
}

impl Waiter {
    fn new(ticket: Ticket) -> Self {
        Waiter { ticket, evict: Arc::default() }
    }
}

impl Stayed {
    fn say(self) {
        for evict in self.0 {
            evict.has_stayed.store(true, SeqCst);
            evict.answered.cancel();
        }
    }
}

impl Evict {
    /// Asks the connection; returns when it has answered: whether it gave what it was asked for.
    pub(super) async fn ask(&self) -> bool {
        let waker = {
            let mut asked = self.asked.lock();
            asked.is_asked = true;
            asked.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        self.answered.cancelled().await;
        !self.has_stayed.load(SeqCst)
    }

    fn poll_asked(&self, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut asked = self.asked.lock();
        if asked.is_asked {
            return Poll::Ready(());
        }
        let last = asked.waker.replace(waker);
        drop(asked);
        drop(last);
        Poll::Pending
    }
}

impl std::fmt::Debug for Evict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evict").finish_non_exhaustive()
    }
}
