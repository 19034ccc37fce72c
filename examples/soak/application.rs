//! The application of the server: seven endpoints, all with short timeouts and small limits.

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

use super::comparison::EndCall;
use super::lateness::Lateness;

/// What the application counts by itself, to compare it with what the server reports.
#[derive(Default)]
pub(super) struct Counts {
    hooks: AtomicU64,
    without_end_hook: AtomicU64,
    /// Hooks that were called after the shutdown had returned.
    late_hooks: AtomicU64,
    is_over: AtomicBool,
    pub(super) lateness: Lateness,
    /// The ends of the clients that sent a number.
    ends: Mutex<Vec<EndCall>>,
}

/// A context. When it is dropped it knows whether its end hook ran.
struct Context {
    counts: Arc<Counts>,
    connection: Option<u64>,
    /// When `on_suspend` ran; the end hook takes it.
    since: Option<Instant>,
}

/// The number of the connection, which a client sends if it reports afterwards what it saw.
#[derive(Deserialize)]
struct ClientNumber {
    connection: Option<u64>,
}

type Counted = State<Arc<Counts>>;

pub(super) const ROOMS: u64 = 8;
pub(super) const KEPT_FOR: Duration = Duration::from_secs(2);
const QUIET_TIMEOUT: Duration = Duration::from_secs(2);

/// The ends start within the first three quarters of it.
const DRAIN: Duration = Duration::from_secs(12);

/// Long enough for a client that reads to get its ending, even on a busy machine; and a quarter of the drain, so that the
/// last ends have as much time.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// All timeouts at once, and a topic that keeps messages.
#[suspend(path = "/rooms/{room}", timeout = "4s", max_idle = "3s", heartbeat = "1s", max_lifetime = "10s")]
async fn room(
    Path(room): Path<u64>,
    State(counts): Counted,
    Query(client): Query<ClientNumber>,
) -> Suspend<Context> {
    Suspend::with(Context::new(counts, &client)).join(format!("rooms/{}", room % ROOMS))
}

/// No message is ever published here, so that the timeout is exact.
#[suspend(path = "/quiet", timeout = "2s", max_idle = "3s", heartbeat = "500ms")]
async fn quiet(State(counts): Counted, Query(client): Query<ClientNumber>) -> Suspend<Context> {
    Suspend::with(Context::new(counts, &client))
}

/// A timeout that hardly any client waits for: these holds are still there when the server is shut down.
#[suspend(path = "/patient", timeout = "30s", max_idle = "3s", heartbeat = "1s")]
async fn patient(State(counts): Counted, Query(client): Query<ClientNumber>) -> Suspend<Context> {
    Suspend::with(Context::new(counts, &client))
}

/// Fewer places than clients.
#[suspend(
    path = "/crowded",
    timeout = "5s",
    max_idle = "3s",
    max_suspended = 100,
    when_full = "resume_oldest"
)]
async fn crowded(State(counts): Counted, Query(client): Query<ClientNumber>) -> Suspend<Context> {
    Suspend::with(Context::new(counts, &client)).join("rooms/0")
}

/// More messages than a client can read, with each of the rules for slow peers.
#[suspend(path = "/flood/{rule}", transports = [websocket, sse, stream], max_idle = "3s", max_lifetime = "6s", send_buffer = "32KiB")]
async fn flood(
    Path(rule): Path<usize>,
    State(counts): Counted,
    Query(client): Query<ClientNumber>,
) -> Suspend<Context> {
    let rule = [WhenSlow::Disconnect, WhenSlow::DropOldest, WhenSlow::DropNewest][rule % 3];
    Suspend::with(Context::new(counts, &client)).when_slow(rule).join("flood")
}

/// A driver that fails, or resumes its hold.
#[suspend(path = "/driven/{ticks}", timeout = "4s", max_idle = "3s")]
async fn driven(
    Path(ticks): Path<u64>,
    State(counts): Counted,
    Query(client): Query<ClientNumber>,
) -> Suspend<Context> {
    Suspend::with(Context::new(counts, &client)).try_drive(move |held| async move {
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

/// A reply: the whole answer of a long poll, the first message of the others.
#[suspend(path = "/at_once", timeout = "4s", max_idle = "3s")]
async fn at_once(State(counts): Counted, Query(client): Query<ClientNumber>) -> Suspend<Context> {
    Suspend::with(Context::new(counts, &client)).reply("at once")
}

impl Context {
    fn new(counts: Arc<Counts>, client: &ClientNumber) -> Self {
        Context { counts, connection: client.connection, since: None }
    }
}

impl Lifecycle for Context {
    async fn on_suspend(&mut self, _: &Held) {
        self.counts.count_hook();
        self.since = Some(Instant::now());
    }

    async fn on_message(&mut self, held: &Held, message: Message) {
        self.counts.count_hook();
        match message.as_bytes().len() % 16 {
            0 => sleep(Duration::from_millis(50)).await,
            1 => _ = held.disconnect("odd"),
            2 => drop(held.send(message)),
            3 => drop(held.publish("rooms/1", message)),
            _ => {}
        }
    }

    async fn on_end(mut self, ended: &Ended, end: End) {
        self.counts.count_hook();
        self.counts.hooks.fetch_add(1, Relaxed);
        if let Some(connection) = self.connection {
            self.counts.record_end(EndCall {
                connection,
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

impl Drop for Context {
    fn drop(&mut self) {
        // Still there, so the end hook did not run.
        if self.since.is_some() {
            self.counts.without_end_hook.fetch_add(1, Relaxed);
        }
    }
}

impl Counts {
    /// How many end hooks ran.
    pub(super) fn hooks(&self) -> u64 {
        self.hooks.load(Relaxed)
    }

    /// How many contexts were held and then dropped without an end hook.
    pub(super) fn without_end_hook(&self) -> u64 {
        self.without_end_hook.load(Relaxed)
    }

    /// How many hooks of any kind ran after the shutdown had returned.
    pub(super) fn late_hooks(&self) -> u64 {
        self.late_hooks.load(Relaxed)
    }

    /// Says that the shutdown has returned: from now on no hook may run.
    pub(super) fn close(&self) {
        self.is_over.store(true, Relaxed);
    }

    /// Takes the recorded ends of the clients that sent a number.
    pub(super) fn take_ends(&self) -> Vec<EndCall> {
        std::mem::take(&mut *self.ends.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn record_end(&self, end: EndCall) {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).push(end);
    }

    fn count_hook(&self) {
        self.late_hooks.fetch_add(u64::from(self.is_over.load(Relaxed)), Relaxed);
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

/// Publishes to all topics until the returned tasks are dropped.
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
