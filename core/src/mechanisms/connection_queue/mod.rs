//! The connections that are not held: which of them wait for their own peer, which has waited longest, and how many are
//! one peer's.
//!
//! A connection waits for its own peer when nothing can happen before the peer does something: it has not sent a whole
//! head, it rests between two requests, the body that is being read does not come, the peer does not take the answer, or
//! it has had our last word. Such a connection takes up a place and does nothing with it. Where places are short, the one
//! that has waited longest is asked to leave.
//!
//! The server has two queues: in one the places are connections, in the other HTTP parsers.

mod buckets;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::words::peer::Peer;

use buckets::Buckets;

/// All connections that are not held; `T` is how one of them is asked to leave.
#[derive(Debug)]
pub struct ConnectionQueue<T> {
    /// How many there may be of one peer.
    most: usize,
    buckets: Option<Buckets>,
    /// How often a connection began to wait.
    turns: u64,
    /// Who waits, by turn, so longest first.
    waiting: BTreeMap<Turn, (Option<Peer>, T)>,
    /// The same for each peer. One set for all: a list in each would cost every peer an allocation.
    waiting_of: BTreeSet<(Peer, Turn)>,
    /// How many there are of each peer. A connection that was asked to leave does not count any more.
    here: HashMap<Peer, usize>,
}

/// A place in the queue: the moment from which it counts as waiting, and a number, as several may have one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn(Duration, u64);

/// One connection in the queue. Not `Clone`, so that it leaves once.
#[derive(Debug)]
#[must_use = "a ticket that is dropped is never counted out"]
pub struct Ticket {
    /// `None` is not counted.
    peer: Option<Peer>,
    /// Since when it waits, if it does.
    turn: Option<Turn>,
    /// Where it was in the queue before something came; it may wait on there.
    last: Option<Turn>,
}

/// Why a newcomer is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Its peer has as many as it may, and each of them is being answered.
    TooMany,
    /// Its peer comes too often.
    TooOften,
}

impl<T> ConnectionQueue<T> {
    /// `most` bounds the connections of one peer, `per_second` how many new ones it may open.
    pub fn new(most: usize, per_second: Option<usize>) -> Self {
        ConnectionQueue {
            most,
            buckets: per_second.map(Buckets::new),
            turns: 0,
            waiting: BTreeMap::new(),
            waiting_of: BTreeSet::new(),
            here: HashMap::new(),
        }
    }

    /// A newcomer; `None` is one that is not counted. Where its peer has too many, another of the same peer's is to
    /// leave, and is given as well. `now` is the time since whenever.
    pub fn enter(&mut self, peer: Option<Peer>, now: Duration) -> Result<(Ticket, Option<T>), Refused> {
        let Some(peer) = peer else { return Ok((Ticket::new(None), None)) };
        let instead = match self.here.get(&peer) {
            Some(count) if *count >= self.most => Some(self.longest_of(peer, now).ok_or(Refused::TooMany)?),
            _ => None,
        };
        if self.buckets.as_mut().is_some_and(|buckets| !buckets.admits(peer, now)) {
            return Err(Refused::TooOften);
        }
        let instead = instead.and_then(|turn| self.ask(turn));
        Ok((self.come_back(Some(peer)), instead))
    }

    /// A connection that was held and is so no longer. It is counted, but it is no newcomer to be refused.
    pub fn come_back(&mut self, peer: Option<Peer>) -> Ticket {
        self.count(peer);
        Ticket::new(peer)
    }

    /// The one that was to leave for a newcomer of this peer has stayed. Where the peer has too many now, another of its
    /// own is to leave.
    ///
    /// # Errors
    /// It has too many, and each of them is being answered.
    pub fn another(&mut self, peer: Option<Peer>, now: Duration) -> Result<Option<T>, Refused> {
        let Some(peer) = peer else { return Ok(None) };
        if self.here.get(&peer).is_none_or(|count| *count <= self.most) {
            return Ok(None);
        }
        let turn = self.longest_of(peer, now).ok_or(Refused::TooMany)?;
        Ok(self.ask(turn))
    }

    /// It waits, and counts as waiting from the moment `from` on, which may be a later one.
    pub fn wait(&mut self, ticket: &mut Ticket, from: Duration, ask: T) {
        if ticket.turn.is_none() {
            self.turns += 1;
            self.insert(ticket, Turn(from, self.turns), ask);
        }
    }

    /// It waits on after a [`pause`](ConnectionQueue::pause): where it was in the queue, as if nothing had come meanwhile.
    pub fn wait_on(&mut self, ticket: &mut Ticket, from: Duration, ask: T) {
        match ticket.last {
            Some(turn) if ticket.turn.is_none() => self.insert(ticket, turn, ask),
            _ => self.wait(ticket, from, ask),
        }
    }

    fn insert(&mut self, ticket: &mut Ticket, turn: Turn, ask: T) {
        ticket.turn = Some(turn);
        ticket.last = Some(turn);
        self.waiting.insert(turn, (ticket.peer, ask));
        if let Some(peer) = ticket.peer {
            self.waiting_of.insert((peer, turn));
        }
    }

    /// All that it waited for has come; `false` if it was asked to leave before that, and [stays](ConnectionQueue::stay).
    pub fn begin(&mut self, ticket: &mut Ticket) -> bool {
        ticket.last = None;
        self.stay(ticket)
    }

    /// It does not wait for its peer, for now. If it was asked to leave before that was known (`false`), it stays all the
    /// same and is counted again: the newcomer has to ask another.
    pub fn stay(&mut self, ticket: &mut Ticket) -> bool {
        let waited = self.pause(ticket);
        if !waited {
            ticket.turn = None;
            self.count(ticket.peer);
        }
        waited
    }

    /// Something came of what it waits for, which need not be all; `false` if it was asked to leave before that.
    pub fn pause(&mut self, ticket: &mut Ticket) -> bool {
        let Some(turn) = ticket.turn else { return true };
        let waited = self.forget(turn);
        if waited {
            ticket.turn = None;
        }
        waited
    }

    /// Who has waited longest, to be asked to leave.
    pub fn longest(&mut self, now: Duration) -> Option<T> {
        let turn = *self.waiting.first_key_value()?.0;
        // Those behind it wait from a later moment on.
        if turn.0 > now { None } else { self.ask(turn) }
    }

    /// It is held now, or gone.
    pub fn leave(&mut self, ticket: Ticket) {
        let was_asked = ticket.turn.is_some_and(|turn| !self.forget(turn));
        if !was_asked {
            self.discount(ticket.peer);
        }
    }

    fn longest_of(&self, peer: Peer, now: Duration) -> Option<Turn> {
        let (first, last) = (Turn(Duration::ZERO, 0), Turn(now, u64::MAX));
        self.waiting_of.range((peer, first)..=(peer, last)).next().map(|(_, turn)| *turn)
    }

    fn ask(&mut self, turn: Turn) -> Option<T> {
        let (peer, ask) = self.waiting.remove(&turn)?;
        if let Some(peer) = peer {
            self.waiting_of.remove(&(peer, turn));
        }
        self.discount(peer);
        Some(ask)
    }

    fn forget(&mut self, turn: Turn) -> bool {
        let Some((peer, _)) = self.waiting.remove(&turn) else { return false };
        if let Some(peer) = peer {
            self.waiting_of.remove(&(peer, turn));
        }
        true
    }

    fn count(&mut self, peer: Option<Peer>) {
        if let Some(peer) = peer {
            *self.here.entry(peer).or_default() += 1;
        }
    }

    fn discount(&mut self, peer: Option<Peer>) {
        let Some(peer) = peer else { return };
        let Some(count) = self.here.get_mut(&peer) else { return };
        *count -= 1;
        if *count == 0 {
            self.here.remove(&peer);
            if self.here.capacity() > 64 && self.here.len() < self.here.capacity() / 8 {
                self.here.shrink_to_fit();
            }
        }
    }
}

impl Ticket {
    fn new(peer: Option<Peer>) -> Self {
        Ticket { peer, turn: None, last: None }
    }

    /// As whose it is counted, if it is.
    pub fn peer(&self) -> Option<Peer> {
        self.peer
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn peer(last: u8) -> Option<Peer> {
        Some(Peer::from(IpAddr::from([10, 0, 0, last])))
    }

    /// Lets one in, and has it wait under this name.
    fn come(queue: &mut ConnectionQueue<u32>, of: Option<Peer>, name: u32) -> (Ticket, Option<u32>) {
        let (mut ticket, instead) = queue.enter(of, NOW).unwrap();
        queue.wait(&mut ticket, NOW, name);
        (ticket, instead)
    }

    fn is_untouched(queue: &ConnectionQueue<u32>) -> bool {
        queue.waiting.is_empty() && queue.waiting_of.is_empty() && queue.here.is_empty()
    }

    #[test]
    fn who_has_waited_longest_leaves_first_and_who_is_answered_does_not() {
        let mut queue = ConnectionQueue::new(usize::MAX, None);
        let mut tickets: Vec<_> = (0..4).map(|name| come(&mut queue, peer(name as u8), name).0).collect();
        assert!(queue.begin(&mut tickets[0]));
        assert!(queue.begin(&mut tickets[1]));
        // It rests, behind the others now.
        queue.wait(&mut tickets[0], NOW, 0);
        queue.wait(&mut tickets[0], NOW, 9);
        let asked: Vec<_> = std::iter::from_fn(|| queue.longest(NOW)).collect();
        assert_eq!(asked, [2, 3, 0]);
        assert!(!queue.pause(&mut tickets[2]), "it was asked to leave");
        assert!(!queue.pause(&mut tickets[2]), "a part of what it waits for changes nothing");
        tickets.into_iter().for_each(|ticket| queue.leave(ticket));
        assert!(is_untouched(&queue));
    }

    #[test]
    fn who_waits_on_is_as_old_as_before_and_who_waits_anew_is_the_youngest() {
        let mut queue = ConnectionQueue::new(usize::MAX, None);
        let mut tickets: Vec<_> = (0..3).map(|name| come(&mut queue, peer(name as u8), name).0).collect();
        // A byte of each came.
        assert!(queue.pause(&mut tickets[0]) && queue.pause(&mut tickets[1]));
        queue.wait(&mut tickets[1], NOW, 1);
        queue.wait_on(&mut tickets[0], NOW, 0);
        queue.wait_on(&mut tickets[0], NOW, 9);
        let mut first = queue.enter(peer(3), NOW).unwrap().0;
        queue.wait_on(&mut first, NOW, 3);
        tickets.push(first);
        let asked: Vec<_> = std::iter::from_fn(|| queue.longest(NOW)).collect();
        assert_eq!(asked, [0, 2, 1, 3]);
        // Once asked, it is not asked again.
        queue.wait_on(&mut tickets[0], NOW, 0);
        assert!(!queue.pause(&mut tickets[0]) && queue.longest(NOW).is_none());
        tickets.into_iter().for_each(|ticket| queue.leave(ticket));
        assert!(is_untouched(&queue));
    }

    #[test]
    fn who_has_begun_does_not_wait_on_where_it_was() {
        let mut queue = ConnectionQueue::new(usize::MAX, None);
        let mut tickets: Vec<_> = (0..2).map(|name| come(&mut queue, peer(1), name).0).collect();
        assert!(queue.begin(&mut tickets[0]));
        queue.wait_on(&mut tickets[0], NOW, 0);
        assert_eq!((queue.longest(NOW), queue.longest(NOW)), (Some(1), Some(0)));
        tickets.into_iter().for_each(|ticket| queue.leave(ticket));
        assert!(is_untouched(&queue));
    }

    #[test]
    fn who_was_asked_and_has_all_it_waited_for_stays_and_another_is_asked() {
        let mut queue = ConnectionQueue::new(2, None);
        let mut first = come(&mut queue, peer(1), 1).0;
        let second = come(&mut queue, peer(1), 2).0;
        let (third, instead) = queue.enter(peer(1), NOW).unwrap();
        assert_eq!(instead, Some(1));
        assert!(!queue.begin(&mut first), "it was asked");
        assert!(queue.begin(&mut first), "and is so no longer");
        assert_eq!(queue.another(peer(1), NOW), Ok(Some(2)));
        assert_eq!(queue.another(peer(1), NOW), Ok(None), "enough have left");
        // It counts: with it and the third there is no room for more.
        assert_eq!(queue.enter(peer(1), NOW).unwrap_err(), Refused::TooMany);
        queue.wait(&mut first, NOW, 1);
        let (fourth, instead) = queue.enter(peer(1), NOW).unwrap();
        assert_eq!(instead, Some(1));
        assert!(!queue.stay(&mut first));
        assert_eq!(queue.another(peer(1), NOW), Err(Refused::TooMany));
        assert_eq!(queue.another(None, NOW), Ok(None));
        for ticket in [first, second, third, fourth] {
            queue.leave(ticket);
        }
        assert!(is_untouched(&queue));
    }

    #[test]
    fn who_stays_before_all_has_come_waits_on_where_it_was() {
        let mut queue = ConnectionQueue::new(usize::MAX, None);
        let mut tickets: Vec<_> = (0..2).map(|name| come(&mut queue, peer(1), name).0).collect();
        assert_eq!(queue.longest(NOW), Some(0));
        assert!(!queue.stay(&mut tickets[0]));
        queue.wait_on(&mut tickets[0], NOW, 0);
        assert_eq!((queue.longest(NOW), queue.longest(NOW)), (Some(0), Some(1)));
        tickets.into_iter().for_each(|ticket| queue.leave(ticket));
        assert!(is_untouched(&queue));
    }

    #[test]
    fn who_has_earned_a_while_is_not_asked_before_it_is_over() {
        let mut queue = ConnectionQueue::new(2, None);
        let mut tickets = vec![queue.enter(peer(1), NOW).unwrap().0, queue.enter(peer(1), NOW).unwrap().0];
        let later = Duration::from_secs(1);
        tickets.iter_mut().zip(0..).for_each(|(ticket, name)| queue.wait(ticket, later, name));
        assert_eq!(queue.longest(NOW), None);
        assert_eq!(queue.enter(peer(1), NOW).unwrap_err(), Refused::TooMany);
        // Who comes after it and has earned nothing goes before it.
        tickets.push(come(&mut queue, peer(2), 9).0);
        assert_eq!(queue.longest(NOW), Some(9));
        let (ticket, instead) = queue.enter(peer(1), later).unwrap();
        tickets.push(ticket);
        assert_eq!((instead, queue.longest(later)), (Some(0), Some(1)));
        tickets.into_iter().for_each(|ticket| queue.leave(ticket));
        assert!(is_untouched(&queue));
    }

    #[test]
    fn a_peer_with_too_many_loses_its_own_longest_and_no_other_peer_loses_any() {
        let mut queue = ConnectionQueue::new(2, None);
        let other = come(&mut queue, peer(9), 9).0;
        let first = come(&mut queue, peer(1), 1).0;
        let second = come(&mut queue, peer(1), 2).0;
        let (third, instead) = come(&mut queue, peer(1), 3);
        assert_eq!(instead, Some(1));
        let (fourth, instead) = come(&mut queue, peer(1), 4);
        assert_eq!(instead, Some(2), "a connection that was asked does not count any more");
        for ticket in [first, second, third, fourth, other] {
            queue.leave(ticket);
        }
        assert!(is_untouched(&queue));
    }

    #[test]
    fn a_peer_whose_connections_are_all_answered_gets_no_more() {
        let mut queue = ConnectionQueue::new(2, None);
        let mut tickets: Vec<_> = (0..2).map(|name| come(&mut queue, peer(1), name).0).collect();
        tickets.iter_mut().for_each(|ticket| assert!(queue.begin(ticket)));
        assert_eq!(queue.enter(peer(1), NOW).unwrap_err(), Refused::TooMany);
        // One comes back from a hold: it is not refused, but counts.
        tickets.push(queue.come_back(peer(1)));
        queue.leave(tickets.remove(0));
        assert_eq!(queue.enter(peer(1), NOW).unwrap_err(), Refused::TooMany);
        queue.leave(tickets.remove(0));
        tickets.push(queue.enter(peer(1), NOW).unwrap().0);
        // Who is not counted is let in, and waits like everybody else.
        let (uncounted, instead) = come(&mut queue, None, 7);
        assert_eq!((instead, queue.longest(NOW)), (None, Some(7)));
        tickets.push(uncounted);
        tickets.into_iter().for_each(|ticket| queue.leave(ticket));
        assert!(is_untouched(&queue));
    }

    #[test]
    fn a_peer_that_comes_too_often_costs_no_other_a_place() {
        let mut queue = ConnectionQueue::new(1, Some(1));
        let ticket = come(&mut queue, peer(1), 1).0;
        assert_eq!(queue.enter(peer(1), NOW).unwrap_err(), Refused::TooOften);
        assert_eq!(queue.waiting.len(), 1);
        queue.leave(ticket);
        assert!(is_untouched(&queue));
    }

    #[test]
    fn peers_that_left_leave_no_memory() {
        let mut queue = ConnectionQueue::new(9, None);
        let address = |host: u32| Some(Peer::from(IpAddr::from(host.to_be_bytes())));
        let tickets: Vec<_> = (0..10_000).map(|host| come(&mut queue, address(host), 0).0).collect();
        tickets.into_iter().for_each(|ticket| queue.leave(ticket));
        assert!(is_untouched(&queue) && queue.here.capacity() <= 64);
    }
}
