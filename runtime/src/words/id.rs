//! The name of one hold, unique while the process lives.

use std::fmt;

/// The id of a hold: never used twice while the server lives.
///
/// It is a name, not a secret: a client proves that a hold is its own with the token of the `Abeyance-Hold` header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(u64);

impl Id {
    /// How many bits say the slot; the rest say the turn, which makes ids unique although slots are used again.
    const SLOT_BITS: u32 = 24;

    pub(crate) const MAX_SLOTS: usize = 1 << Self::SLOT_BITS;

    /// Not after any other: ids are in the order in which holds began.
    pub(crate) const FIRST: Id = Id(0);

    pub(crate) const fn new(turn: u64, slot: u32) -> Self {
        Id(turn << Self::SLOT_BITS | slot as u64)
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Id(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    pub(crate) const fn slot(self) -> u32 {
        (self.0 & (Self::MAX_SLOTS as u64 - 1)) as u32
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}
