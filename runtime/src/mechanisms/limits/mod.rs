//! How many holds there may be: for the server, an endpoint, a peer, a key, taken together or not at all.
//!
//! A [`Permit`] is a place under every limit at once. It cannot be copied; whoever has it gives it back whole.

mod groups;

use std::sync::Arc;

use crate::words::id::Id;
pub(crate) use crate::words::peer::Peer;

use groups::{Groups, Holders};

/// All limits, and what is taken of each.
#[derive(Debug)]
pub(crate) struct Limits {
    server: usize,
    server_peer: Option<usize>,
    taken: usize,
    /// How many functions of one endpoint may run at once without a place to come.
    admitting: usize,
    endpoints: Vec<Endpoint>,
    peers: Groups<Peer>,
    endpoint_peers: Groups<(u32, Peer)>,
    keys: Groups<(u32, Arc<str>)>,
}

/// What one endpoint allows; `None` is no limit of its own.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ceiling {
    pub(crate) holds: Option<usize>,
    pub(crate) per_peer: Option<usize>,
    pub(crate) per_key: Option<usize>,
}

/// A place under every limit. Not `Clone`, so that it is given back once.
#[derive(Debug)]
#[must_use = "a permit that is dropped is a place that is lost: give it back"]
pub(crate) struct Permit {
    endpoint: u32,
    peer: Peer,
    key: Option<Arc<str>>,
}

/// A limit that has no place left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The key's, at this endpoint.
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
    ceiling: Ceiling,
    taken: usize,
    /// Requests whose function runs although there is no place yet.
    admitting: usize,
}

impl Limits {
    pub(crate) fn new(server: usize, server_peer: Option<usize>, endpoints: Vec<Ceiling>) -> Self {
        let endpoint = |ceiling| Endpoint { ceiling, taken: 0, admitting: 0 };
        Limits {
            server,
            server_peer,
            taken: 0,
            admitting: usize::MAX,
            endpoints: endpoints.into_iter().map(endpoint).collect(),
            peers: Groups::new(),
            endpoint_peers: Groups::new(),
            keys: Groups::new(),
        }
    }

    /// No more functions of one endpoint run at once without a place to come, nor more than it has places.
    pub(crate) fn bound_admitting(&mut self, functions: usize) {
        self.admitting = functions;
    }

    /// The server's own limit.
    pub(crate) fn server(&self) -> usize {
        self.server
    }

    /// The limits that have no place for one more, narrowest first.
    pub(crate) fn full(&self, endpoint: u32, peer: Peer, key: Option<&Arc<str>>) -> Vec<Full> {
        let here = &self.endpoints[endpoint as usize];
        let reached = |limit: Option<usize>, taken: usize| limit.is_some_and(|limit| taken >= limit);
        let mut full = Vec::new();
        let taken_of_key = |key: &Arc<str>| self.keys.taken(&(endpoint, key.clone()));
        if key.is_some_and(|key| reached(here.ceiling.per_key, taken_of_key(key))) {
            full.push(Full::Key);
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

    /// Takes a place under every limit but the key's, which is not known before the function has run.
    pub(crate) fn take(&mut self, endpoint: u32, peer: Peer) -> Result<Permit, Full> {
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

    /// Adds the key's place to a permit that has none. Keys are known where they have no limit as well, so that the
    /// holds of one can be found.
    pub(crate) fn take_key(&mut self, permit: &mut Permit, key: Arc<str>) -> Result<(), Full> {
        if permit.key.is_some() {
            return Ok(());
        }
        let limit = self.endpoints[permit.endpoint as usize].ceiling.per_key;
        let name = (permit.endpoint, key.clone());
        if limit.is_some_and(|limit| self.keys.taken(&name) >= limit) {
            return Err(Full::Key);
        }
        self.keys.take(name);
        permit.key = Some(key);
        Ok(())
    }

    /// The permit is from now on that of the hold `id`, so that the holds of a peer or key can be found.
    pub(crate) fn seat(&mut self, permit: &Permit, id: Id) {
        self.endpoint_peers.seat(&(permit.endpoint, permit.peer), id);
        self.peers.seat(&permit.peer, id);
        if let Some(key) = &permit.key {
            self.keys.seat(&(permit.endpoint, key.clone()), id);
        }
    }

    /// Gives back every place of a permit; `seated` is whose it was.
    pub(crate) fn give_back(&mut self, permit: Permit, seated: Option<Id>) {
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
            self.keys.give_back((endpoint, key), seated);
        }
    }

    /// The holds under a peer's or key's limit, oldest first; of no other limit.
    pub(crate) fn holders(
        &self,
        full: Full,
        endpoint: u32,
        peer: Peer,
        key: Option<&Arc<str>>,
    ) -> Holders<'_> {
        match (full, key) {
            (Full::Key, Some(key)) => self.keys.holders(&(endpoint, key.clone())),
            (Full::EndpointPeer, _) => self.endpoint_peers.holders(&(endpoint, peer)),
            (Full::Peer, _) => self.peers.holders(&peer),
            _ => Holders::default(),
        }
    }

    /// The holds with this key at all endpoints, oldest first.
    pub(crate) fn of_key(&self, key: &Arc<str>) -> Vec<Id> {
        let at = |endpoint: u32| self.keys.holders(&(endpoint, key.clone())).iter();
        let mut ids: Vec<Id> = (0..self.endpoints.len() as u32).flat_map(at).collect();
        ids.sort_unstable();
        ids
    }

    /// Lets a function run although there is no place, if not too many do: `false` if so.
    pub(crate) fn begin_admitting(&mut self, endpoint: u32) -> bool {
        let here = &mut self.endpoints[endpoint as usize];
        let bound = self.admitting.min(here.ceiling.holds.unwrap_or(usize::MAX)).min(self.server);
        let fits = here.admitting < bound;
        here.admitting += usize::from(fits);
        fits
    }

    pub(crate) fn end_admitting(&mut self, endpoint: u32) {
        self.endpoints[endpoint as usize].admitting -= 1;
    }

    /// How many places are taken of the server's.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// Nothing is taken of anything.
    #[cfg(test)]
    pub(crate) fn is_untouched(&self) -> bool {
        self.taken == 0
            && self.endpoints.iter().all(|here| here.taken == 0 && here.admitting == 0)
            && self.peers.is_empty()
            && self.endpoint_peers.is_empty()
            && self.keys.is_empty()
    }
}

impl Full {
    /// Whether the limit is one on a single peer or key, not on all.
    pub(crate) fn is_personal(self) -> bool {
        matches!(self, Full::Key | Full::EndpointPeer | Full::Peer)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn peer(last: u8) -> Peer {
        Peer::from(IpAddr::from([10, 0, 0, last]))
    }

    fn id(turn: u64, slot: u32) -> Id {
        Id::new(turn, slot)
    }

    fn limits() -> Limits {
        let ceiling = Ceiling { holds: Some(3), per_peer: Some(2), per_key: Some(1) };
        Limits::new(4, Some(3), vec![ceiling, Ceiling::default()])
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
        assert_eq!(limits.take_key(&mut second, "user".into()), Err(Full::Key));
        limits.take_key(&mut second, "other".into()).unwrap();
        limits.take_key(&mut third, "user".into()).unwrap();
        for permit in [first, second, third] {
            limits.give_back(permit, None);
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
            9,
            None,
            vec![Ceiling::default(), Ceiling { per_key: Some(9), ..Ceiling::default() }],
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
