//! Request bodies that are being received, of all peers together. They count in the budget, and may use a share of it.
//! When the share is exceeded, the largest body is given up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};

use tokio::sync::Notify;

use abeyance_core::sync::{AtomicBool, Mutex};

use super::Keeper;

/// Bodies may use this part of `max_buffered`, so that the rest stays for what is sent. One body alone may use twice
/// that, to allow large messages.
const SHARE: usize = 4;

/// All bodies that are being received. Its lock is a leaf: only counting is done under it.
#[derive(Default)]
pub(super) struct Inbound(Mutex<Bodies>);

#[derive(Default)]
struct Bodies {
    /// How many bodies there ever were.
    came: u64,
    bytes: usize,
    /// By size, and by number among equals.
    sizes: BTreeMap<(usize, u64), Arc<BodyFate>>,
}

/// What became of one body.
#[derive(Default)]
struct BodyFate {
    is_given_up: AtomicBool,
    told: Notify,
}

/// The bytes that are counted for one body. Dropping it gives them back.
pub(crate) struct Received {
    keeper: Arc<Keeper>,
    number: u64,
    bytes: usize,
    fate: Arc<BodyFate>,
}

/// The body was given up: it was the largest when the share was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GivenUp;

impl Keeper {
    /// A body begins to arrive.
    pub(crate) fn receive(self: &Arc<Self>) -> Received {
        let mut bodies = self.inbound.0.lock();
        bodies.came += 1;
        Received { keeper: self.clone(), number: bodies.came, bytes: 0, fate: Arc::default() }
    }
}

impl Bodies {
    /// Updates the size of a body. The caller updates the budget.
    fn count(&mut self, number: u64, before: usize, after: usize, fate: &Arc<BodyFate>) {
        if before > 0 {
            self.sizes.remove(&(before, number));
        }
        if after > 0 {
            self.sizes.insert((after, number), fate.clone());
        }
        self.bytes = self.bytes - before + after;
    }

    /// Removes the largest body, if the share is exceeded.
    fn excess(&mut self, memory: usize) -> Option<Arc<BodyFate>> {
        let share = if self.sizes.len() > 1 { memory / SHARE } else { memory / SHARE * 2 };
        let is_too_much = self.bytes > share;
        let ((bytes, _), fate) = is_too_much.then(|| self.sizes.pop_last()).flatten()?;
        self.bytes -= bytes;
        Some(fate)
    }
}

impl Received {
    /// Sets how many bytes of the body are in memory.
    ///
    /// # Errors
    /// [`GivenUp`]: the caller must drop what came.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), GivenUp> {
        let mut given_up = Vec::new();
        {
            let mut bodies = self.keeper.inbound.0.lock();
            if self.is_given_up() {
                return Err(GivenUp);
            }
            let before = bodies.bytes;
            bodies.count(self.number, self.bytes, bytes, &self.fate);
            self.bytes = bytes;
            while let Some(fate) = bodies.excess(self.keeper.server_config().max_buffered) {
                fate.is_given_up.store(true, Release);
                given_up.push(fate);
            }
            // In one step: at no instant is it more than the share.
            self.keeper.budget.changed(before, bodies.bytes);
        }
        given_up.iter().for_each(|fate| fate.told.notify_one());
        self.keeper.relieve();
        if self.is_given_up() { Err(GivenUp) } else { Ok(()) }
    }

    /// Returns when the body is given up.
    pub(crate) async fn given_up(&self) {
        while !self.is_given_up() {
            self.fate.told.notified().await;
        }
    }

    fn is_given_up(&self) -> bool {
        self.fate.is_given_up.load(Acquire)
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        let mut bodies = self.keeper.inbound.0.lock();
        if !self.is_given_up() {
            bodies.count(self.number, self.bytes, 0, &self.fate);
            self.keeper.budget.changed(self.bytes, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::settings::ServerConfig;

    fn keeper() -> Arc<Keeper> {
        let keeper = Keeper::new();
        keeper.configure(ServerConfig { max_buffered: 400, ..ServerConfig::default() }, Vec::new());
        keeper
    }

    fn is_told(body: &Received) -> bool {
        let mut given_up = std::pin::pin!(body.given_up());
        given_up.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn what_arrives_is_counted_and_given_back() {
        let keeper = keeper();
        let (mut one, mut other) = (keeper.receive(), keeper.receive());
        assert_eq!((one.hold(20), one.hold(50), other.hold(50)), (Ok(()), Ok(()), Ok(())));
        assert_eq!(keeper.budget.waiting(), 100);
        drop(one);
        assert_eq!(keeper.budget.waiting(), 50);
        drop(other);
        assert_eq!(keeper.budget.waiting(), 0);
        let bodies = keeper.inbound.0.lock();
        assert!(bodies.bytes == 0 && bodies.sizes.is_empty());
    }

    #[test]
    fn the_largest_is_given_up_whichever_comes_last() {
        let keeper = keeper();
        let (mut large, mut small, mut third) = (keeper.receive(), keeper.receive(), keeper.receive());
        assert_eq!((large.hold(60), small.hold(30)), (Ok(()), Ok(())));
        assert!(!is_told(&large));
        assert_eq!(third.hold(20), Ok(()));
        assert!(is_told(&large) && !is_told(&small));
        assert_eq!((keeper.budget.waiting(), large.hold(61)), (50, Err(GivenUp)));
        // Now it is the largest itself.
        assert_eq!(third.hold(90), Err(GivenUp));
        assert_eq!(keeper.budget.waiting(), 30);
        drop((large, third));
        assert_eq!(keeper.budget.waiting(), 30);
        drop(small);
        assert_eq!(keeper.budget.waiting(), 0);
    }

    #[test]
    fn one_alone_may_have_half_of_the_memory() {
        let keeper = keeper();
        let mut alone = keeper.receive();
        assert_eq!((alone.hold(200), alone.hold(201)), (Ok(()), Err(GivenUp)));
        assert_eq!(keeper.budget.waiting(), 0);
    }
}
