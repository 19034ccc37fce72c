//! When each hold's end begins in a drain: one after the other, so that those who come back do not come together.
//!
//! The window has as many slices as there are holds, and each end begins at a random moment of its own slice: as many in
//! every second, and no two servers in step. Who goes when is shuffled, for what belongs together came together (the
//! tabs of one user, the clients of one path, those that the last restart sent here) and would go together.

use std::time::Duration;

use fastrand::Rng;

use crate::words::hold_id::HoldId;

/// How long a hold may wait for the one before it. A crowd of fifty a second is none, so few holds do not wait long.
const PACE: Duration = Duration::from_millis(20);

/// Who is to go, and when: eight bytes for each, as long as the drain takes.
#[derive(Debug)]
pub struct DrainSchedule {
    /// Those whose turn has not come; the next one is the last.
    waiting: Vec<HoldId>,
    /// How many there were.
    count: usize,
    window: Duration,
    /// When the next one's turn comes.
    next: Duration,
    random: Rng,
}

/// Over which time the ends of so many holds begin.
///
/// The last one must have the time for its ending before the drain is over: all that it may take, or a quarter of a
/// short drain.
fn window(holds: usize, drain: Duration, close_timeout: Duration) -> Duration {
    let manners = close_timeout.min(drain / 4);
    (drain - manners).min(PACE * u32::try_from(holds).unwrap_or(u32::MAX))
}

impl DrainSchedule {
    /// All of these go within `drain`, of which an ending may take `close_timeout`.
    pub fn plan(mut holds: Vec<HoldId>, drain: Duration, close_timeout: Duration, mut random: Rng) -> Self {
        random.shuffle(&mut holds);
        let window = window(holds.len(), drain, close_timeout);
        let mut departures =
            DrainSchedule { count: holds.len(), waiting: holds, window, next: Duration::ZERO, random };
        departures.draw_next();
        departures
    }

    /// Within which time all begin.
    pub fn window(&self) -> Duration {
        self.window
    }

    /// When the next one's turn comes, since the beginning; `None` when all have had theirs.
    pub fn next(&self) -> Option<Duration> {
        (!self.waiting.is_empty()).then_some(self.next)
    }

    /// Those whose turn has come when so much time has passed since the beginning, but `most` at most.
    pub fn take_due(&mut self, passed: Duration, most: usize) -> Vec<HoldId> {
        let mut due = Vec::new();
        while due.len() < most
            && self.next <= passed
            && let Some(id) = self.waiting.pop()
        {
            due.push(id);
            self.draw_next();
        }
        due
    }

    fn draw_next(&mut self) {
        let slice = (self.count - self.waiting.len()) as f64 + self.random.f64();
        self.next = self.window.mul_f64(slice / self.count.max(1) as f64);
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ids(count: usize) -> Vec<HoldId> {
        (0..count as u32).map(|slot| HoldId::new(1, slot)).collect()
    }

    fn plan(count: usize, drain: Duration, seed: u64) -> DrainSchedule {
        DrainSchedule::plan(ids(count), drain, 5 * SECOND, Rng::with_seed(seed))
    }

    /// Who goes when.
    fn course(mut departures: DrainSchedule) -> Vec<(Duration, HoldId)> {
        let mut course = Vec::new();
        while let Some(next) = departures.next() {
            course.extend(departures.take_due(next, 1).into_iter().map(|id| (next, id)));
        }
        course
    }

    #[test]
    fn as_many_go_in_every_second() {
        let course = course(plan(10_000, 30 * SECOND, 1));
        for second in 0..25 {
            let within = second * SECOND..(second + 1) * SECOND;
            assert_eq!(course.iter().filter(|(at, _)| within.contains(at)).count(), 400, "{within:?}");
        }
    }

    #[test]
    fn two_servers_do_not_march_in_step() {
        let (one, two) = (course(plan(1_000, 30 * SECOND, 1)), course(plan(1_000, 30 * SECOND, 2)));
        let slice = 20.0;
        let phase = |(at, _): &(Duration, HoldId)| at.as_secs_f64() * 1_000.0 % slice / slice;
        for course in [&one, &two] {
            let early = course.iter().filter(|entry| phase(entry) < 0.5).count();
            assert!((400..600).contains(&early), "{early} of 1000 in the first half of their slice");
        }
        assert!(one.iter().zip(&two).all(|((one, _), (two, _))| one != two));
        assert!(one.iter().zip(&two).filter(|((_, one), (_, two))| one == two).count() < 20);
    }

    #[test]
    fn those_that_came_together_do_not_go_together() {
        let course = course(plan(1_000, 30 * SECOND, 1));
        // Of the first half to go, about half are of those that came first.
        let first = course[..500].iter().filter(|(_, id)| id.slot() < 500).count();
        assert!((200..300).contains(&first), "{first}");
    }

    #[test]
    fn few_do_not_wait_and_the_last_has_time_for_its_ending() {
        for (count, drain, millis) in [
            (0, 30_000, 0),
            (3, 30_000, 60),
            (300, 30_000, 6_000),
            (10_000, 30_000, 25_000),
            (10_000, 10_000, 7_500),
            (10_000, 0, 0),
            (usize::MAX, 3_600_000, 3_595_000),
        ] {
            let window = window(count, Duration::from_millis(drain), 5 * SECOND);
            assert_eq!(window.as_millis(), millis, "{count} within {drain} ms");
        }
    }

    #[test]
    fn of_those_that_are_overdue_no_more_are_taken_at_once_than_wanted() {
        let mut departures = plan(100, 30 * SECOND, 1);
        assert_eq!(departures.take_due(SECOND, 64).len(), 50);
        assert_eq!(departures.take_due(10 * SECOND, 32).len(), 32);
        assert_eq!(departures.take_due(10 * SECOND, 32).len(), 18);
        assert_eq!((departures.next(), departures.take_due(60 * SECOND, 32).len()), (None, 0));
    }

    proptest! {
        #[test]
        fn everybody_goes_once_and_within_the_window(count in 0usize..2_000, drain in 0u64..60_000, seed: u64) {
            let departures = plan(count, Duration::from_millis(drain), seed);
            let window = departures.window();
            let course = course(departures);
            prop_assert!(course.iter().all(|(at, _)| *at <= window));
            prop_assert!(course.is_sorted_by_key(|(at, _)| *at));
            let mut gone: Vec<_> = course.into_iter().map(|(_, id)| id).collect();
            gone.sort();
            prop_assert_eq!(gone, ids(count));
        }
    }
}
