//! Which holds to look at now: one column of ticks, swept whole.
//!
//! A wheel would look at fewer entries, but a sweep of a million takes about a millisecond, needs no node a hold and
//! cannot be wrong about what is armed.

use crate::words::tick::Tick;

/// The next look at each hold, by its slot.
#[derive(Debug, Default)]
pub struct Deadlines {
    column: Vec<Tick>,
}

impl Deadlines {
    /// Looks at `slot` at `at`, no matter what was set before.
    pub fn set(&mut self, slot: u32, at: Tick) {
        let slot = slot as usize;
        if slot >= self.column.len() {
            self.column.resize(slot + 1, Tick::NEVER);
        }
        self.column[slot] = at;
    }

    /// Looks at `slot` at `at` if that is earlier than what is set.
    pub fn hasten(&mut self, slot: u32, at: Tick) {
        // A slot behind the end is one that was taken as due while `clear` shortened the column.
        let due = self.column.get(slot as usize).copied().unwrap_or(Tick::NEVER);
        self.set(slot, at.min(due));
    }

    /// Forgets `slot`, and gives back memory when the last slots are free and many.
    pub fn clear(&mut self, slot: u32) {
        self.set(slot, Tick::NEVER);
        if slot as usize + 1 == self.column.len() {
            let used = self.column.iter().rposition(|at| *at != Tick::NEVER).map_or(0, |last| last + 1);
            self.column.truncate(used);
            if self.column.capacity() > 64 && used < self.column.capacity() / 4 {
                self.column.shrink_to(used * 2);
            }
        }
    }

    /// Nothing is armed.
    pub fn is_empty(&self) -> bool {
        self.column.iter().all(|at| *at == Tick::NEVER)
    }

    /// The slots that are due; each is disarmed until it is set again.
    pub fn take_due(&mut self, now: Tick) -> Vec<u32> {
        let mut due = Vec::new();
        for (slot, at) in self.column.iter_mut().enumerate() {
            if *at <= now {
                *at = Tick::NEVER;
                due.push(slot as u32);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_due_slot_is_found_once() {
        let mut deadlines = Deadlines::default();
        deadlines.set(3, Tick(10));
        deadlines.set(1, Tick(20));
        assert!(deadlines.take_due(Tick(9)).is_empty());
        assert_eq!(deadlines.take_due(Tick(10)), [3]);
        assert_eq!(deadlines.take_due(Tick(20)), [1]);
        assert!(deadlines.take_due(Tick(1_000)).is_empty());
    }

    #[test]
    fn hastening_never_delays() {
        let mut deadlines = Deadlines::default();
        deadlines.set(0, Tick(10));
        deadlines.hasten(0, Tick(50));
        assert_eq!(deadlines.take_due(Tick(10)), [0]);
    }

    #[test]
    fn a_slot_taken_while_the_column_shrinks_is_set_again() {
        let mut deadlines = Deadlines::default();
        deadlines.set(0, Tick(10));
        deadlines.set(1, Tick(10));
        assert_eq!(deadlines.take_due(Tick(10)), [0, 1]);
        deadlines.clear(1);
        deadlines.hasten(0, Tick(20));
        assert_eq!(deadlines.take_due(Tick(20)), [0]);
    }

    #[test]
    fn cleared_slots_are_forgotten_and_their_memory_given_back() {
        let mut deadlines = Deadlines::default();
        for slot in 0..100_000 {
            deadlines.set(slot, Tick(5));
        }
        for slot in (0..100_000).rev() {
            deadlines.clear(slot);
        }
        assert!(deadlines.take_due(Tick(u64::MAX - 1)).is_empty());
        assert!(deadlines.column.capacity() <= 64);
    }
}
