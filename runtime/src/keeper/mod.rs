//! The keeper of all holds: the only locks, and the only waiter on time.
//!
//! Ground rules:
//! 1. Two orders of locks: the books, then one hold's pen; a shard of topics, then one hold's pen. No lock is held over
//!    an await or while user code runs, and a waker is user code.
//! 2. A hold's end begins in one place, [`Keeper::end`], under the books: the first cause stands, the permit goes back,
//!    the pen takes no more. It leaves a note; the hold's own task reads it and concludes.
//! 3. The keeper keeps an `Arc` of a hold until it has settled, and a hold keeps the keeper: no circle outlives its hold.

pub(crate) mod admission; // a place for a newcomer, and who makes room for it
pub(crate) mod end; // the beginning of every end, and its settling
pub(crate) mod ended; // what an end hook is told
pub(crate) mod held; // the application's handle on a hold
pub(crate) mod hold; // one held connection
pub(crate) mod hub; // the application's view of all holds
pub(crate) mod pen; // what is written to one peer, in order
pub(crate) mod publish; // topics
pub(crate) mod sweep; // the clocks
pub(crate) mod time; // served time
pub(crate) mod token; // who may speak for a hold

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::mechanisms::deadlines::Deadlines;
use crate::mechanisms::ledger::Ledger;
use crate::mechanisms::limits::{Ceiling, Limits, Permit};
use crate::words::id::Id;
use crate::words::policy::Policy;
use crate::words::terms::WhenFull;

use hold::Hold;
use publish::TopicShards;
use time::Time;
use token::Secret;

/// All holds of one server.
pub(crate) struct Keeper {
    books: Mutex<Books>,
    topics: TopicShards,
    time: Time,
    secret: Secret,
    policy: Policy,
    posts: Vec<Plan>,
    /// Told whenever nothing is held and nothing is ending.
    quiet: Notify,
}

/// What the keeper must know of an endpoint to admit holds to it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    pub(crate) ceiling: Ceiling,
    pub(crate) when_full: WhenFull,
}

struct Books {
    ledger: Ledger<Permit, Arc<Hold>>,
    limits: Limits,
    deadlines: Deadlines,
    draining: bool,
}

impl Keeper {
    pub(crate) fn new(policy: Policy, posts: Vec<Plan>) -> Arc<Self> {
        let ceilings = posts.iter().map(|post| post.ceiling).collect();
        Arc::new(Keeper {
            books: Mutex::new(Books {
                ledger: Ledger::new(posts.len()),
                limits: Limits::new(policy.max_suspended, policy.max_per_peer, ceilings),
                deadlines: Deadlines::default(),
                draining: false,
            }),
            topics: TopicShards::new(),
            time: Time::start(),
            secret: Secret::draw(),
            policy,
            posts,
            quiet: Notify::new(),
        })
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The secret with which a client speaks for a hold.
    pub(crate) fn token(&self, id: Id) -> String {
        self.secret.token(id)
    }

    /// The hold a token speaks for, if its end has not begun.
    pub(crate) fn find_by_token(&self, token: &str) -> Option<Arc<Hold>> {
        let hold = self.find(self.secret.open(token)?)?;
        hold.note().is_none().then_some(hold)
    }

    pub(crate) fn time(&self) -> &Time {
        &self.time
    }

    /// Refuses newcomers from now on.
    pub(crate) fn close_doors(&self) {
        self.books.lock().draining = true;
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.books.lock().draining
    }

    /// Waits until nothing is held and nothing is ending.
    pub(crate) async fn quiet(&self) {
        loop {
            let quiet = self.quiet.notified();
            let counts = *self.books.lock().ledger.counts();
            if counts.held == 0 && counts.ending == 0 {
                return;
            }
            quiet.await;
        }
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("counts", self.books.lock().ledger.counts()).finish_non_exhaustive()
    }
}
