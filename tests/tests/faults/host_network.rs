//! The addresses of a round's clients: on the loopback, or in a network namespace.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use abeyance_tests::net::{Network, Peer, attached};

/// A network for a server and many hosts.
pub(crate) enum HostNetwork {
    /// Each address in 127.0.0.0/8 is a host.
    Loopback,
    /// A network whose hosts can vanish.
    Network(Box<Network>),
}

impl HostNetwork {
    pub(crate) fn listen(&self) -> TcpListener {
        match self {
            HostNetwork::Loopback => TcpListener::bind("127.0.0.1:0"),
            HostNetwork::Network(network) => network.listen(),
        }
        .expect("a port")
    }

    /// A host that was not used before.
    pub(crate) fn host(&self) -> Ipv4Addr {
        static HOSTS: AtomicU16 = AtomicU16::new(1);
        match self {
            HostNetwork::Loopback => {
                let [high, low] = HOSTS.fetch_add(1, Relaxed).to_be_bytes();
                Ipv4Addr::new(127, 9, high, low)
            }
            HostNetwork::Network(network) => network.arrive().expect("one more address"),
        }
    }

    pub(crate) fn connect(&self, host: Ipv4Addr, server: SocketAddr, buffer: Option<usize>) -> Peer {
        match self {
            HostNetwork::Loopback => Peer::connect_from(host.into(), server, buffer),
            HostNetwork::Network(network) => network.connect(host, server, buffer),
        }
        .expect("a connection")
    }

    pub(crate) fn vanish(&self, hosts: &[Ipv4Addr]) {
        match self {
            HostNetwork::Loopback => assert!(hosts.is_empty(), "a host of the loopback cannot vanish"),
            HostNetwork::Network(network) => network.vanish(hosts).expect("addresses that were there"),
        }
    }

    /// For which hosts the server's process has a descriptor.
    pub(crate) fn attached(&self, server: SocketAddr) -> HashSet<IpAddr> {
        match self {
            HostNetwork::Loopback => attached(server),
            HostNetwork::Network(network) => network.at_server(move || attached(server)),
        }
    }
}
