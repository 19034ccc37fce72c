//! A hold's pen in hand. However it was used, putting it down leaves the server's counts right.

use std::ops::{Deref, DerefMut};

use abeyance_core::mechanisms::send_buffer::Room;
use abeyance_core::sync::MutexGuard;
use abeyance_settings::endpoint::WhenSlow;

use super::hold_config::HoldConfig;
use super::outbox::Outbox;

/// A hold's pen, locked.
///
/// What waits and what was dropped is compared when it is put down with what it was when it was taken up, so that no use
/// of a pen can forget to count. Where nothing changed, as when everything is written at once, no counter is touched.
pub(super) struct OutboxGuard<'a> {
    config: &'a HoldConfig,
    outbox: MutexGuard<'a, Outbox>,
    waiting: usize,
    dropped: u64,
}

impl<'a> OutboxGuard<'a> {
    pub(super) fn new(config: &'a HoldConfig, outbox: MutexGuard<'a, Outbox>) -> Self {
        OutboxGuard { config, waiting: outbox.waiting(), dropped: outbox.dropped, outbox }
    }

    /// Whether `more` bytes may wait within `bound`; if not, and if that is allowed and suffices, the oldest published
    /// messages go for it.
    pub(super) fn find_room(&mut self, more: usize, bound: usize, drops_oldest: bool) -> bool {
        match self.outbox.send_buffer.room(more, bound) {
            Room::Yes => return true,
            Room::No if !drops_oldest => return false,
            // What is dropped is gone: never for what the kernel had some time ago.
            Room::No | Room::Look => {
                let share = self.outbox.kernel_share();
                if self.outbox.send_buffer.looked(share, more, bound) {
                    return true;
                }
            }
        }
        drops_oldest
            && self.outbox.send_buffer.make_room(more, bound).map(|count| self.count_dropped(count)).is_some()
    }

    /// As [`find_room`](OutboxGuard::find_room), for what waits until the hold is open.
    pub(super) fn find_room_in_opening(&mut self, more: usize, bound: usize, drops_oldest: bool) -> bool {
        let Some(opening) = &mut self.outbox.opening else { return false };
        match drops_oldest {
            true => opening.make_room(more, bound).map(|count| self.count_dropped(count)).is_some(),
            false => opening.cost() + more <= bound,
        }
    }

    /// Drops published messages, from the end that `rule` names, until that has freed `enough` or there are none.
    pub(super) fn drop_published(&mut self, rule: WhenSlow, enough: usize) {
        let count = match &mut self.outbox.opening {
            Some(opening) => opening.drop_published(rule, enough),
            None => self.outbox.send_buffer.drop_published(rule, enough),
        };
        self.count_dropped(count);
    }

    /// Gives up all that waits to be written but a piece that is half with the kernel: it is undelivered.
    pub(super) fn give_up_backlog(&mut self) {
        self.outbox.undelivered += self.outbox.send_buffer.give_up() as u32;
    }

    /// Gives up all that waits for the hold to open: it is undelivered.
    pub(super) fn give_up_opening(&mut self) {
        if let Some(opening) = &mut self.outbox.opening {
            self.outbox.undelivered += opening.give_up() as u32;
        }
    }

    /// Unlocks, and then wakes the hold's own task: a waker may do anything.
    pub(super) fn wake(self) {
        let waker = self.outbox.waker.clone();
        drop(self);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn count_dropped(&mut self, count: usize) {
        self.outbox.dropped += count as u64;
    }
}

impl Deref for OutboxGuard<'_> {
    type Target = Outbox;

    fn deref(&self) -> &Outbox {
        &self.outbox
    }
}

impl DerefMut for OutboxGuard<'_> {
    fn deref_mut(&mut self) -> &mut Outbox {
        &mut self.outbox
    }
}

impl Drop for OutboxGuard<'_> {
    fn drop(&mut self) {
        let keeper = &self.config.keeper;
        keeper.memory.changed(self.waiting, self.outbox.waiting());
        let dropped = self.outbox.dropped - self.dropped;
        if dropped > 0 {
            keeper.count_dropped(self.config.endpoint, dropped);
        }
    }
}
