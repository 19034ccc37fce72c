//! How many holds there may be: for the server, an endpoint, a peer, a key, taken together or not at all.
//!
//! A [`Permit`] is a place under every limit at once. It cannot be copied, and it is given back whole.

mod groups;

use std::sync::Arc;

use crate::words::hold_id::HoldId;
pub use crate::words::peer::Peer;

use groups::{Groups, HoldersOfKey};

/// All limits, and what is taken of each.
#[derive(Debug)]
pub struct Limits {
    server: usize,
    server_peer: Option<usize>,
    server_key: Option<usize>,
    taken: usize,
    /// How many functions of one endpoint may run at once without a place to come.
    admitting: usize,
    endpoints: Vec<Endpoint>,
    peers: Groups<Peer>,
    endpoint_peers: Groups<(u32, Peer)>,
    endpoint_keys: Groups<(u32, Arc<str>)>,
    /// Empty where the server has no limit for a key.
    keys: Groups<Arc<str>>,
}

/// What the server allows over all its endpoints.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerLimits {
    pub holds: usize,
    pub per_peer: Option<usize>,
    pub per_key: Option<usize>,
}

/// What one endpoint allows; `None` is no limit of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct EndpointLimits {
    pub holds: Option<usize>,
    pub per_peer: Option<usize>,
    pub per_key: Option<usize>,
}

/// A place under every limit. Not `Clone`, so that it is given back once.
#[derive(Debug)]
#[must_use = "a permit that is dropped is a place that is lost: give it back"]
pub struct Permit {
    endpoint: u32,
    peer: Peer,
    key: Option<Arc<str>>,
}

/// A limit that has no place left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The key's, at this endpoint.
    EndpointKey,
    /// The key's, in the whole server.
    Key,
    /// The peer's, at this endpoint.
    EndpointPeer,
    /// The peer's, in the whole server.
    Peer,
    /// The endpoint's.
    Endpoint,
    /// The server's.
    Server,
}

#[derive(Debug)]
struct Endpoint {
    ceiling: EndpointLimits,
    taken: usize,
    /// Requests whose function runs although there is no place yet.
    admitting: usize,
}

impl Limits {
    pub fn new(roof: ServerLimits, endpoints: Vec<EndpointLimits>) -> Self {
        let endpoint = |ceiling| Endpoint { ceiling, taken: 0, admitting: 0 };
        Limits {
            server: roof.holds,
            server_peer: roof.per_peer,
            server_key: roof.per_key,
            taken: 0,
            admitting: usize::MAX,
            endpoints: endpoints.into_iter().map(endpoint).collect(),
            peers: Groups::new(),
            endpoint_peers: Groups::new(),
            endpoint_keys: Groups::new(),
            keys: Groups::new(),
        }
    }

    /// No more functions of one endpoint run at once without a place to come, nor more than it has places.
    pub fn bound_admitting(&mut self, functions: usize) {
        self.admitting = functions;
    }

    /// The server's own limit.
    pub fn server(&self) -> usize {
        self.server
    }

    /// The limits that have no place for one more, narrowest first.
    pub fn full(&self, endpoint: u32, peer: Peer, key: Option<&Arc<str>>) -> Vec<Full> {
        let here = &self.endpoints[endpoint as usize];
        let reached = |limit: Option<usize>, taken: usize| limit.is_some_and(|limit| taken >= limit);
        let mut full = Vec::new();
        if let Some(key) = key {
            full.extend(self.full_of_key(endpoint, key));
        }
        if reached(here.ceiling.per_peer, self.endpoint_peers.taken(&(endpoint, peer))) {
            full.push(Full::EndpointPeer);
        }
        if reached(self.server_peer, self.peers.taken(&peer)) {
            full.push(Full::Peer);
        }
        if reached(here.ceiling.holds, here.taken) {
            full.push(Full::Endpoint);
        }
        if self.taken >= self.server {
            full.push(Full::Server);
        }
        full
    }

    /// The limits of a key that have no place for one more, narrowest first.
    fn full_of_key(&self, endpoint: u32, key: &Arc<str>) -> impl Iterator<Item = Full> {
        let limit = self.endpoints[endpoint as usize].ceiling.per_key;
        let here = limit.is_some_and(|limit| self.endpoint_keys.taken(&(endpoint, key.clone())) >= limit);
        let anywhere = self.server_key.is_some_and(|limit| self.keys.taken(key) >= limit);
        here.then_some(Full::EndpointKey).into_iter().chain(anywhere.then_some(Full::Key))
    }

    /// Takes a place under every limit but the key's, which is not known before the function has run.
    pub fn take(&mut self, endpoint: u32, peer: Peer) -> Result<Permit, Full> {
        if let Some(full) = self.full(endpoint, peer, None).first() {
            return Err(*full);
        }
        self.taken += 1;
        let here = &mut self.endpoints[endpoint as usize];
        here.taken += 1;
        if here.ceiling.per_peer.is_some() {
            self.endpoint_peers.take((endpoint, peer));
        }
        if self.server_peer.is_some() {
            self.peers.take(peer);
        }
        Ok(Permit { endpoint, peer, key: None })
    }

    /// Adds the key's places to a permit that has none. Keys are known where they have no limit as well, so that the
    /// holds of one can be found.
    pub fn take_key(&mut self, permit: &mut Permit, key: Arc<str>) -> Result<(), Full> {
        if permit.key.is_some() {
            return Ok(());
        }
        if let Some(full) = self.full_of_key(permit.endpoint, &key).next() {
            return Err(full);
        }
        self.endpoint_keys.take((permit.endpoint, key.clone()));
        if self.server_key.is_some() {
            self.keys.take(key.clone());
        }
        permit.key = Some(key);
        Ok(())
    }

    /// The permit is from now on that of the hold `id`, so that the holds of a peer or key can be found.
    pub fn seat(&mut self, permit: &Permit, id: HoldId) {
        self.endpoint_peers.seat(&(permit.endpoint, permit.peer), id);
        self.peers.seat(&permit.peer, id);
        if let Some(key) = &permit.key {
            self.endpoint_keys.seat(&(permit.endpoint, key.clone()), id);
            self.keys.seat(key, id);
        }
    }

    /// Gives back every place of a permit; `seated` is whose it was.
    pub fn give_back(&mut self, permit: Permit, seated: Option<HoldId>) {
        let Permit { endpoint, peer, key } = permit;
        self.taken -= 1;
        let here = &mut self.endpoints[endpoint as usize];
        here.taken -= 1;
        if here.ceiling.per_peer.is_some() {
            self.endpoint_peers.give_back((endpoint, peer), seated);
        }
        if self.server_peer.is_some() {
            self.peers.give_back(peer, seated);
        }
        if let Some(key) = key {
            if self.server_key.is_some() {
                self.keys.give_back(key.clone(), seated);
            }
            self.endpoint_keys.give_back((endpoint, key), seated);
        }
    }

    /// The holds under a peer's or key's limit, oldest first; of no other limit.
    pub fn holders(&self, full: Full, endpoint: u32, peer: Peer, key: Option<&Arc<str>>) -> HoldersOfKey<'_> {
        match (full, key) {
            (Full::EndpointKey, Some(key)) => self.endpoint_keys.holders(&(endpoint, key.clone())),
            (Full::Key, Some(key)) => self.keys.holders(key),
            (Full::EndpointPeer, _) => self.endpoint_peers.holders(&(endpoint, peer)),
            (Full::Peer, _) => self.peers.holders(&peer),
            _ => HoldersOfKey::default(),
        }
    }

    /// The holds with this key at all endpoints, oldest first.
    pub fn of_key(&self, key: &Arc<str>) -> Vec<HoldId> {
        let at = |endpoint: u32| self.endpoint_keys.holders(&(endpoint, key.clone())).iter();
        let mut ids: Vec<HoldId> = (0..self.endpoints.len() as u32).flat_map(at).collect();
        ids.sort_unstable();
        ids
    }

    /// Lets a function run although there is no place, if not too many do: `false` if so.
    pub fn begin_admitting(&mut self, endpoint: u32) -> bool {
        let here = &mut self.endpoints[endpoint as usize];
        let bound = self.admitting.min(here.ceiling.holds.unwrap_or(usize::MAX)).min(self.server);
        let fits = here.admitting < bound;
        here.admitting += usize::from(fits);
        fits
    }

    pub fn end_admitting(&mut self, endpoint: u32) {
        self.endpoints[endpoint as usize].admitting -= 1;
    }

    /// How many places are taken of the server's.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Nothing is taken of anything.
    pub fn is_untouched(&self) -> bool {
        self.taken == 0
            && self.endpoints.iter().all(|here| here.taken == 0 && here.admitting == 0)
            && self.peers.is_empty()
            && self.endpoint_peers.is_empty()
            && self.endpoint_keys.is_empty()
            && self.keys.is_empty()
    }
}

impl Full {
    /// Whether the limit is one on a single peer or key, not on all.
    pub fn is_personal(self) -> bool {
        self.is_of_key() || matches!(self, Full::EndpointPeer | Full::Peer)
    }

    /// Whether it is known only when the function has named the key.
    pub fn is_of_key(self) -> bool {
        matches!(self, Full::EndpointKey | Full::Key)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn peer(last: u8) -> Peer {
        Peer::from(IpAddr::from([10, 0, 0, last]))
    }

    fn id(turn: u64, slot: u32) -> HoldId {
        HoldId::new(turn, slot)
    }

    fn limits() -> Limits {
        let ceiling = EndpointLimits { holds: Some(3), per_peer: Some(2), per_key: Some(1) };
        let roof = ServerLimits { holds: 4, per_peer: Some(3), per_key: None };
        Limits::new(roof, vec![ceiling, EndpointLimits::default()])
    }

    #[test]
    fn a_limit_is_never_exceeded_and_a_refusal_takes_nothing() {
        let mut limits = limits();
        let first = limits.take(0, peer(1)).unwrap();
        let second = limits.take(0, peer(1)).unwrap();
        assert_eq!(limits.take(0, peer(1)).unwrap_err(), Full::EndpointPeer);
        let third = limits.take(0, peer(2)).unwrap();
        assert_eq!(limits.take(0, peer(3)).unwrap_err(), Full::Endpoint);
        let fourth = limits.take(1, peer(1)).unwrap();
        assert_eq!(limits.take(1, peer(1)).unwrap_err(), Full::Peer);
        assert_eq!(limits.take(1, peer(9)).unwrap_err(), Full::Server);
        for permit in [first, second, third, fourth] {
            limits.give_back(permit, None);
        }
        assert!(limits.is_untouched());
    }

    #[test]
    fn a_key_is_counted_at_its_endpoint_only() {
        let mut limits = limits();
        let mut first = limits.take(0, peer(1)).unwrap();
        let mut second = limits.take(0, peer(2)).unwrap();
        let mut third = limits.take(1, peer(2)).unwrap();
        limits.take_key(&mut first, "user".into()).unwrap();
        assert_eq!(limits.take_key(&mut second, "user".into()), Err(Full::EndpointKey));
        limits.take_key(&mut second, "other".into()).unwrap();
        limits.take_key(&mut third, "user".into()).unwrap();
        for permit in [first, second, third] {
            limits.give_back(permit, None);
        }
        assert!(limits.is_untouched());
    }

    #[test]
    fn a_key_of_the_server_is_counted_over_all_endpoints_and_a_refusal_takes_nothing() {
        let roof = ServerLimits { holds: 9, per_key: Some(2), ..ServerLimits::default() };
        let own = EndpointLimits { per_key: Some(1), ..EndpointLimits::default() };
        let mut limits = Limits::new(roof, vec![own, EndpointLimits::default()]);
        let key = || Arc::<str>::from("user");
        let mut permits: Vec<_> =
            [0, 0, 1, 1].into_iter().map(|endpoint| limits.take(endpoint, peer(1)).unwrap()).collect();
        limits.take_key(&mut permits[0], key()).unwrap();
        assert_eq!(limits.take_key(&mut permits[1], key()), Err(Full::EndpointKey));
        limits.take_key(&mut permits[2], key()).unwrap();
        assert_eq!(limits.take_key(&mut permits[3], key()), Err(Full::Key));
        assert_eq!(limits.full(0, peer(1), Some(&key())), [Full::EndpointKey, Full::Key]);
        let ids = [id(1, 0), id(2, 1), id(3, 2), id(4, 3)];
        // Out of order: the holders are oldest first all the same.
        for at in [2, 0] {
            limits.seat(&permits[at], ids[at]);
        }
        let holders =
            |limits: &Limits, full| limits.holders(full, 1, peer(1), Some(&key())).iter().collect::<Vec<_>>();
        assert_eq!(holders(&limits, Full::Key), [ids[0], ids[2]]);
        assert_eq!(holders(&limits, Full::EndpointKey), [ids[2]]);
        let (refused, first) = (permits.pop().unwrap(), permits.remove(0));
        limits.give_back(first, Some(ids[0]));
        let mut again = refused;
        limits.take_key(&mut again, key()).unwrap();
        limits.give_back(again, None);
        for (permit, id) in permits.into_iter().zip(&ids[1..]) {
            limits.give_back(permit, Some(*id));
        }
        assert!(limits.is_untouched());
    }

    #[test]
    fn the_holders_of_a_place_are_known_oldest_first() {
        let mut limits = limits();
        let permits = [limits.take(0, peer(1)).unwrap(), limits.take(0, peer(1)).unwrap()];
        let other = limits.take(1, peer(2)).unwrap();
        // The younger one has the lower slot: another left it.
        let ids = [id(1, 7), id(3, 2)];
        limits.seat(&permits[1], ids[1]);
        limits.seat(&other, id(2, 5));
        limits.seat(&permits[0], ids[0]);
        let holders =
            |limits: &Limits, full| limits.holders(full, 0, peer(1), None).iter().collect::<Vec<_>>();
        assert_eq!(holders(&limits, Full::EndpointPeer), ids);
        assert!(limits.holders(Full::Peer, 0, peer(1), None).contains(ids[1]));
        assert!(!limits.holders(Full::Peer, 0, peer(1), None).contains(id(2, 5)));
        for (permit, id) in permits.into_iter().zip(ids) {
            limits.give_back(permit, Some(id));
            assert!(!holders(&limits, Full::Peer).contains(&id));
        }
        limits.give_back(other, Some(id(2, 5)));
        assert!(limits.is_untouched());
    }

    #[test]
    fn the_holds_of_a_key_are_known_at_every_endpoint_also_where_it_has_no_limit() {
        let mut limits = Limits::new(
            ServerLimits { holds: 9, ..ServerLimits::default() },
            vec![EndpointLimits::default(), EndpointLimits { per_key: Some(9), ..EndpointLimits::default() }],
        );
        let mut seated = Vec::new();
        for (turn, endpoint, key) in
            [(1, 1, Some("ada")), (2, 0, Some("bob")), (3, 0, Some("ada")), (4, 0, None)]
        {
            let mut permit = limits.take(endpoint, peer(1)).unwrap();
            if let Some(key) = key {
                limits.take_key(&mut permit, key.into()).unwrap();
            }
            limits.seat(&permit, id(turn, 0));
            seated.push((permit, id(turn, 0)));
        }
        assert_eq!(limits.of_key(&"ada".into()), [id(1, 0), id(3, 0)]);
        assert_eq!(limits.of_key(&"bob".into()), [id(2, 0)]);
        assert!(limits.of_key(&"eve".into()).is_empty());
        for (permit, id) in seated {
            limits.give_back(permit, Some(id));
        }
        assert!(limits.is_untouched());
        assert!(limits.of_key(&"ada".into()).is_empty());
    }

    #[test]
    fn admission_without_a_place_is_bounded_by_the_limit_itself() {
        let mut limits = limits();
        assert_eq!((0..9).filter(|_| limits.begin_admitting(0)).count(), 3);
        limits.end_admitting(0);
        assert!(limits.begin_admitting(0));
    }
}
