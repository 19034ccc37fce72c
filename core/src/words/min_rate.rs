//! The slowest pace of a peer that is there.
//!
//! A peer that sends or takes a byte now and then is never silent, and never done. So silence is not all that is measured:
//! the time that a peer has is used up by waiting, and bytes that move meanwhile give some of it back, at this rate.

use std::time::Duration;

/// At how many bytes a second no time is used up. A modem of 1990 moves more.
pub const SLOWEST: u64 = 512;

/// How much waiting so many bytes are worth.
pub const fn worth(bytes: usize) -> Duration {
    Duration::from_millis((bytes as u64).saturating_mul(1000) / SLOWEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_worth_some_time_and_no_number_of_them_too_much() {
        assert_eq!(worth(0), Duration::ZERO);
        assert_eq!(worth(1), Duration::from_millis(1));
        assert_eq!(worth(512), Duration::from_secs(1));
        assert!(worth(usize::MAX) > Duration::from_secs(1 << 40));
    }
}
