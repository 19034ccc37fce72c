//! Whose request it is, behind proxies that we trust.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// The client of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// The peer's address, or the one its proxy named, then with port 0.
    pub address: SocketAddr,
    /// Whether the peer is a proxy that we trust.
    pub is_proxied: bool,
}

/// The last address of `X-Forwarded-For` that is not itself a trusted proxy: what stands left of it anybody can write.
pub fn of(peer: SocketAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Client {
    let trusts = |address: IpAddr| trusted.iter().any(|net| net.contains(&address.to_canonical()));
    if !trusts(peer.ip()) {
        return Client { address: peer, is_proxied: false };
    }
    let mut named = None;
    let values = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let chain: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    for hop in chain.into_iter().rev() {
        let Some(address) = parse(hop) else { break };
        named = Some(address);
        if !trusts(address) {
            break;
        }
    }
    let address = named.map_or(peer, |address| SocketAddr::new(address, 0));
    Client { address, is_proxied: true }
}

/// An address as proxies write it: bare, with a port, or an IPv6 address in brackets.
fn parse(hop: &str) -> Option<IpAddr> {
    let address = hop.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()));
    let address = address.or_else(|| hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok())?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        of(peer.parse().unwrap(), &headers, &trusted).address.to_string()
    }

    #[test]
    fn a_stranger_cannot_name_another() {
        assert_eq!(client("192.0.2.1:5", &["203.0.113.9"]), "192.0.2.1:5");
    }

    #[test]
    fn behind_trusted_proxies_the_last_stranger_is_the_client() {
        assert_eq!(client("10.0.0.1:5", &["203.0.113.9"]), "203.0.113.9:0");
        assert_eq!(client("10.0.0.1:5", &["1.1.1.1, 203.0.113.9", "10.2.3.4"]), "203.0.113.9:0");
        assert_eq!(client("[::1]:5", &["[2001:db8::1]:99"]), "[2001:db8::1]:0");
        assert_eq!(client("[::ffff:10.0.0.1]:5", &["203.0.113.9:80"]), "203.0.113.9:0");
    }

    #[test]
    fn a_proxy_that_names_no_client_is_the_client_itself() {
        assert_eq!(client("10.0.0.1:5", &[]), "10.0.0.1:5");
        assert_eq!(client("10.0.0.1:5", &["unknown"]), "10.0.0.1:5");
        assert_eq!(client("10.0.0.1:5", &["10.7.7.7"]), "10.7.7.7:0");
    }
}
