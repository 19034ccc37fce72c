//! How often each peer may come: a bucket for each, which holds a second's worth and is refilled steadily.

use std::collections::HashMap;
use std::time::Duration;

use crate::words::peer::Peer;

/// How many entries are looked through at once at least; below that there is nothing to win.
const FEW: usize = 1024;

/// The buckets of all peers. One that is full again is as good as none, so only those who came within the last
/// second need one.
#[derive(Debug)]
pub(super) struct Buckets {
    /// What one admission costs, in nanoseconds.
    cost: u64,
    /// What a bucket holds.
    room: u64,
    /// When each bucket will be full again.
    full_at: HashMap<Peer, u64>,
    /// At how many entries those of full buckets are forgotten: seldom enough to cost each newcomer next to nothing.
    crowded: usize,
}

impl Buckets {
    const SECOND: u64 = 1_000_000_000;

    pub(super) fn new(per_second: usize) -> Self {
        let cost = (Self::SECOND / (per_second as u64).clamp(1, Self::SECOND)).max(1);
        let room = cost.saturating_mul(per_second as u64);
        Buckets { cost, room, full_at: HashMap::new(), crowded: FEW }
    }

    /// Whether the peer may come now; counts it if so.
    pub(super) fn admits(&mut self, peer: Peer, now: Duration) -> bool {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let full_at = self.full_at.get(&peer).copied().unwrap_or_default().max(now);
        let after = full_at.saturating_add(self.cost);
        if after - now > self.room {
            return false;
        }
        self.full_at.insert(peer, after);
        if self.full_at.len() >= self.crowded {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.full_at.shrink_to(FEW);
            self.crowded = (self.full_at.len() * 2).max(FEW);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn peer(host: u32) -> Peer {
        Peer::from(IpAddr::from(host.to_be_bytes()))
    }

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_second_s_worth_may_come_at_once_and_the_rest_one_by_one() {
        let mut buckets = Buckets::new(10);
        let admitted = |buckets: &mut Buckets, now| (0..100).filter(|_| buckets.admits(peer(1), now)).count();
        assert_eq!(admitted(&mut buckets, millis(5)), 10);
        assert_eq!(admitted(&mut buckets, millis(104)), 0);
        assert_eq!(admitted(&mut buckets, millis(105)), 1);
        assert_eq!(admitted(&mut buckets, millis(405)), 3);
        assert!(buckets.admits(peer(2), millis(405)), "another is another");
        assert_eq!(admitted(&mut buckets, millis(60_000)), 10, "no more than a second's worth is saved up");
    }

    #[test]
    fn every_rate_can_be_said() {
        for per_second in [1, 7, 3_000_000, usize::MAX] {
            let mut buckets = Buckets::new(per_second);
            assert!(buckets.admits(peer(1), Duration::MAX), "{per_second}");
            let mut buckets = Buckets::new(per_second);
            let most = per_second.min(1000);
            assert_eq!((0..most).filter(|_| buckets.admits(peer(1), millis(1))).count(), most);
        }
    }

    #[test]
    fn peers_that_came_long_ago_are_forgotten() {
        let mut buckets = Buckets::new(5);
        for host in 0..100_000 {
            assert!(buckets.admits(peer(host), millis(host.into())));
        }
        // Ten a millisecond would be two thousand; of these each was alone.
        assert!(buckets.full_at.len() <= FEW && buckets.full_at.capacity() <= 4 * FEW);
    }
}
