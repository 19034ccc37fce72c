//! A permit for a new hold: taken before a byte is answered, and given back when it is dropped.

use std::sync::Arc;

use abeyance_core::mechanisms::limits::{Full, Peer, Permit};
use abeyance_core::words::cause::Resume;
use abeyance_core::words::hold_id::HoldId;
use abeyance_core::words::tick::Tick;
use abeyance_settings::endpoint::WhenFull;

use super::end::EndEffects;
use super::hold::Hold;
use super::{Keeper, Registry};

/// A permit for a new hold under every limit, or the right to run the function without one. Dropping it gives it back.
pub(crate) struct Admission {
    keeper: Arc<Keeper>,
    endpoint: u32,
    peer: Peer,
    state: AdmissionState,
}

enum AdmissionState {
    /// The permit is taken.
    Permit(Permit),
    /// A limit is reached. The function may run, and if it says yes, the oldest hold makes room.
    Admitting,
    /// The permit was given back, or belongs to the hold.
    Spent,
}

/// Why a request is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A limit is reached, and no hold may be ended for it.
    Full(Full),
    /// The server is shutting down.
    Draining,
}

/// A hold younger than this is not ended for another. Clients that come back at once would evict each other otherwise.
const SETTLED: std::time::Duration = std::time::Duration::from_secs(1);

/// Hooks of ended holds may run on, and each keeps a context. There may be as many as holds, but at least this many.
/// While there are so many, no request is held. So the memory that clients leave behind is bounded.
const LEAST_HOOKS: usize = 1_024;

/// One address may have this part of those hooks. Its requests are refused with `429` until it has fewer.
const SHARE: usize = 4;

impl Keeper {
    /// Takes a permit for a request to `endpoint`, before its function runs.
    ///
    /// # Errors
    /// [`Refused`] if a limit is reached and no hold may be ended for it, or if the server is shutting down.
    pub(crate) fn admit(self: &Arc<Self>, endpoint: u32, peer: Peer) -> Result<Admission, Refused> {
        let state = self.take_permit(endpoint, peer).inspect_err(|_| self.count_refused(endpoint))?;
        Ok(Admission { keeper: self.clone(), endpoint, peer, state })
    }

    fn take_permit(&self, endpoint: u32, peer: Peer) -> Result<AdmissionState, Refused> {
        let mut registry = self.registry.lock();
        if registry.draining {
            return Err(Refused::Draining);
        }
        let hooks = registry.limits.server().max(LEAST_HOOKS);
        if self.hooks().0 >= hooks {
            return Err(Refused::Full(Full::Server));
        }
        // One peer that comes and goes while its hooks run must not use up the hooks of all peers.
        let share = match peer.is_loopback() {
            true => usize::MAX,
            false => hooks / SHARE,
        };
        if self.unfinished_of(peer) >= self.server_config().max_per_peer.unwrap_or(share).min(share) {
            return Err(Refused::Full(Full::Peer));
        }
        match registry.limits.take(endpoint, peer) {
            Ok(permit) => Ok(AdmissionState::Permit(permit)),
            Err(_) if self.evicts(endpoint) && registry.limits.begin_admitting(endpoint) => {
                Ok(AdmissionState::Admitting)
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
        matches!(self.state, AdmissionState::Permit(_))
    }

    /// The function said yes: the hold begins, made by `make` from its id and the present tick. Holds that make room
    /// for it end in the same step, so that a limit is exceeded at no instant.
    ///
    /// # Errors
    /// [`Refused`] if no room can be made, or if the server is shutting down.
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
            // Made before another hold ends for it: if `make` panics, no hold has ended, and the permit is given back.
            let hold = make(registry.ledger.next_id(), now);
            self.secure_permit(&mut registry, key.as_ref(), now, &mut gone).map(|()| {
                if let AdmissionState::Permit(permit) =
                    std::mem::replace(&mut self.state, AdmissionState::Spent)
                {
                    registry.limits.seat(&permit, hold.id);
                    registry.deadlines.set(hold.id.slot(), now);
                    registry.ledger.begin(self.endpoint, now, hold.clone(), permit);
                }
                hold
            })
        };
        drop(registry);
        for effects in gone {
            keeper.apply(effects);
        }
        begun.inspect_err(|_| keeper.count_refused(self.endpoint))
    }

    /// Takes all permits that the hold needs, and ends other holds where it must.
    fn secure_permit(
        &mut self,
        registry: &mut Registry,
        key: Option<&Arc<str>>,
        now: Tick,
        gone: &mut Vec<EndEffects>,
    ) -> Result<(), Refused> {
        // A request that has a permit needs at most that of its key.
        let mut full = registry.limits.full(self.endpoint, self.peer, key);
        if let AdmissionState::Permit(_) = self.state {
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
        if let AdmissionState::Admitting = self.state {
            let permit = registry.limits.take(self.endpoint, self.peer).map_err(Refused::Full)?;
            registry.limits.end_admitting(self.endpoint);
            self.state = AdmissionState::Permit(permit);
        }
        if let (AdmissionState::Permit(permit), Some(key)) = (&mut self.state, key) {
            registry.limits.take_key(permit, key.clone()).map_err(Refused::Full)?;
        }
        Ok(())
    }

    /// The oldest hold under each limit in `full`. All are chosen before one is ended, so that none ends in vain.
    fn victims(
        &self,
        registry: &Registry,
        full: &[Full],
        key: Option<&Arc<str>>,
        now: Tick,
    ) -> Result<Vec<Arc<Hold>>, Refused> {
        let holders = |limit| registry.limits.holders(limit, self.endpoint, self.peer, key);
        let relieves = |hold: &Arc<Hold>, limit| match limit {
            Full::Server => true,
            Full::Endpoint => hold.config.endpoint == self.endpoint,
            _ => holders(limit).contains(hold.id),
        };
        let mut victims: Vec<Arc<Hold>> = Vec::new();
        for &limit in full {
            if victims.iter().any(|victim| relieves(victim, limit)) {
                continue;
            }
            let oldest = self.oldest_under(registry, limit, key);
            let victim = oldest
                .filter(|(_, began)| began.plus(SETTLED) <= now)
                .and_then(|(id, _)| registry.ledger.get(id))
                .ok_or(Refused::Full(limit))?;
            // A hold that was chosen for a limit that this one relieves as well stays.
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

    /// The oldest hold that counts against `limit` and whose endpoint gives way, and when it began.
    fn oldest_under(
        &self,
        registry: &Registry,
        limit: Full,
        key: Option<&Arc<str>>,
    ) -> Option<(HoldId, Tick)> {
        match limit {
            // Only endpoints with `resume_oldest` give way.
            Full::Server => (0..self.keeper.plans().len() as u32)
                .filter(|endpoint| self.keeper.evicts(*endpoint))
                .filter_map(|endpoint| registry.ledger.oldest_of(endpoint))
                .min(),
            Full::Endpoint => registry.ledger.oldest_of(self.endpoint),
            _ => registry
                .limits
                .holders(limit, self.endpoint, self.peer, key)
                .iter()
                .filter(|id| {
                    registry.ledger.get(*id).is_some_and(|hold| self.keeper.evicts(hold.config.endpoint))
                })
                .find_map(|id| registry.ledger.age(id.slot())),
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.state, AdmissionState::Spent) {
            AdmissionState::Permit(permit) => self.keeper.registry.lock().limits.give_back(permit, None),
            AdmissionState::Admitting => self.keeper.registry.lock().limits.end_admitting(self.endpoint),
            AdmissionState::Spent => {}
        }
    }
}
