//! The application of the server: seven ways to hold a connection, all with short clocks and narrow bounds.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use abeyance::extract::{Path, Query, State};
use abeyance::{
    BoxError, End, Ended, Held, Hub, Lifecycle, Message, Resume, Retention, Server, ServerHandle, StartError,
    Suspend, WhenSlow, suspend,
};
use serde::Deserialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::lateness::Lateness;
use super::register::Entry;

/// What the application counts for itself, whatever the server says.
#[derive(Default)]
pub(super) struct Counts {
    hooks: AtomicU64,
    forgotten: AtomicU64,
    /// Hooks that were called when the server had said that it is over.
    strays: AtomicU64,
    is_over: AtomicBool,
    pub(super) lateness: Lateness,
    /// The ends of those who gave their number.
    register: Mutex<Vec<Entry>>,
}

/// A context. It knows whether its end hook was owed.
struct Guest {
    counts: Arc<Counts>,
    visit: Option<u64>,
    /// Since when it is held.
    since: Option<Instant>,
}

/// What a client says of itself: a number of its own, if it tells afterwards what it saw.
#[derive(Deserialize)]
struct Card {
    visit: Option<u64>,
}

type Hotel = State<Arc<Counts>>;

pub(super) const ROOMS: u64 = 8;
pub(super) const KEPT_FOR: Duration = Duration::from_secs(2);
const QUIET_TIMEOUT: Duration = Duration::from_secs(2);

/// Of which the ends of a crowd have all but the last quarter to begin in.
const DRAIN: Duration = Duration::from_secs(12);

/// So long that whoever reads has its ending by then, also on a machine that has much else to do; and a quarter of the
/// drain, so that the last have as long.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// All clocks at once, and a topic with a past.
#[suspend(path = "/rooms/{room}", timeout = "4s", max_idle = "3s", heartbeat = "1s", max_lifetime = "10s")]
async fn room(Path(room): Path<u64>, State(counts): Hotel, Query(card): Query<Card>) -> Suspend<Guest> {
    Suspend::with(Guest::new(counts, &card)).join(format!("rooms/{}", room % ROOMS))
}

/// Nothing is ever said here, so that the timeout is exact.
#[suspend(path = "/quiet", timeout = "2s", max_idle = "3s", heartbeat = "500ms")]
async fn quiet(State(counts): Hotel, Query(card): Query<Card>) -> Suspend<Guest> {
    Suspend::with(Guest::new(counts, &card))
}

/// Nothing is said here either, and hardly anybody stays for so long: these are held when the server is shut down.
#[suspend(path = "/patient", timeout = "30s", max_idle = "3s", heartbeat = "1s")]
async fn patient(State(counts): Hotel, Query(card): Query<Card>) -> Suspend<Guest> {
    Suspend::with(Guest::new(counts, &card))
}

/// Too few places.
#[suspend(
    path = "/crowded",
    timeout = "5s",
    max_idle = "3s",
    max_suspended = 100,
    when_full = "resume_oldest"
)]
async fn crowded(State(counts): Hotel, Query(card): Query<Card>) -> Suspend<Guest> {
    Suspend::with(Guest::new(counts, &card)).join("rooms/0")
}

/// More than anybody can read; each of the ways to be slow.
#[suspend(path = "/flood/{rule}", transports = [websocket, sse, stream], max_idle = "3s", max_lifetime = "6s", send_buffer = "32KiB")]
async fn flood(Path(rule): Path<usize>, State(counts): Hotel, Query(card): Query<Card>) -> Suspend<Guest> {
    let rule = [WhenSlow::Disconnect, WhenSlow::DropOldest, WhenSlow::DropNewest][rule % 3];
    Suspend::with(Guest::new(counts, &card)).when_slow(rule).join("flood")
}

/// A driver that fails, or has enough.
#[suspend(path = "/driven/{ticks}", timeout = "4s", max_idle = "3s")]
async fn driven(Path(ticks): Path<u64>, State(counts): Hotel, Query(card): Query<Card>) -> Suspend<Guest> {
    Suspend::with(Guest::new(counts, &card)).try_drive(move |held| async move {
        for tick in 0..ticks % 50 {
            sleep(Duration::from_millis(20)).await;
            held.send_when_ready(tick.to_string()).await?;
        }
        if ticks % 3 == 0 {
            return Err(BoxError::from("out of ticks"));
        }
        held.resume();
        Ok(())
    })
}

/// An answer at once, or a first word.
#[suspend(path = "/at_once", timeout = "4s", max_idle = "3s")]
async fn at_once(State(counts): Hotel, Query(card): Query<Card>) -> Suspend<Guest> {
    Suspend::with(Guest::new(counts, &card)).reply("at once")
}

impl Guest {
    fn new(counts: Arc<Counts>, card: &Card) -> Self {
        Guest { counts, visit: card.visit, since: None }
    }
}

impl Lifecycle for Guest {
    async fn on_suspend(&mut self, _: &Held) {
        self.counts.note_hook();
        self.since = Some(Instant::now());
    }

    async fn on_message(&mut self, held: &Held, message: Message) {
        self.counts.note_hook();
        match message.as_bytes().len() % 16 {
            0 => sleep(Duration::from_millis(50)).await,
            1 => _ = held.disconnect("odd"),
            2 => drop(held.send(message)),
            3 => drop(held.publish("rooms/1", message)),
            _ => {}
        }
    }

    async fn on_end(mut self, ended: &Ended, end: End) {
        self.counts.note_hook();
        self.counts.hooks.fetch_add(1, Relaxed);
        if let Some(visit) = self.visit {
            self.counts.enter(Entry {
                visit,
                transport: ended.transport(),
                cause: end.as_str(),
                at: Instant::now(),
            });
        }
        let since = self.since.take();
        if let (Some(since), "/quiet", End::Resume(Resume::Timeout)) = (since, ended.path(), end)
            && ended.messages_in() == 0
        {
            self.counts.lateness.note(since.elapsed().saturating_sub(QUIET_TIMEOUT));
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // The end hook takes it out.
        if self.since.is_some() {
            self.counts.forgotten.fetch_add(1, Relaxed);
        }
    }
}

impl Counts {
    /// How many end hooks were called.
    pub(super) fn hooks(&self) -> u64 {
        self.hooks.load(Relaxed)
    }

    /// How many contexts were dropped without one, although they were held.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten.load(Relaxed)
    }

    /// How many hooks of any kind were called although the server was over.
    pub(super) fn strays(&self) -> u64 {
        self.strays.load(Relaxed)
    }

    /// From now on no hook may be called any more.
    pub(super) fn close(&self) {
        self.is_over.store(true, Relaxed);
    }

    /// How those ended who gave their number; it is empty afterwards.
    pub(super) fn take_register(&self) -> Vec<Entry> {
        std::mem::take(&mut *self.register.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn enter(&self, entry: Entry) {
        self.register.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    fn note_hook(&self) {
        self.strays.fetch_add(u64::from(self.is_over.load(Relaxed)), Relaxed);
    }
}

/// Starts the server.
pub(super) async fn open(counts: Arc<Counts>) -> Result<ServerHandle, StartError> {
    Server::new()
        .state(counts)
        .mount_all()
        .topic("rooms/*", Retention::new().count(50).bytes(64 << 10).age(KEPT_FOR))
        .max_buffered(8 << 20)
        .head_timeout(Duration::from_secs(2))
        .write_timeout(Duration::from_secs(2))
        .close_timeout(CLOSE_TIMEOUT)
        .drain(DRAIN)
        .keep_alive(Duration::from_secs(2))
        .bind("127.0.0.1:0")
        .await
}

/// Publishes to everybody, until what it returns is dropped.
pub(super) fn publish(hub: &Hub, seed: u64) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let (rooms, mut dice) = (hub.clone(), fastrand::Rng::with_seed(seed));
    tasks.spawn(async move {
        loop {
            sleep(Duration::from_millis(dice.u64(..60))).await;
            let (room, text) = (format!("rooms/{}", dice.u64(..ROOMS)), "x".repeat(dice.usize(1..2_000)));
            match dice.u8(..8) {
                0 => drop(rooms.publish_after(Duration::from_millis(300), room, text)),
                _ => drop(rooms.publish(room, text)),
            }
        }
    });
    let hub = hub.clone();
    tasks.spawn(async move {
        loop {
            sleep(Duration::from_millis(10)).await;
            hub.publish("flood", "y".repeat(4_000));
        }
    });
    tasks
}
