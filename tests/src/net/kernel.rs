//! What the kernel says of a server: the unacknowledged bytes of its peers (`ss`), and its sockets.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;

/// What was written to one peer and is not acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// The bytes themselves.
    pub queued: usize,
    /// The kernel memory that they take.
    pub memory: usize,
}

impl Share {
    /// The larger of each.
    pub fn max(self, other: Share) -> Share {
        Share { queued: self.queued.max(other.queued), memory: self.memory.max(other.memory) }
    }
}

/// The shares of all connected peers of a server, or of one, by their addresses; none where `ss` is not installed.
pub fn kernel_shares(server: SocketAddr, peer: Option<SocketAddr>) -> HashMap<SocketAddr, Share> {
    let mut filter = format!("sport = :{}", server.port());
    if let Some(peer) = peer {
        filter += &format!(" and dport = :{}", peer.port());
    }
    let Ok(output) = Command::new("ss").args(["-tmnH", &filter]).output() else { return HashMap::new() };
    let text = String::from_utf8_lossy(&output.stdout).replace("\n\t", " ");
    text.lines().filter_map(share).collect()
}

/// The addresses from which a server has connections that a process has a descriptor for, in the network namespace of the
/// calling thread.
pub fn attached(server: SocketAddr) -> HashSet<IpAddr> {
    connected(server).into_iter().collect()
}

/// How many connections of a server on IPv4 a process has a descriptor for. Other tests do not change this count, as they
/// do the descriptors of the process.
pub fn open_sockets(server: SocketAddr) -> usize {
    connected(server).len()
}

fn connected(server: SocketAddr) -> Vec<IpAddr> {
    let table = std::fs::read_to_string("/proc/thread-self/net/tcp").expect("procfs");
    table.lines().skip(1).filter_map(|line| descriptor(line, server.port())).collect()
}

/// Number, two addresses in hexadecimal, state, queues, timers, …, and the inode, which is 0 if no process has a
/// descriptor. `4: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000 0 0 12345 …`
fn descriptor(line: &str, port: u16) -> Option<IpAddr> {
    const LISTENING: &str = "0A";
    let fields: Vec<_> = line.split_whitespace().collect();
    let (_, local) = fields.get(1)?.split_once(':')?;
    let (peer, _) = fields.get(2)?.split_once(':')?;
    let is_ours = u16::from_str_radix(local, 16) == Ok(port) && *fields.get(3)? != LISTENING;
    let host = u32::from_str_radix(peer, 16).ok()?.to_ne_bytes();
    (is_ours && *fields.get(9)? != "0").then(|| Ipv4Addr::from(host).into())
}

/// State, two queues, two addresses, and the memory: `ESTAB 0 8192 127.0.0.1:80 127.0.0.1:4000 skmem:(r0,…,w9024,…)`.
fn share(line: &str) -> Option<(SocketAddr, Share)> {
    let mut fields = line.split_whitespace().skip(2);
    let queued = fields.next()?.parse().ok()?;
    let peer = fields.nth(1)?.parse().ok()?;
    let memory =
        line.split_once("skmem:(")?.1.split(',').find_map(|field| field.strip_prefix('w')?.parse().ok());
    Some((peer, Share { queued, memory: memory? }))
}
