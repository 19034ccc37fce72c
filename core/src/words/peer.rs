//! Whom a bound on one peer counts as one.

use std::net::IpAddr;
use std::num::NonZeroU64;

/// Whom a per-peer limit counts as one: an IPv4 address, or an IPv6 network of 64 bits (one host can use any address in it).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Peer(NonZeroU64);

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        let bits = match address.to_canonical() {
            // `::ffff:a.b.c.d` says the same, and its upper half is no network of anybody's.
            IpAddr::V4(v4) => 0xffff_0000_0000 | u64::from(v4.to_bits()),
            IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64,
        };
        Peer(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MIN))
    }
}

impl Peer {
    /// Whether it is this machine, which is where most proxies are.
    pub fn is_loopback(self) -> bool {
        const V4: u64 = 0xffff_7f00_0000;
        self.0.get() & 0xffff_ffff_ff00_0000 == V4 || self.0 == NonZeroU64::MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_are_one_peer() {
        let parse = |text: &str| Peer::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::ffff"));
        assert_ne!(parse("2001:db8::1"), parse("2001:db8:0:1::1"));
        assert_eq!(parse("::ffff:10.0.0.1"), parse("10.0.0.1"));
        assert_ne!(parse("10.0.0.1"), parse("10.0.0.2"));
        assert!(
            parse("127.0.0.1").is_loopback()
                && parse("127.9.9.9").is_loopback()
                && parse("::1").is_loopback()
        );
        assert!(!parse("126.0.0.1").is_loopback() && !parse("2001:db8::1").is_loopback());
    }
}
