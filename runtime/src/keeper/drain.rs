//! Ending all holds in good order, a few at a time. Holds whose turn has not come are held as before.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use fastrand::Rng;

use abeyance_core::mechanisms::drain::DrainSchedule;
use abeyance_core::words::cause::Resume;

use super::Keeper;
use super::deadline::Deadline;

/// How many ends begin in one step, under one lock of the registry.
const BATCH: usize = 64;

impl Keeper {
    /// Refuses new holds, and begins the end of every hold when its turn comes. Returns when all ends have begun.
    pub(crate) async fn drain(&self, random: Rng) {
        // Served time: after a stall, the ends that were due meanwhile are spread as well.
        let begun = self.time.mark();
        let mut departures = self.plan_drain(random);
        // Most holds may have ended by themselves.
        while let Some(next) = departures.next()
            && self.counts().held > 0
        {
            // Ticks are rounded down: this one is not before the turn.
            let turn = begun.plus(next + Duration::from_millis(1));
            Deadline::at(turn, &self.time).passed(&self.time).await;
            // Between two full batches, other tasks get their turn.
            while self.depart(&mut departures, self.time.now().since(begun)) == BATCH {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Refuses new holds from now on, and plans when each hold ends.
    pub(crate) fn plan_drain(&self, random: Rng) -> DrainSchedule {
        let mut registry = self.registry.lock();
        registry.draining = true;
        let holds = registry.ledger.held().map(|hold| hold.id).collect();
        drop(registry);
        let server_config = self.server_config();
        let departures = DrainSchedule::plan(holds, server_config.drain, server_config.close_timeout, random);
        self.spread.store(departures.window().as_millis() as u64, Relaxed);
        departures
    }

    /// Begins the ends that are due, in one step, and returns how many were due.
    pub(crate) fn depart(&self, departures: &mut DrainSchedule, passed: Duration) -> usize {
        let due = departures.take_due(passed, BATCH);
        self.end_those(&Resume::Drained.into(), |registry| {
            due.iter().filter_map(|id| registry.ledger.get(*id).cloned()).collect()
        });
        due.len()
    }

    /// The time over which a drain spreads the ends of holds. Zero without a drain.
    pub(crate) fn spread(&self) -> Duration {
        Duration::from_millis(self.spread.load(Relaxed))
    }

    /// Whether new holds are refused.
    pub(crate) fn is_draining(&self) -> bool {
        self.registry.lock().draining
    }
}
