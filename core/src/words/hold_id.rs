//! The name of one hold, unique while the process lives.

use std::fmt;
use std::str::FromStr;

/// The id of a hold: never used twice while the server lives.
///
/// It is a name, not a secret: a client proves that a hold is its own with the token of the `Abeyance-Hold` header.
///
/// Its text, and what serde makes of it, can be read back:
///
/// ```
/// # use abeyance::HoldId;
/// let id: HoldId = "2a000001".parse()?;
/// assert_eq!(id.to_string(), "2a000001");
/// # Ok::<_, abeyance::ParseHoldIdError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HoldId(u64);

impl HoldId {
    /// How many bits say the slot; the rest say the turn, which makes ids unique although slots are used again.
    const SLOT_BITS: u32 = 24;

    pub const MAX_SLOTS: usize = 1 << Self::SLOT_BITS;

    /// Not after any other: ids are in the order in which holds began.
    pub const FIRST: HoldId = HoldId(0);

    pub const fn new(turn: u64, slot: u32) -> Self {
        HoldId(turn << Self::SLOT_BITS | slot as u64)
    }

    pub const fn from_bits(bits: u64) -> Self {
        HoldId(bits)
    }

    pub const fn bits(self) -> u64 {
        self.0
    }

    pub const fn slot(self) -> u32 {
        (self.0 & (Self::MAX_SLOTS as u64 - 1)) as u32
    }
}

/// A text that is no [`HoldId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseHoldIdError;

impl FromStr for HoldId {
    type Err = ParseHoldIdError;

    /// Reads what `Display` writes, and nothing else: one id has one text.
    fn from_str(text: &str) -> Result<Self, ParseHoldIdError> {
        let id = u64::from_str_radix(text, 16).map(HoldId).map_err(|_| ParseHoldIdError)?;
        if id.to_string() == text { Ok(id) } else { Err(ParseHoldIdError) }
    }
}

impl fmt::Display for ParseHoldIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the id of a hold, which is a hexadecimal number such as `2a000001`")
    }
}

impl std::error::Error for ParseHoldIdError {}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Debug for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HoldId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_can_be_read_back_from_its_text_and_from_json() {
        for id in [HoldId::FIRST, HoldId::new(1, 0), HoldId::new(42, 7), HoldId::from_bits(u64::MAX)] {
            assert_eq!(id.to_string().parse(), Ok(id));
            let json = serde_json::to_string(&id).expect("text");
            assert_eq!(serde_json::from_str::<HoldId>(&json).expect("an id"), id);
            assert_eq!(serde_json::from_value::<HoldId>(json.trim_matches('"').into()).expect("an id"), id);
        }
    }

    #[test]
    fn what_is_no_text_of_an_id_is_none() {
        for text in ["", "0x2a", "2A", "02a", "+2a", "-1", " 2a", "2a ", "g", "10000000000000000"] {
            assert_eq!(text.parse::<HoldId>(), Err(ParseHoldIdError), "{text:?}");
        }
        assert!(serde_json::from_str::<HoldId>("\"x\"").is_err());
        assert!(serde_json::from_str::<HoldId>("42").is_err());
    }
}
