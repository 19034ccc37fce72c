//! A locked outbox. Unlocking it updates the counts of the server.

use std::ops::{Deref, DerefMut};

use abeyance_core::mechanisms::send_buffer::Room;
use abeyance_core::sync::MutexGuard;
use abeyance_settings::endpoint::WhenSlow;

use super::hold_config::HoldConfig;
use super::outbox::Outbox;

/// A locked outbox.
///
/// When it is unlocked, what waits and what was dropped is compared with the values at the time of locking. So no use
/// of an outbox can forget to count. Where nothing changed, as when everything is written at once, no counter is
/// touched.
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

    /// Whether `more` bytes may wait within `bound`. If not, and if `drops_oldest` is set and suffices, the oldest
    /// published messages are dropped for them.
    pub(super) fn find_room(&mut self, more: usize, bound: usize, drops_oldest: bool) -> bool {
        match self.outbox.send_buffer.room(more, bound) {
            Room::Yes => return true,
            Room::No if !drops_oldest => return false,
            // Ask the kernel before anything is dropped: its share may have shrunk since it was last asked.
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
    pub(super) fn find_room_in_pending(&mut self, more: usize, bound: usize, drops_oldest: bool) -> bool {
        let Some(pending) = &mut self.outbox.pending else { return false };
        match drops_oldest {
            true => pending.make_room(more, bound).map(|count| self.count_dropped(count)).is_some(),
            false => pending.cost() + more <= bound,
        }
    }

    /// Drops published messages, from the end of the queue that `rule` names, until `enough` bytes are free or none is
    /// left.
    pub(super) fn drop_published(&mut self, rule: WhenSlow, enough: usize) {
        let count = match &mut self.outbox.pending {
            Some(pending) => pending.drop_published(rule, enough),
            None => self.outbox.send_buffer.drop_published(rule, enough),
        };
        self.count_dropped(count);
    }

    /// Gives up all that waits to be written, except a piece that is partly written, and counts it as undelivered.
    pub(super) fn give_up_queued(&mut self) {
        self.outbox.undelivered += self.outbox.send_buffer.give_up() as u32;
    }

    /// Gives up all that waits until the hold is open, and counts it as undelivered.
    pub(super) fn give_up_pending(&mut self) {
        if let Some(pending) = &mut self.outbox.pending {
            self.outbox.undelivered += pending.give_up() as u32;
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
        keeper.budget.changed(self.waiting, self.outbox.waiting());
        let dropped = self.outbox.dropped - self.dropped;
        if dropped > 0 {
            keeper.count_dropped(self.config.endpoint, dropped);
        }
    }
}

/// Wakes the hold's own task. The outbox is unlocked first, because a waker is user code.
pub(super) fn wake(outbox: OutboxGuard<'_>) {
    let waker = outbox.waker();
    drop(outbox);
    if let Some(waker) = waker {
        waker.wake();
    }
}
