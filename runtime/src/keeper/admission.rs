//! A place for a newcomer: taken before a byte is answered, given back by whoever drops it.

use std::sync::Arc;

use abeyance_core::mechanisms::limits::{Full, Peer, Permit};
use abeyance_core::words::cause::Resume;
use abeyance_core::words::hold_id::HoldId;
use abeyance_core::words::tick::Tick;
use abeyance_settings::endpoint::WhenFull;

use super::end::EndEffects;
use super::hold::Hold;
use super::{Keeper, Registry};

/// A newcomer's place under every limit, or leave to ask for one. Dropping it gives it back.
pub(crate) struct Admission {
    keeper: Arc<Keeper>,
    endpoint: u32,
    peer: Peer,
    place: Reservation,
}

enum Reservation {
    /// Taken.
    Permit(Permit),
    /// There is none; the function may run, and if it says yes, the oldest makes room.
    Asking,
    /// Given back, or the hold's.
    Spent,
}

/// Why a newcomer is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A limit is reached, and nobody may be ended for it.
    Full(Full),
    /// The server is shutting down.
    Draining,
}

/// A hold younger than this is not ended for another: clients that come back at once must not make a storm.
const SETTLED: std::time::Duration = std::time::Duration::from_secs(1);

/// Hooks of ended holds may run on, and a context is kept by each. As many as there may be holds, or this many where that is
/// less, are enough: before they are fewer, nobody is held anew. So what clients that come and go leave behind is bounded.
const LEAST_HOOKS: usize = 1_024;

/// Of those, one address may leave this part behind; it is refused with `429` until they are fewer.
const SHARE: usize = 4;

impl Keeper {
    /// Takes a place for a newcomer of `endpoint`, before its function runs.
    pub(crate) fn admit(self: &Arc<Self>, endpoint: u32, peer: Peer) -> Result<Admission, Refused> {
        let place = self.place(endpoint, peer).inspect_err(|_| self.count_refused(endpoint))?;
        Ok(Admission { keeper: self.clone(), endpoint, peer, place })
    }

    fn place(&self, endpoint: u32, peer: Peer) -> Result<Reservation, Refused> {
        let mut registry = self.registry.lock();
        if registry.draining {
            return Err(Refused::Draining);
        }
        let hooks = registry.limits.server().max(LEAST_HOOKS);
        if self.hooks().0 >= hooks {
            return Err(Refused::Full(Full::Server));
        }
        // A peer that comes and goes while its hooks run must not have those of all.
        let share = match peer.is_loopback() {
            true => usize::MAX,
            false => hooks / SHARE,
        };
        if self.unfinished_of(peer) >= self.server_config().max_per_peer.unwrap_or(share).min(share) {
            return Err(Refused::Full(Full::Peer));
        }
        match registry.limits.take(endpoint, peer) {
            Ok(permit) => Ok(Reservation::Permit(permit)),
            Err(_) if self.evicts(endpoint) && registry.limits.begin_admitting(endpoint) => {
                Ok(Reservation::Asking)
            }
            Err(full) => Err(Refused::Full(full)),
        }
    }

    fn evicts(&self, endpoint: u32) -> bool {
        self.plans()[endpoint as usize].when_full == WhenFull::ResumeOldest
    }
}

impl Admission {
    pub(crate) fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }

    #[cfg(test)]
    pub(super) fn has_permit(&self) -> bool {
        matches!(self.place, Reservation::Permit(_))
    }

    /// The function said yes: the hold begins, made by `make` from its id and the present tick. Whoever must go for it
    /// goes in the same step, so that a limit is exceeded at no instant.
    pub(crate) fn suspend(
        mut self,
        key: Option<Arc<str>>,
        make: impl FnOnce(HoldId, Tick) -> Arc<Hold>,
    ) -> Result<Arc<Hold>, Refused> {
        let keeper = self.keeper.clone();
        let now = keeper.time().mark();
        let mut gone = Vec::new();
        let mut registry = keeper.registry.lock();
        let begun = if registry.draining {
            Err(Refused::Draining)
        } else {
            // Made before anyone goes for it: should that panic, nobody has gone, and the place is still ours to give back.
            let hold = make(registry.ledger.next_id(), now);
            self.seat(&mut registry, key.as_ref(), now, &mut gone).map(|()| {
                if let Reservation::Permit(permit) = std::mem::replace(&mut self.place, Reservation::Spent) {
                    registry.limits.seat(&permit, hold.id);
                    registry.deadlines.set(hold.id.slot(), now);
                    registry.ledger.begin(self.endpoint, now, hold.clone(), permit);
                }
                hold
            })
        };
        drop(registry);
        for aftermath in gone {
            keeper.finish(aftermath);
        }
        begun.inspect_err(|_| keeper.count_refused(self.endpoint))
    }

    /// Makes the place a permit with everything the hold needs, ending others where it must.
    fn seat(
        &mut self,
        registry: &mut Registry,
        key: Option<&Arc<str>>,
        now: Tick,
        gone: &mut Vec<EndEffects>,
    ) -> Result<(), Refused> {
        // A request that has a place needs at most its key's.
        let mut full = registry.limits.full(self.endpoint, self.peer, key);
        if let Reservation::Permit(_) = self.place {
            full.retain(|full| full.is_of_key());
        }
        if let Some(first) = full.first() {
            if !self.keeper.evicts(self.endpoint) {
                return Err(Refused::Full(*first));
            }
            for hold in self.victims(registry, &full, key, now)? {
                gone.extend(registry.end(&hold, Resume::Evicted.into()).ok());
            }
        }
        if let Reservation::Asking = self.place {
            let permit = registry.limits.take(self.endpoint, self.peer).map_err(Refused::Full)?;
            registry.limits.end_admitting(self.endpoint);
            self.place = Reservation::Permit(permit);
        }
        if let (Reservation::Permit(permit), Some(key)) = (&mut self.place, key) {
            registry.limits.take_key(permit, key.clone()).map_err(Refused::Full)?;
        }
        Ok(())
    }

    /// The oldest hold under each limit in `full`. All are chosen before one is ended, so that none is ended in vain.
    fn victims(
        &self,
        registry: &Registry,
        full: &[Full],
        key: Option<&Arc<str>>,
        now: Tick,
    ) -> Result<Vec<Arc<Hold>>, Refused> {
        let relieves = |hold: &Arc<Hold>, limit| match limit {
            Full::Server => true,
            Full::Endpoint => hold.config.endpoint == self.endpoint,
            _ => registry.limits.holders(limit, self.endpoint, self.peer, key).contains(hold.id),
        };
        let mut victims: Vec<Arc<Hold>> = Vec::new();
        for &limit in full {
            if victims.iter().any(|victim| relieves(victim, limit)) {
                continue;
            }
            let victim = self
                .oldest(registry, limit, key)
                .filter(|(_, began)| began.plus(SETTLED) <= now)
                .and_then(|(id, _)| registry.ledger.get(id))
                .ok_or(Refused::Full(limit))?;
            // A hold that was chosen for a limit which this one relieves as well stays.
            let is_needed = |victims: &[Arc<Hold>], at: usize| {
                let others = || victims[..at].iter().chain(&victims[at + 1..]).chain([victim]);
                full.iter().any(|&limit| {
                    relieves(&victims[at], limit) && !others().any(|other| relieves(other, limit))
                })
            };
            for at in (0..victims.len()).rev() {
                if !is_needed(&victims, at) {
                    victims.remove(at);
                }
            }
            victims.push(victim.clone());
        }
        Ok(victims)
    }

    /// The oldest hold under a limit, of those whose endpoints say `resume_oldest` themselves.
    fn oldest(&self, registry: &Registry, limit: Full, key: Option<&Arc<str>>) -> Option<(HoldId, Tick)> {
        let evicts = |id: &HoldId| {
            registry.ledger.get(*id).is_some_and(|hold| self.keeper.evicts(hold.config.endpoint))
        };
        match limit {
            Full::Server => (0..self.keeper.plans().len() as u32)
                .filter(|endpoint| self.keeper.evicts(*endpoint))
                .filter_map(|endpoint| registry.ledger.oldest_of(endpoint))
                .min(),
            Full::Endpoint => registry.ledger.oldest_of(self.endpoint),
            _ => {
                let holders = registry.limits.holders(limit, self.endpoint, self.peer, key);
                holders.iter().filter(evicts).find_map(|id| registry.ledger.age(id.slot()))
            }
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.place, Reservation::Spent) {
            Reservation::Permit(permit) => self.keeper.registry.lock().limits.give_back(permit, None),
            Reservation::Asking => self.keeper.registry.lock().limits.end_admitting(self.endpoint),
            Reservation::Spent => {}
        }
    }
}
