//! The server of a round: one endpoint, whose path says in which state its hold is wanted.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use abeyance::extract::{Path, State};
use abeyance::{End, Ended, Held, Hub, Lifecycle, Message, Retention, Server, Suspend, suspend};
use abeyance_tests::net::Site;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::axes;
use super::book::{Book, Page, Told};
use super::ground::Ground;

/// What a round wants of the clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) max_idle: Duration,
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) write_timeout: Duration,
    pub(crate) close_timeout: Duration,
}

/// What a round sees of the server, and shares with its contexts.
pub(crate) struct Ward {
    pub(crate) addr: SocketAddr,
    pub(crate) hub: Hub,
    pub(crate) book: Book,
    /// Hooks that are to run for a while wait for it.
    gate: Gate,
}

#[derive(Clone)]
struct Gate(Arc<Semaphore>);

#[derive(Clone, Copy)]
struct Clocks(Rules);

/// Whoever waits for its answer gets more than kernels keep for a peer that does not read.
pub(crate) const MUCH: usize = 6 << 20;

/// What `past` keeps: more than the send buffer of whoever is behind, and with it more than the kernel keeps.
const PAST: usize = 128;
const PART: usize = 60 << 10;

impl Ward {
    pub(crate) fn open(rules: Rules, ground: &Ground) -> (Site, Self) {
        let (book, gate) = (Book::default(), Gate(Arc::new(Semaphore::new(0))));
        let server = Server::new()
            .state(book.clone())
            .state(gate.clone())
            .state(Clocks(rules))
            .topic("past", Retention::new().bytes(32 << 20))
            .max_buffered(1 << 30)
            .head_timeout(Duration::from_secs(4))
            .keep_alive(Duration::from_secs(2))
            .hook_timeout(Duration::from_secs(3600))
            .drain(Duration::from_secs(30))
            .write_timeout(rules.write_timeout)
            .close_timeout(rules.close_timeout)
            .mount(hold);
        let site = Site::serve(server, ground.listen());
        for _ in 0..PAST {
            site.hub.publish("past", "x".repeat(PART));
        }
        let ward = Ward { addr: site.addr, hub: site.hub.clone(), book, gate };
        (site, ward)
    }

    /// Publishes more than kernels take to all who are to have something pending; says how many these were.
    pub(crate) fn publish_much(&self) -> usize {
        self.hub.publish("much", "x".repeat(MUCH))
    }

    /// What was told of one client.
    pub(crate) fn page(&self, host: Ipv4Addr) -> Page {
        self.book.page(host.into())
    }

    /// From now on no hook waits.
    pub(crate) fn open_gate(&self) {
        self.gate.0.close();
    }
}

#[suspend(path = "/{state}", timeout = "1h", max_idle = "2h", heartbeat = "none", send_buffer = "64MiB")]
async fn hold(
    Path(state): Path<String>,
    State(book): State<Book>,
    State(gate): State<Gate>,
    State(Clocks(rules)): State<Clocks>,
) -> Suspend<Patient> {
    let state = axes::State::ALL.into_iter().find(|known| known.name() == state).expect("a state");
    let hold =
        Suspend::with(Patient { state, book, gate }).max_idle(rules.max_idle).heartbeat(rules.heartbeat);
    match state {
        axes::State::Pending | axes::State::Draining => hold.join("much"),
        axes::State::Replaying => hold.join_with_history("past").send_buffer(256 << 10),
        _ => hold,
    }
}

/// The context: it notes what it is told, and waits where its state wants it to.
struct Patient {
    state: axes::State,
    book: Book,
    gate: Gate,
}

impl Gate {
    /// Waits until it is open, or the hold's end has begun: no hook is cut in its middle, so it must learn of it.
    async fn pass(&self, held: &Held) {
        tokio::select! {
            _ = self.0.acquire() => {}
            () = held.ended() => {}
        }
    }
}

impl Lifecycle for Patient {
    async fn on_suspend(&mut self, held: &Held) {
        self.book.write(held.peer().ip(), |page| page.hold = Some(held.id()));
        if self.state == axes::State::Opening {
            self.gate.pass(held).await;
        }
    }

    async fn on_message(&mut self, held: &Held, _: Message) {
        self.book.write(held.peer().ip(), |page| page.heard += 1);
        self.gate.pass(held).await;
    }

    async fn on_end(self, ended: &Ended, end: End) {
        let told = Told { end, ended: ended.clone(), at: Instant::now() };
        self.book.write(ended.peer().ip(), |page| page.ends.push(told));
    }
}
