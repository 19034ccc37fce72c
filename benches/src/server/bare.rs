//! The measure of the others: the same bytes, written to one socket after the other.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;

use super::Server;
use crate::wire::Wire;

pub(super) struct Bare {
    addr: SocketAddr,
    wire: Wire,
    accepting: Option<JoinHandle<io::Result<Vec<TcpStream>>>>,
    peers: Vec<TcpStream>,
}

impl Bare {
    pub(super) fn start(wire: Wire, peers: usize) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.local_addr()?;
        let accepting = std::thread::spawn(move || (0..peers).map(|_| welcome(&listener, wire)).collect());
        Ok(Bare { addr, wire, accepting: Some(accepting), peers: Vec::new() })
    }
}

impl Server for Bare {
    fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    fn publish(&mut self, text: String) -> usize {
        if let Some(accepting) = self.accepting.take() {
            self.peers = accepting.join().expect("no panic").expect("peers that ask properly");
        }
        let bytes = self.wire.frame(&text);
        let mut accepted = 0;
        for mut peer in &self.peers {
            // What the kernel does not take is lost, and the peer will say so: nothing waits here.
            accepted += usize::from(peer.write(&bytes).is_ok_and(|count| count == bytes.len()));
        }
        accepted
    }
}

/// Answers one peer.
fn welcome(listener: &TcpListener, wire: Wire) -> io::Result<TcpStream> {
    let (mut peer, _) = listener.accept()?;
    peer.set_nodelay(true)?;
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while !head.ends_with(b"\r\n\r\n") {
        match peer.read(&mut part)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => head.extend(&part[..count]),
        }
    }
    peer.write_all(match wire {
        Wire::WebSocket => {
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        }
        Wire::Sse => {
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        }
    })?;
    peer.set_nonblocking(true)?;
    Ok(peer)
}
