//! A hold's pen in hand. However it was used, putting it down leaves the server's counts right.

use std::ops::{Deref, DerefMut};

use abeyance_core::mechanisms::send_buffer::Room;
use abeyance_core::sync::MutexGuard;
use abeyance_settings::terms::WhenSlow;

use super::hold::Hold;
use super::pen::Pen;

/// A hold's pen, locked.
///
/// What waits and what was dropped is compared when it is put down with what it was when it was taken up, so that no use
/// of a pen can forget to count. Where nothing changed, as when everything is written at once, no counter is touched.
pub(super) struct InHand<'a> {
    hold: &'a Hold,
    pen: MutexGuard<'a, Pen>,
    waiting: usize,
    dropped: u64,
}

impl<'a> InHand<'a> {
    pub(super) fn new(hold: &'a Hold, pen: MutexGuard<'a, Pen>) -> Self {
        InHand { hold, waiting: pen.waiting(), dropped: pen.dropped, pen }
    }

    /// Whether `more` bytes may wait within `bound`; if not, and if that is allowed and suffices, the oldest published
    /// messages go for it.
    pub(super) fn find_room(&mut self, more: usize, bound: usize, drops_oldest: bool) -> bool {
        match self.pen.send_buffer.room(more, bound) {
            Room::Yes => return true,
            Room::No if !drops_oldest => return false,
            // What is dropped is gone: never for what the kernel had some time ago.
            Room::No | Room::Look => {
                let share = self.pen.kernel_share();
                if self.pen.send_buffer.looked(share, more, bound) {
                    return true;
                }
            }
        }
        drops_oldest
            && self.pen.send_buffer.make_room(more, bound).map(|count| self.count_dropped(count)).is_some()
    }

    /// As [`find_room`](InHand::find_room), for what waits until the hold is open.
    pub(super) fn find_room_in_opening(&mut self, more: usize, bound: usize, drops_oldest: bool) -> bool {
        let Some(opening) = &mut self.pen.opening else { return false };
        match drops_oldest {
            true => opening.make_room(more, bound).map(|count| self.count_dropped(count)).is_some(),
            false => opening.cost() + more <= bound,
        }
    }

    /// Drops published messages, from the end that `rule` names, until that has freed `enough` or there are none.
    pub(super) fn drop_published(&mut self, rule: WhenSlow, enough: usize) {
        let count = match &mut self.pen.opening {
            Some(opening) => opening.drop_published(rule, enough),
            None => self.pen.send_buffer.drop_published(rule, enough),
        };
        self.count_dropped(count);
    }

    /// Gives up all that waits to be written but a piece that is half with the kernel: it is undelivered.
    pub(super) fn give_up_backlog(&mut self) {
        self.pen.undelivered += self.pen.send_buffer.give_up() as u32;
    }

    /// Gives up all that waits for the hold to open: it is undelivered.
    pub(super) fn give_up_opening(&mut self) {
        if let Some(opening) = &mut self.pen.opening {
            self.pen.undelivered += opening.give_up() as u32;
        }
    }

    fn count_dropped(&mut self, count: usize) {
        self.pen.dropped += count as u64;
    }
}

impl Deref for InHand<'_> {
    type Target = Pen;

    fn deref(&self) -> &Pen {
        &self.pen
    }
}

impl DerefMut for InHand<'_> {
    fn deref_mut(&mut self) -> &mut Pen {
        &mut self.pen
    }
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        let keeper = self.hold.keeper();
        keeper.memory.changed(self.waiting, self.pen.waiting());
        let dropped = self.pen.dropped - self.dropped;
        if dropped > 0 {
            keeper.count_dropped(self.hold.post.endpoint, dropped);
        }
    }
}
