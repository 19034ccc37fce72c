//! The keeper of all holds: their registry, their outboxes, and the only task that waits for time.
//!
//! Ground rules:
//! 1. Locks are taken in three orders: the turn of the budget, then the registry, then one outbox; a shard of topics,
//!    then one outbox; a shard of topics, then the schedule. The lock of the archive may be taken under any of them,
//!    and no lock under it. The locks of the end log, of the audits and of the bodies that arrive are taken alone. The
//!    lock of the hooks of each peer is a leaf.
//! 2. No lock is held over an await or while user code runs. A waker is user code, so is a subscriber of the log, and
//!    so is dropping a message, whose bytes may be the application's own. `sync::foreign` checks the last of these.
//! 3. A hold's end begins in one place, [`Keeper::end`], under the lock of the registry: the first cause stands, the
//!    permit goes back, the outbox accepts no more. It stores an [`EndRequest`](end_request::EndRequest), which the
//!    hold's own task reads and concludes.
//! 4. What waits and what was dropped is counted when an outbox is unlocked. A caller that has queued something then
//!    calls
//!    [`Keeper::relieve`], with every lock released, to keep the bound over all outboxes.
//! 5. The keeper keeps an `Arc` of a hold until the hold has settled, and a hold keeps the keeper: no circle outlives
//!    its hold.

pub(crate) mod admission; // a permit for a new hold, and which hold ends to make room for it
pub(crate) mod archive; // the histories of topics
pub(crate) mod audit; // what the audits found
pub(crate) mod budget; // the bytes that wait for all peers together, and their bound
pub(crate) mod cursor; // how far a hold has got in topics with a history
pub(crate) mod deadline; // a moment that is waited for
pub(crate) mod drain; // the ends of all holds in a shutdown
pub(crate) mod end; // how every end begins and settles
pub(crate) mod end_log; // the last ends
pub(crate) mod end_request; // what an end leaves for the hold's task
pub(crate) mod ended; // what an end hook is given
pub(crate) mod flush; // writing what waits, and the ending
pub(crate) mod held; // the application's handle on a hold
pub(crate) mod hold; // one held connection
pub(crate) mod hold_config; // what all holds of an endpoint share
pub(crate) mod hook_tracker; // hooks that outlive their connection
pub(crate) mod hub; // the application's view of all holds
pub(crate) mod inbound; // bodies that are being received
pub(crate) mod inbox; // messages that came by POST
pub(crate) mod message_class; // sent to one hold, or published
pub(crate) mod outbox; // the write half of a hold
pub(crate) mod outbox_guard; // a locked outbox, and the counts that follow from its use
pub(crate) mod publish; // topics and their members
pub(crate) mod refusal_counts; // how many requests were refused, and why
pub(crate) mod replay; // messages with an offset, delivered once and in order
pub(crate) mod schedule; // what is published later, and its lock
pub(crate) mod scheduled; // the application's handle on what is published later
pub(crate) mod send; // sending to one peer
pub(crate) mod silence; // idle time that is credited to a peer that could not be read
pub(crate) mod sweep; // the clocks of all holds
pub(crate) mod time; // served time

#[cfg(test)]
mod tests;

use std::fmt;
use std::pin::pin;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, LazyLock, OnceLock};

use tokio::sync::Notify;

use crate::settings::ServerConfig;
use abeyance_core::mechanisms::deadlines::Deadlines;
use abeyance_core::mechanisms::ledger::Ledger;
use abeyance_core::mechanisms::limits::{EndpointLimits, Limits, Permit, ServerLimits};
use abeyance_core::sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, foreign};
use abeyance_core::words::hold_id::HoldId;
use abeyance_settings::endpoint::WhenFull;

use abeyance_core::mechanisms::token::Secret;
use archive::Archive;
use audit::Audits;
use budget::Budget;
use end_log::EndLog;
use hold::Hold;
use hook_tracker::HookTracker;
use inbound::Inbound;
use publish::TopicShards;
use refusal_counts::RefusalCounts;
use schedule::Schedule;
use time::Time;

/// All holds of one server.
pub(crate) struct Keeper {
    registry: Mutex<Registry>,
    topics: TopicShards,
    schedule: Schedule,
    /// Set once, by `configure`. `None` inside if no topic keeps a history.
    archive: OnceLock<Option<Archive>>,
    time: Time,
    secret: Secret,
    /// Set once, when the server starts. A `Hub` may be used before.
    server_config: OnceLock<ServerConfig>,
    plans: OnceLock<Vec<Plan>>,
    budget: Budget,
    inbound: Inbound,
    end_log: EndLog,
    audits: Audits,
    /// How many messages were dropped for slow peers, by endpoint.
    dropped: OnceLock<Box<[AtomicU64]>>,
    /// How many requests were refused because a limit was reached, by endpoint.
    refused: OnceLock<Box<[AtomicU64]>>,
    /// How many messages of peers no hook was called with, by endpoint.
    unheard: OnceLock<Box<[AtomicU64]>>,
    /// How many connections were turned away before their request was read.
    turned_away: AtomicU64,
    refusal_counts: RefusalCounts,
    /// Over how many milliseconds a drain spreads the ends of holds.
    spread: AtomicU64,
    hooks: AtomicUsize,
    hooks_failed: AtomicU64,
    hook_tracker: HookTracker,
    /// The server is gone; only end hooks may still run.
    is_quit: AtomicBool,
    /// Notified when nothing is held, nothing is ending and no end hook runs.
    quiet: Notify,
}

/// What the keeper must know of an endpoint to admit holds to it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// As it is written in the annotation. It tells endpoints apart when two functions have one name.
    pub(crate) path: &'static str,
    pub(crate) ceiling: EndpointLimits,
    pub(crate) when_full: WhenFull,
}

struct Registry {
    ledger: Ledger<Permit, Arc<Hold>>,
    limits: Limits,
    deadlines: Deadlines,
    draining: bool,
}

impl Keeper {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Keeper {
            registry: Mutex::new(Registry {
                ledger: Ledger::new(0),
                limits: Limits::new(ServerLimits::default(), Vec::new()),
                deadlines: Deadlines::default(),
                draining: false,
            }),
            topics: TopicShards::new(),
            schedule: Schedule::new(),
            archive: OnceLock::new(),
            time: Time::start(),
            secret: Secret::draw(),
            server_config: OnceLock::new(),
            plans: OnceLock::new(),
            budget: Budget::default(),
            inbound: Inbound::default(),
            end_log: EndLog::new(),
            audits: Audits::default(),
            dropped: OnceLock::new(),
            refused: OnceLock::new(),
            unheard: OnceLock::new(),
            turned_away: AtomicU64::new(0),
            refusal_counts: RefusalCounts::new(),
            spread: AtomicU64::new(0),
            hooks: AtomicUsize::new(0),
            hooks_failed: AtomicU64::new(0),
            hook_tracker: HookTracker::default(),
            is_quit: AtomicBool::new(false),
            quiet: Notify::new(),
        })
    }

    /// Sets the configuration of the server and its endpoints. Only the first call has an effect.
    pub(crate) fn configure(&self, server_config: ServerConfig, plans: Vec<Plan>) {
        let mut registry = self.registry.lock();
        if self.plans.get().is_some() {
            return;
        }
        let ceilings = plans.iter().map(|plan| plan.ceiling).collect();
        registry.ledger = Ledger::new(plans.len());
        // As many may be ending as may be held, and each has a slot.
        let holds = server_config.max_suspended.min(HoldId::MAX_SLOTS / 2);
        let roof =
            ServerLimits { holds, per_peer: server_config.max_per_peer, per_key: server_config.max_per_key };
        registry.limits = Limits::new(roof, ceilings);
        registry.limits.bound_admitting(server_config.max_admitting);
        self.end_log.keep(server_config.last_ends);
        let _ = self.archive.set(Archive::new(server_config.topics.clone(), server_config.max_retained));
        self.time.begin();
        for counts in [&self.dropped, &self.refused, &self.unheard] {
            let _ = counts.set(plans.iter().map(|_| AtomicU64::new(0)).collect());
        }
        let _ = self.server_config.set(server_config);
        let _ = self.plans.set(plans);
    }

    pub(crate) fn server_config(&self) -> &ServerConfig {
        // Not `get_or_init`: a `Hub` may be used before the server is configured, and must not fix the configuration.
        static PRESET: LazyLock<ServerConfig> = LazyLock::new(ServerConfig::default);
        self.server_config.get().unwrap_or(&PRESET)
    }

    fn plans(&self) -> &[Plan] {
        self.plans.get().map_or(&[], Vec::as_slice)
    }

    /// How many messages were dropped for slow peers, by endpoint.
    fn dropped(&self) -> &[AtomicU64] {
        self.dropped.get().map_or(&[], |counts| counts)
    }

    /// How many requests were refused because a limit was reached, by endpoint.
    fn refused(&self) -> &[AtomicU64] {
        self.refused.get().map_or(&[], |counts| counts)
    }

    /// Counts a connection that is turned away before its request was read.
    pub(crate) fn count_turned_away(&self) {
        self.turned_away.fetch_add(1, Relaxed);
    }

    /// How many messages of peers no hook was called with, by endpoint.
    fn unheard(&self) -> &[AtomicU64] {
        self.unheard.get().map_or(&[], |counts| counts)
    }

    /// Counts messages that a peer sent and no hook was called with.
    pub(crate) fn count_unheard(&self, hold: &Hold, count: u64) {
        if let Some(unheard) = self.unheard().get(hold.config.endpoint as usize) {
            unheard.fetch_add(count, Relaxed);
        }
    }

    fn count_refused(&self, endpoint: u32) {
        if let Some(refused) = self.refused().get(endpoint as usize) {
            refused.fetch_add(1, Relaxed);
        }
    }

    fn count_dropped(&self, endpoint: u32, count: u64) {
        if let Some(dropped) = self.dropped().get(endpoint as usize) {
            dropped.fetch_add(count, Relaxed);
        }
    }

    /// The secret with which a client speaks for a hold.
    pub(crate) fn token(&self, id: HoldId) -> String {
        self.secret.token(id)
    }

    /// The hold a token speaks for, if its end has not begun.
    pub(crate) fn find_by_token(&self, token: &str) -> Option<Arc<Hold>> {
        let hold = self.find(self.secret.open(token)?)?;
        hold.end_request().is_none().then_some(hold)
    }

    pub(crate) fn time(&self) -> &Time {
        &self.time
    }

    /// Refuses new holds from now on.
    pub(crate) fn refuse_new_holds(&self) {
        self.registry.lock().draining = true;
    }

    /// Waits until nothing is held, nothing is ending and no end hook runs.
    pub(crate) async fn quiet(&self) {
        loop {
            let mut quiet = pin!(self.quiet.notified());
            quiet.as_mut().enable();
            if self.is_quiet() {
                return;
            }
            quiet.await;
        }
    }

    fn is_quiet(&self) -> bool {
        let registry = self.registry.lock();
        let counts = registry.ledger.counts();
        counts.held == 0 && counts.ending == 0 && self.hooks.load(Acquire) == 0
    }

    fn tell_if_quiet(&self) {
        if self.is_quiet() {
            foreign::call(|| self.quiet.notify_waiters());
        }
    }

    /// How many end hooks run, and how many ever failed.
    pub(crate) fn hooks(&self) -> (usize, u64) {
        (self.hooks.load(Acquire), self.hooks_failed.load(Relaxed))
    }

    /// A hook failed after its hold's end had begun.
    pub(crate) fn count_failed_hook(&self) {
        self.hooks_failed.fetch_add(1, Relaxed);
    }

    /// The server is gone, and no hold is left. The sweep goes on until the last end hook has returned: without it a
    /// hook that hangs would never reach its deadline.
    pub(crate) fn quit(&self) {
        self.is_quit.store(true, Release);
    }

    /// Whether the sweep has nothing left to do.
    fn is_over(&self) -> bool {
        self.is_quit.load(Acquire) && self.hooks.load(Acquire) == 0
    }

    /// An end hook begins; it has ended when the guard is dropped.
    pub(crate) fn begin_hook(self: &Arc<Self>) -> RunningHook {
        self.hooks.fetch_add(1, Acquire);
        RunningHook(self.clone())
    }
}

/// An end hook that runs.
pub(crate) struct RunningHook(Arc<Keeper>);

impl RunningHook {
    /// It panicked, or overran its deadline.
    pub(crate) fn failed(&self) {
        self.0.hooks_failed.fetch_add(1, Relaxed);
    }
}

impl Drop for RunningHook {
    fn drop(&mut self) {
        self.0.hooks.fetch_sub(1, Release);
        self.0.tell_if_quiet();
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("counts", self.registry.lock().ledger.counts()).finish_non_exhaustive()
    }
}
