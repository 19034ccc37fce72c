//! A connection's place while it is not held: for what it waits, and how it is asked to leave.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
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
    evict: Arc<Evict>,
}

struct SlotState {
    /// In the lobby of connections.
    ticket: Option<Ticket>,
    /// In the lobby of parsers, while it has one.
    parser: Option<Ticket>,
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

/// How a connection is asked to leave, and how it says that it did.
#[derive(Default)]
pub(super) struct Evict {
    asked: Cancellation,
    gone: Cancellation,
}

/// Leave to have an HTTP parser; dropping it gives it back.
pub(super) struct Parser<H: Service> {
    slot: Arc<IdleSlot<H>>,
    _permit: OwnedSemaphorePermit,
}

impl<H: Service> IdleSlot<H> {
    pub(super) fn new(connections: Arc<Connections<H>>, ticket: Ticket) -> Arc<Self> {
        let books =
            SlotState { ticket: Some(ticket), parser: None, moved: 0, stage: Stage::Unheard, owes: false };
        Arc::new(IdleSlot {
            connections,
            books: Mutex::new(books),
            waits: AtomicU8::new(0),
            evict: Arc::default(),
        })
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
        self.books.lock().ticket.as_ref().and_then(Ticket::peer)
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
        self.each(&mut books, ConnectionQueue::pause);
        if still {
            self.queue(&mut books);
        }
    }

    /// A whole head has come; `false` if the connection was asked to leave before that.
    pub(super) fn begin(&self) -> bool {
        let mut books = self.books.lock();
        // hyper begins with the next request when the last answer is in its buffer, written or not.
        books.owes |= books.stage == Stage::Answered;
        books.stage = Stage::RequestFacts;
        books.moved = 0;
        self.waits.store(0, SeqCst);
        self.each(&mut books, ConnectionQueue::begin)
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
        self.waits.store(0, SeqCst);
        self.each(&mut books, ConnectionQueue::begin);
    }

    /// hyper has written all that it had; if the connection `rests`, that was all there is.
    pub(super) fn flush(&self, rests: bool) {
        let mut books = self.books.lock();
        books.owes = false;
        if !rests || books.stage == Stage::Upgraded {
            return;
        }
        if books.stage == Stage::Answered {
            books.stage = Stage::Resting;
            books.moved = 0;
            // It begins to wait for a request, whatever it waited for before.
            self.waits.store(0, SeqCst);
            self.each(&mut books, ConnectionQueue::begin);
        }
        drop(books);
        self.wait(For::Request);
    }

    /// Waits in both lobbies.
    fn queue(&self, books: &mut SlotState) {
        let now = self.connections.age();
        let has_earned = books.moved >= WORTH_A_WHILE;
        if has_earned {
            books.moved = 0;
        }
        self.each(books, |waiting, ticket| {
            match has_earned {
                true => waiting.wait(ticket, now + WHILE, self.evict.clone()),
                false => waiting.wait_on(ticket, now, self.evict.clone()),
            }
            true
        });
    }

    /// Does something in both lobbies; whether both said yes.
    fn each(
        &self,
        books: &mut SlotState,
        act: impl Fn(&mut ConnectionQueue<Arc<Evict>>, &mut Ticket) -> bool,
    ) -> bool {
        let SlotState { ticket, parser, .. } = books;
        let mut is_well = true;
        for (waiting, ticket) in [(&self.connections.waiting, ticket), (&self.connections.parsers, parser)] {
            if let Some(ticket) = ticket {
                is_well &= act(&mut waiting.lock(), ticket);
            }
        }
        is_well
    }

    /// Has a parser from now on. It does not wait for one that has not [looked](IdleSlot::look) at what came.
    pub(super) fn take_parser(self: &Arc<Self>, ticket: Ticket, permit: OwnedSemaphorePermit) -> Parser<H> {
        self.books.lock().parser = Some(ticket);
        Parser { slot: self.clone(), _permit: permit }
    }

    /// The parser has seen what came so far.
    pub(super) fn look(&self) {
        let mut books = self.books.lock();
        if self.waits.load(SeqCst) == 0 {
            return;
        }
        if let Some(parser) = &mut books.parser {
            self.connections.parsers.lock().wait_on(parser, self.connections.age(), self.evict.clone());
        }
    }

    fn put_parser_down(&self) {
        if let Some(ticket) = self.books.lock().parser.take() {
            self.connections.parsers.lock().leave(ticket);
        }
    }

    /// Returns when it was asked to leave.
    pub(super) async fn asked(&self) {
        self.evict.asked.cancelled().await;
    }

    /// Leaves because it was asked to.
    pub(super) fn make_way(&self, line: &Arc<dyn Socket>) {
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
        if let Some(ticket) = self.books.lock().ticket.take() {
            self.connections.waiting.lock().leave(ticket);
        }
        self.evict.gone.cancel();
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
        self.slot.put_parser_down();
    }
}

impl Evict {
    /// Asks the connection to leave.
    pub(super) fn ask(&self) {
        self.asked.cancel();
    }

    /// Returns when its socket is closed.
    pub(super) async fn gone(&self) {
        self.gone.cancelled().await;
    }
}

impl std::fmt::Debug for Evict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WayOut").finish_non_exhaustive()
    }
}
