//! Two network namespaces with a cable between them: the server's, and that of hosts which can vanish.
//!
//! A host is one address, reached through a router. When a host vanishes, the router discards what is sent to it, and the
//! host can send nothing. Neither side is told: no FIN, no RST, no ICMP, no device that goes down, no neighbour that
//! cannot be found. A server sees the same of a phone in a tunnel.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use super::{Namespace, Peer};

/// The server's network, and that of its peers.
#[derive(Debug)]
pub struct Network {
    server: Namespace,
    peers: Namespace,
    hosts: AtomicU16,
}

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 1);

impl Network {
    /// Makes both namespaces and the cable.
    ///
    /// # Errors
    /// When the process may not.
    pub fn new() -> io::Result<Self> {
        let network =
            Network { server: Namespace::new()?, peers: Namespace::new()?, hosts: AtomicU16::new(0) };
        let peers = network.peers.path();
        network.server.ip([
            format!("link add server type veth peer name router netns {peers}"),
            format!("addr add {SERVER}/30 dev server"),
            "link set server up".to_owned(),
        ])?;
        network.peers.ip([
            "addr add 10.8.0.2/30 dev router".to_owned(),
            "link set router up".to_owned(),
            // An address that exists takes precedence over this route.
            "route add blackhole 10.9.0.0/16".to_owned(),
        ])?;
        network.server.ip(["route add 10.9.0.0/16 via 10.8.0.2".to_owned()])?;
        Ok(network)
    }

    /// Listens in the server's network.
    ///
    /// # Errors
    /// The kernel's.
    pub fn listen(&self) -> io::Result<TcpListener> {
        self.server.run(|| TcpListener::bind((SERVER, 0)))
    }

    /// Adds a host.
    ///
    /// # Errors
    /// Those of `ip`.
    pub fn arrive(&self) -> io::Result<Ipv4Addr> {
        let [high, low] = (self.hosts.fetch_add(1, Relaxed) + 1).to_be_bytes();
        let host = Ipv4Addr::new(10, 9, high, low);
        self.peers.ip([format!("addr add {host}/32 dev lo")])?;
        Ok(host)
    }

    /// Connects from a host, with a receive buffer of `buffer` bytes if it is given: its kernel then takes little that the
    /// host does not read.
    ///
    /// # Errors
    /// The kernel's.
    pub fn connect(&self, host: Ipv4Addr, server: SocketAddr, buffer: Option<usize>) -> io::Result<Peer> {
        self.peers.run(move || Peer::connect_from(host.into(), server, buffer))
    }

    /// Makes these hosts vanish, all at one moment.
    ///
    /// # Errors
    /// Those of `ip`.
    pub fn vanish(&self, hosts: &[Ipv4Addr]) -> io::Result<()> {
        self.peers.ip(hosts.iter().map(|host| format!("addr del {host}/32 dev lo")))
    }

    /// Drops each packet with this probability, in both directions, from now on. Packets are dropped on arrival: a kernel
    /// that sees a packet of its own dropped would send it again at once.
    ///
    /// # Errors
    /// When `iptables` is not installed or not allowed, or the kernel has no such rule.
    pub fn lose(&self, probability: f64) -> io::Result<()> {
        for (network, device) in [(&self.server, "server"), (&self.peers, "router")] {
            let rule = format!(
                "-A INPUT -i {device} -m statistic --mode random --probability {probability} -j DROP"
            );
            network.run(move || {
                let output = Command::new("iptables").args(rule.split(' ')).output()?;
                match output.status.success() {
                    true => Ok(()),
                    false => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned())),
                }
            })?;
        }
        Ok(())
    }

    /// Runs a closure in the server's network.
    pub fn at_server<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        self.server.run(job)
    }

    /// Runs a closure in the network of the hosts.
    pub fn at_hosts<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        self.peers.run(job)
    }
}
