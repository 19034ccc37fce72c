//! The peers of one server: sockets that read, compare and count, all in one thread.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use crate::server::Kind;
use crate::time;
use crate::wire::Wire;

/// The peers of one server, all of them connected.
pub(crate) struct Crowd {
    poll: Poll,
    events: Events,
    peers: Vec<Peer>,
    part: Vec<u8>,
}

struct Peer {
    stream: TcpStream,
    /// How many bytes it got of what it is to get now.
    got: usize,
}

/// Not every peer got everything exactly once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// The time was over.
    Missing { peers: usize, bytes: usize },
    /// A peer got another byte than it was to get, or one too many.
    Byte { peer: usize, at: usize },
    /// A peer's connection ended.
    Ended { peer: usize },
    /// A peer cannot even wait.
    Broken(io::ErrorKind),
}

impl Crowd {
    /// How long peers look away. Between looks no thread waits for events: waking a sleeper would be charged to the server
    /// that writes, would cost about as much as the write, and no peer on another machine is woken like that.
    const NAP: Duration = Duration::from_micros(100);

    /// So many ports has one address on any Linux; more peers than that come from the next one.
    const PORTS: usize = 20_000;

    /// Connects so many peers, one after the other; each has been answered.
    pub(crate) fn gather(kind: Kind, wire: Wire, peers: usize, server: SocketAddr) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut crowd =
            Crowd { poll, events: Events::with_capacity(1024), peers: Vec::new(), part: vec![0; 64 * 1024] };
        for index in 0..peers {
            let mut stream = connect(index / Self::PORTS, server)?;
            stream.write_all(wire.request())?;
            for mark in kind.preamble(wire) {
                read_until(&mut stream, mark)?;
            }
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            crowd.poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
            crowd.peers.push(Peer { stream, got: 0 });
        }
        Ok(crowd)
    }

    /// Waits until every peer has got `bytes`, and nothing else; gives the moment when that was so.
    pub(crate) fn receive(&mut self, bytes: &[u8], patience: Duration) -> Result<Duration, Wrong> {
        let deadline = time::now() + patience;
        self.peers.iter_mut().for_each(|peer| peer.got = 0);
        let mut left = self.peers.len();
        while left > 0 {
            if time::now() > deadline {
                let got: usize = self.peers.iter().map(|peer| peer.got).sum();
                return Err(Wrong::Missing { peers: left, bytes: self.peers.len() * bytes.len() - got });
            }
            #[expect(clippy::disallowed_methods, reason = "no runtime is here to block")]
            std::thread::sleep(Self::NAP);
            left -= self.look(bytes, Duration::ZERO)?;
        }
        Ok(time::now())
    }

    /// Waits so long, in which no peer may get anything.
    pub(crate) fn rest(&mut self, span: Duration) -> Result<(), Wrong> {
        self.peers.iter_mut().for_each(|peer| peer.got = 0);
        self.look(&[], span).map(|_| ())
    }

    /// Reads what came, or comes within `patience`; says how many peers have all of `bytes` now.
    fn look(&mut self, bytes: &[u8], patience: Duration) -> Result<usize, Wrong> {
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(0),
            polled => polled.map_err(|error| Wrong::Broken(error.kind()))?,
        }
        let mut complete = 0;
        for event in &self.events {
            let index = event.token().0;
            let peer = &mut self.peers[index];
            loop {
                let count = match peer.stream.read(&mut self.part) {
                    Ok(0) => return Err(Wrong::Ended { peer: index }),
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(_) => return Err(Wrong::Ended { peer: index }),
                };
                let wanted = &bytes[peer.got..];
                let agree = self.part[..count].iter().zip(wanted).take_while(|(a, b)| a == b).count();
                if agree < count {
                    return Err(Wrong::Byte { peer: index, at: peer.got + agree });
                }
                peer.got += count;
                complete += usize::from(peer.got == bytes.len());
                if count < self.part.len() {
                    // That was all; what comes later is another event.
                    break;
                }
            }
        }
        Ok(complete)
    }
}

/// Connects from the loopback's own address, or from one beside it.
fn connect(address: usize, server: SocketAddr) -> io::Result<std::net::TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    if address > 0 {
        let address = Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + address as u32);
        socket.bind(&SocketAddr::from((address, 0)).into())?;
    }
    socket.connect(&server.into())?;
    Ok(socket.into())
}

/// Reads up to and with `mark`, and no byte more.
fn read_until(stream: &mut std::net::TcpStream, mark: &[u8]) -> io::Result<()> {
    let mut said = Vec::new();
    while !said.ends_with(mark) {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        said.push(byte[0]);
    }
    Ok(())
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Missing { peers, bytes } => write!(f, "{peers} peers still lack {bytes} bytes in all"),
            Wrong::Byte { peer, at } => write!(f, "peer {peer} got a wrong byte, or one too many, at {at}"),
            Wrong::Ended { peer } => write!(f, "the connection of peer {peer} ended"),
            Wrong::Broken(kind) => write!(f, "waiting failed: {kind}"),
        }
    }
}

impl std::error::Error for Wrong {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Server;
    use crate::wire::Batch;

    const PATIENT: Duration = Duration::from_secs(30);
    const PEERS: usize = 3;

    fn batch(first: u64) -> Batch {
        Batch { first, count: 2, size: 64 }
    }

    fn gather(kind: Kind, wire: Wire) -> (Box<dyn Server>, Crowd) {
        let server = kind.start(wire, PEERS).unwrap();
        let crowd = Crowd::gather(kind, wire, PEERS, server.local_addr()).unwrap();
        (server, crowd)
    }

    /// What a crowd says of a server that publishes so, when it is to publish batch 0.
    fn judged(publish: impl FnOnce(&mut dyn Server), patience: Duration) -> Wrong {
        let (mut server, mut crowd) = gather(Kind::Bare, Wire::WebSocket);
        publish(&mut *server);
        crowd.receive(&batch(0).bytes(Wire::WebSocket), patience).expect_err("it lied")
    }

    #[test]
    fn every_server_delivers_every_message_once_to_all() {
        for kind in Kind::ALL {
            for wire in Wire::BOTH {
                let (mut server, mut crowd) = gather(kind, wire);
                for batch in [batch(0), batch(2), Batch { first: 4, count: 50, size: 1024 }] {
                    for text in batch.texts() {
                        assert_eq!(server.publish(text), PEERS, "{kind}, {wire:?}");
                    }
                    let received = crowd.receive(&batch.bytes(wire), PATIENT);
                    assert!(received.is_ok(), "{kind}, {wire:?}: {received:?}");
                }
                assert_eq!(crowd.rest(Duration::from_millis(20)), Ok(()), "{kind}, {wire:?}");
            }
        }
    }

    #[test]
    fn a_message_that_is_lost_is_missed() {
        let lose_the_last = |server: &mut dyn Server| {
            server.publish(batch(0).texts().next().unwrap());
        };
        // Any patience ends like this.
        let wrong = judged(lose_the_last, Duration::from_millis(20));
        assert!(matches!(wrong, Wrong::Missing { peers: PEERS, .. }), "{wrong}");
    }

    #[test]
    fn a_message_that_comes_twice_or_out_of_order_is_seen() {
        let length = batch(0).bytes(Wire::WebSocket).len() / 2;
        let twice = |server: &mut dyn Server| {
            let text = batch(0).texts().next().unwrap();
            server.publish(text.clone());
            server.publish(text);
        };
        // The first byte in which the numbers differ.
        let second = length + 2 + Batch::LEAST - 1;
        let wrong = judged(twice, PATIENT);
        assert!(matches!(wrong, Wrong::Byte { at, .. } if at == second), "{wrong}");
        let swapped = |server: &mut dyn Server| {
            let texts: Vec<_> = batch(0).texts().collect();
            texts.into_iter().rev().for_each(|text| assert_eq!(server.publish(text), PEERS));
        };
        let wrong = judged(swapped, PATIENT);
        assert!(matches!(wrong, Wrong::Byte { at, .. } if at == 2 + Batch::LEAST - 1), "{wrong}");
    }

    #[test]
    fn a_message_too_many_is_seen_at_rest() {
        let (mut server, mut crowd) = gather(Kind::Bare, Wire::Sse);
        batch(0).texts().for_each(|text| assert_eq!(server.publish(text), PEERS));
        crowd.receive(&batch(0).bytes(Wire::Sse), PATIENT).unwrap();
        server.publish("one more".into());
        let rested = crowd.rest(PATIENT);
        assert!(matches!(rested, Err(Wrong::Byte { at: 0, .. })), "{rested:?}");
    }

    #[test]
    fn a_server_that_ends_is_seen() {
        let (server, mut crowd) = gather(Kind::Axum, Wire::WebSocket);
        drop(server);
        let received = crowd.receive(b"anything", PATIENT);
        assert!(matches!(received, Err(Wrong::Ended { .. })), "{received:?}");
    }
}
