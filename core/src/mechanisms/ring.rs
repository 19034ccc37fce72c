//! The last so many of something, in memory that is taken once.

/// Keeps the newest, and lets the oldest go for it.
#[derive(Debug)]
pub struct Ring<T> {
    capacity: usize,
    /// Empty until the first comes, whole from then on.
    slots: Vec<T>,
    /// Where the next one goes.
    next: usize,
    /// How many of the slots say something.
    count: usize,
}

impl<T: Copy> Ring<T> {
    pub const fn new(capacity: usize) -> Self {
        Ring { capacity, slots: Vec::new(), next: 0, count: 0 }
    }

    pub fn push(&mut self, item: T) {
        if self.capacity == 0 {
            return;
        }
        if self.slots.is_empty() {
            // Written to the end, so that the memory is resident now and does not seem to leak later.
            self.slots = vec![item; self.capacity];
        }
        self.slots[self.next] = item;
        self.next = (self.next + 1) % self.capacity;
        self.count = self.capacity.min(self.count + 1);
    }

    pub fn len(&self) -> usize {
        self.count
    }

    /// Appends all that it has to `list`, the oldest first.
    pub fn copy_to(&self, list: &mut Vec<T>) {
        let (newer, older) = self.slots.split_at(self.next);
        // Until it is full, nothing is older than the first slot.
        if self.count == self.capacity {
            list.extend_from_slice(older);
        }
        list.extend_from_slice(newer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(ring: &Ring<u32>) -> Vec<u32> {
        let mut list = Vec::new();
        ring.copy_to(&mut list);
        assert_eq!(list.len(), ring.len());
        list
    }

    #[test]
    fn the_newest_are_kept_in_order() {
        for capacity in 0..5 {
            let mut ring = Ring::new(capacity);
            assert!(all(&ring).is_empty());
            for item in 0..13 {
                ring.push(item);
                let first = (item as usize + 1).saturating_sub(capacity) as u32;
                assert_eq!(all(&ring), (first..=item).collect::<Vec<_>>(), "capacity {capacity}");
            }
        }
    }

    #[test]
    fn memory_is_taken_once() {
        let mut ring = Ring::new(100);
        assert_eq!(ring.slots.capacity(), 0, "it is not needed yet");
        ring.push(0);
        let (place, capacity) = (ring.slots.as_ptr(), ring.slots.capacity());
        (1..1_000).for_each(|item| ring.push(item));
        assert_eq!((ring.slots.as_ptr(), ring.slots.capacity()), (place, capacity));
        assert_eq!(capacity, 100);
    }
}
