//! The keeper of all holds: the only locks, and the only waiter on time.
//!
//! Ground rules:
//! 1. Three orders of locks: the turn at the memory, then the books, then one hold's pen; a shard of topics, then one
//!    hold's pen; a shard of topics, then the schedule. The archive's lock may be taken under any of them, and none under
//!    it; the locks of the last ends, of the audits and of the bodies that arrive are taken alone; that of the hooks each peer has left behind is a leaf. No lock is held over
//!    an await or while user code runs. A waker is user code, so is a subscriber of the log, and so is dropping a message:
//!    its bytes may be the application's own. `sync::foreign` sees to the last of these.
//! 2. A hold's end begins in one place, [`Keeper::end`], under the books: the first cause stands, the permit goes back,
//!    the pen takes no more. It leaves a note; the hold's own task reads it and concludes.
//! 3. What waits and what was dropped is counted where a pen is put down. Whoever has queued something then asks
//!    [`Keeper::relieve`] to keep the bound over all of it, with every lock released.
//! 4. The keeper keeps an `Arc` of a hold until it has settled, and a hold keeps the keeper: no circle outlives its hold.

pub(crate) mod admission; // a place for a newcomer, and who makes room for it
pub(crate) mod archive; // what topics keep of their past
pub(crate) mod audit; // what the audits found
pub(crate) mod budget; // what waits for all peers together, and its bound
pub(crate) mod cursor; // how far a hold has got in its topics' past
pub(crate) mod deadline; // a moment that is waited for
pub(crate) mod drain; // all ends of a shutdown
pub(crate) mod end; // the beginning of every end, and its settling
pub(crate) mod end_log; // the last ends
pub(crate) mod end_request; // what an end leaves for the hold's task
pub(crate) mod ended; // what an end hook is told
pub(crate) mod flush; // writing what waits, and the last of it
pub(crate) mod held; // the application's handle on a hold
pub(crate) mod hold; // one held connection
pub(crate) mod hold_config; // what the holds of one endpoint share
pub(crate) mod hook_tracker; // a shutdown that has no more time
pub(crate) mod hub; // the application's view of all holds
pub(crate) mod inbound; // bodies that are being received
pub(crate) mod inbox; // messages that came by POST
pub(crate) mod outbox; // what is written to one peer, in order
pub(crate) mod outbox_guard; // a hold's pen in hand, and the counts that follow from its use
pub(crate) mod publish; // topics
pub(crate) mod refusal_counts; // how many were refused, and why
pub(crate) mod replay; // what a hold has got of it
pub(crate) mod schedule; // what is published later, and its lock
pub(crate) mod scheduled; // the application's handle on it
pub(crate) mod send; // sending to one peer
pub(crate) mod silence; // time in which we could not hear a peer
pub(crate) mod sweep; // the clocks
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
    /// Set once, like the policy; nothing where no topic keeps anything.
    archive: OnceLock<Option<Archive>>,
    time: Time,
    secret: Secret,
    /// Set once, when the server starts; a hub may be wanted before.
    server_config: OnceLock<ServerConfig>,
    plans: OnceLock<Vec<Plan>>,
    memory: Budget,
    inbound: Inbound,
    end_log: EndLog,
    audits: Audits,
    /// How many messages were dropped for slow peers, by endpoint.
    dropped: OnceLock<Box<[AtomicU64]>>,
    /// How many requests found no place, by endpoint.
    refused: OnceLock<Box<[AtomicU64]>>,
    /// How many messages of peers were not heard, by endpoint.
    unheard: OnceLock<Box<[AtomicU64]>>,
    /// How many connections were turned away before they asked for anything.
    turned_away: AtomicU64,
    refusal_counts: RefusalCounts,
    /// Over how many milliseconds a drain spreads the ends of holds.
    spread: AtomicU64,
    hooks: AtomicUsize,
    hooks_failed: AtomicU64,
    hook_tracker: HookTracker,
    /// The server is gone; only end hooks may still run.
    is_quit: AtomicBool,
    /// Told whenever nothing is held, nothing is ending and no end hook runs.
    quiet: Notify,
}

/// What the keeper must know of an endpoint to admit holds to it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// As it is written in the annotation: what tells endpoints apart, where two functions have one name.
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
            memory: Budget::default(),
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

    /// Says what is to be kept, and how much of it. Once: a second call changes nothing.
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
        // Not `get_or_init`: the hub may be used before the server has its policy, and that shall be this one then.
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

    /// How many requests found no place, by endpoint.
    fn refused(&self) -> &[AtomicU64] {
        self.refused.get().map_or(&[], |counts| counts)
    }

    /// Counts a connection that is turned away before it has asked for anything.
    pub(crate) fn count_turned_away(&self) {
        self.turned_away.fetch_add(1, Relaxed);
    }

    /// How many messages of peers were not heard, by endpoint.
    fn unheard(&self) -> &[AtomicU64] {
        self.unheard.get().map_or(&[], |counts| counts)
    }

    /// Counts messages that a peer sent and no hook heard.
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

    /// Refuses newcomers from now on.
    pub(crate) fn close_doors(&self) {
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
    pub(crate) fn note_hook_failed(&self) {
        self.hooks_failed.fetch_add(1, Relaxed);
    }

    /// The server is gone: nobody is held any more. Time goes on until the last end hook has returned, or one that hangs
    /// would never meet its deadline.
    pub(crate) fn quit(&self) {
        self.is_quit.store(true, Release);
    }

    /// Nothing is left for which time must go on.
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
