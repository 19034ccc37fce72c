//! The application of the server: five ways to hold a connection, all with short clocks and narrow bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use abeyance::extract::{Path, State};
use abeyance::{
    BoxError, End, Ended, Held, Hub, Keep, Lifecycle, Message, Resume, Running, Server, StartError, Suspend,
    WhenSlow, suspend,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// What the application counts for itself, whatever the server says.
#[derive(Default)]
pub(super) struct Counts {
    hooks: AtomicU64,
    forgotten: AtomicU64,
    /// In microseconds, the most since the last look.
    late: AtomicU64,
}

/// A context. It knows whether its end hook was owed.
struct Guest {
    counts: Arc<Counts>,
    /// Since when it is held.
    since: Option<Instant>,
}

type Hotel = State<Arc<Counts>>;

pub(super) const ROOMS: u64 = 8;
pub(super) const KEPT_FOR: Duration = Duration::from_secs(2);
const QUIET_TIMEOUT: Duration = Duration::from_secs(2);

/// All clocks at once, and a topic with a past.
#[suspend(path = "/rooms/{room}", timeout = "4s", max_idle = "3s", heartbeat = "1s", max_lifetime = "10s")]
async fn room(Path(room): Path<u64>, State(counts): Hotel) -> Suspend<Guest> {
    Suspend::with(Guest::new(counts)).join(format!("rooms/{}", room % ROOMS))
}

/// Nothing is ever said here, so that the timeout is exact.
#[suspend(path = "/quiet", timeout = "2s", max_idle = "3s", heartbeat = "500ms")]
async fn quiet(State(counts): Hotel) -> Suspend<Guest> {
    Suspend::with(Guest::new(counts))
}

/// Too few places.
#[suspend(
    path = "/crowded",
    timeout = "5s",
    max_idle = "3s",
    max_suspended = 100,
    when_full = "resume_oldest"
)]
async fn crowded(State(counts): Hotel) -> Suspend<Guest> {
    Suspend::with(Guest::new(counts)).join("rooms/0")
}

/// More than anybody can read; each of the ways to be slow.
#[suspend(path = "/flood/{rule}", transports = [websocket, sse, stream], max_idle = "3s", max_lifetime = "6s", backlog = "32KiB")]
async fn flood(Path(rule): Path<usize>, State(counts): Hotel) -> Suspend<Guest> {
    let rule = [WhenSlow::Disconnect, WhenSlow::DropOldest, WhenSlow::DropNewest][rule % 3];
    Suspend::with(Guest::new(counts)).when_slow(rule).join("flood")
}

/// A driver that fails, or has enough.
#[suspend(path = "/driven/{ticks}", timeout = "4s", max_idle = "3s")]
async fn driven(Path(ticks): Path<u64>, State(counts): Hotel) -> Suspend<Guest> {
    Suspend::with(Guest::new(counts)).try_drive(move |held| async move {
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
async fn at_once(State(counts): Hotel) -> Suspend<Guest> {
    Suspend::with(Guest::new(counts)).reply("at once")
}

impl Guest {
    fn new(counts: Arc<Counts>) -> Self {
        Guest { counts, since: None }
    }
}

impl Lifecycle for Guest {
    async fn on_suspend(&mut self, _: &Held) {
        self.since = Some(Instant::now());
    }

    async fn on_message(&mut self, held: &Held, message: Message) {
        match message.as_bytes().len() % 16 {
            0 => sleep(Duration::from_millis(50)).await,
            1 => held.disconnect("odd"),
            2 => drop(held.send(message)),
            3 => drop(held.publish("rooms/1", message)),
            _ => {}
        }
    }

    async fn on_end(mut self, ended: &Ended, end: End) {
        self.counts.hooks.fetch_add(1, Relaxed);
        let since = self.since.take();
        if let (Some(since), "/quiet", End::Resume(Resume::Timeout)) = (since, ended.path(), end)
            && ended.messages_in() == 0
        {
            let late = since.elapsed().saturating_sub(QUIET_TIMEOUT).as_micros() as u64;
            self.counts.late.fetch_max(late, Relaxed);
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

    /// By how much the latest timeout came too late, since this was last asked.
    pub(super) fn lateness(&self) -> Duration {
        Duration::from_micros(self.late.swap(0, Relaxed))
    }
}

/// Starts the server.
pub(super) async fn open(counts: Arc<Counts>) -> Result<Running, StartError> {
    Server::new()
        .state(counts)
        .mount_all()
        .topic("rooms/*", Keep { count: 50, bytes: 64 << 10, age: KEPT_FOR })
        .memory(8 << 20)
        .head_deadline(Duration::from_secs(2))
        .write_deadline(Duration::from_secs(2))
        .polite_end(Duration::from_secs(1))
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
