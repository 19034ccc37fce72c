//! A client that is a bare socket: it does what the test says, and nothing by itself.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use abeyance::Transport;
use socket2::{Domain, SockRef, Socket, Type};

use super::TEST_TIMEOUT;
use super::frames::Frame;

/// A client's end of a connection.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
    addr: SocketAddr,
    /// What was received and not yet looked at.
    unread: Vec<u8>,
    received: u64,
}

/// An HTTP answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status code.
    pub status: u16,
    /// Its head.
    pub head: String,
    /// As much of its body as its head gives a length for.
    pub body: Vec<u8>,
}

impl Peer {
    /// Connects.
    #[track_caller]
    pub fn connect(server: SocketAddr) -> Self {
        Peer::over(TcpStream::connect(server).expect("a connection"))
    }

    /// Connects from an address of its own, since the kernel soon reuses ports. With a `buffer`, the kernel takes little that
    /// the peer does not read.
    ///
    /// # Errors
    /// The kernel's.
    pub fn connect_from(host: IpAddr, server: SocketAddr, buffer: Option<usize>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(host, 0).into())?;
        if let Some(bytes) = buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.connect(&server.into())?;
        Ok(Peer::over(socket.into()))
    }

    /// Wraps a connection.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(TEST_TIMEOUT)).expect("a socket");
        stream.set_write_timeout(Some(TEST_TIMEOUT)).expect("a socket");
        let addr = stream.local_addr().expect("a socket");
        Peer { stream, addr, unread: Vec::new(), received: 0 }
    }

    /// Connects and asks to be held at `path`, which may have a query; reads the head of the answer, if one comes now.
    #[track_caller]
    pub fn hold(server: SocketAddr, path: &str, transport: Transport) -> Self {
        let mut peer = Peer::connect(server);
        peer.ask(path, transport);
        peer.begin(transport);
        peer
    }

    /// Reads the beginning of a held answer: the head, and the first event of an event stream. A long poll has none.
    #[track_caller]
    pub fn begin(&mut self, transport: Transport) {
        match transport {
            Transport::LongPoll => {}
            Transport::WebSocket => assert_eq!(self.head().status, 101),
            Transport::Sse => {
                assert_eq!(self.head().status, 200);
                self.read_until(b"\n\n");
            }
            _ => assert_eq!(self.head().status, 200),
        }
    }

    /// Asks to be held.
    pub fn ask(&mut self, path: &str, transport: Transport) {
        let query = if path.contains('?') { '&' } else { '?' };
        let upgrade = match transport {
            Transport::WebSocket => {
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            }
            _ => "",
        };
        let transport = transport.as_str();
        self.send(format!("GET {path}{query}transport={transport} HTTP/1.1\r\nHost: test\r\n{upgrade}\r\n"));
    }

    /// Sets `TCP_NODELAY`: each write becomes a segment at once.
    #[must_use]
    pub fn nodelay(self) -> Self {
        self.stream.set_nodelay(true).expect("a socket");
        self
    }

    /// Its own address, by which the server knows it.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many bytes it has received.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Sends bytes.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("a peer that takes bytes");
    }

    /// Sends bytes; the connection may have ended.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Sends bytes; `false` if the connection has ended.
    pub fn takes(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Closes its side (FIN); the peer can still read.
    pub fn fin(&self) {
        self.stream.shutdown(Shutdown::Write).expect("an open socket");
    }

    /// The bare socket, which has nothing on the heap.
    pub fn idle(self) -> TcpStream {
        self.stream
    }

    /// Resets the connection.
    pub fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("an open socket");
    }

    /// Reads an answer's head.
    #[track_caller]
    pub fn head(&mut self) -> Answer {
        let head = String::from_utf8(self.read_until(b"\r\n\r\n")).expect("a head in ASCII");
        let status = head.get(9..12).and_then(|code| code.parse().ok());
        Answer { status: status.unwrap_or_else(|| panic!("no status in {head:?}")), head, body: Vec::new() }
    }

    /// Reads an answer whose head gives a length.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        let length = answer.header("content-length").map_or(0, |length| length.parse().expect("a length"));
        while self.unread.len() < length {
            assert!(self.more(), "{answer:?} is cut short");
        }
        answer.body = self.unread.drain(..length).collect();
        answer
    }

    /// Reads one WebSocket frame; `None` if the connection ends before.
    pub fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::take(&mut self.unread) {
                return Some(frame);
            }
            if !self.more() {
                return None;
            }
        }
    }

    /// Reads to the end of `mark`.
    #[track_caller]
    pub fn read_until(&mut self, mark: &[u8]) -> Vec<u8> {
        let mut looked = 0;
        loop {
            let place = self.unread[looked..].windows(mark.len()).position(|window| window == mark);
            if let Some(place) = place {
                return self.unread.drain(..looked + place + mark.len()).collect();
            }
            looked = (self.unread.len() + 1).saturating_sub(mark.len());
            assert!(self.more(), "the connection ended after {:?}", String::from_utf8_lossy(&self.unread));
        }
    }

    /// Reads to the end of the connection; returns the bytes, and whether it ended by a FIN rather than a reset.
    pub fn read_to_end(&mut self) -> (Vec<u8>, bool) {
        let mut part = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut part) {
                Ok(0) => return (std::mem::take(&mut self.unread), true),
                Ok(count) => self.took(&part[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return (std::mem::take(&mut self.unread), false);
                }
                Err(error) => panic!("the connection does not end: {error}"),
            }
        }
    }

    /// Takes the bytes that were read and not parsed.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.unread)
    }

    /// Reads some more; `false` if the connection has ended.
    pub fn more(&mut self) -> bool {
        let mut part = [0; 16 * 1024];
        match self.stream.read(&mut part) {
            Ok(0) => false,
            Ok(count) => {
                self.took(&part[..count]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => {
                panic!("nothing comes: {error}; so far {:?}", String::from_utf8_lossy(&self.unread))
            }
        }
    }

    /// Reads one byte, if there is one.
    pub fn sip(&mut self) {
        self.stream.set_nonblocking(true).expect("a socket");
        if let Ok(count) = self.stream.read(&mut [0]) {
            self.received += count as u64;
        }
        self.stream.set_nonblocking(false).expect("a socket");
    }

    fn took(&mut self, bytes: &[u8]) {
        self.received += bytes.len() as u64;
        self.unread.extend_from_slice(bytes);
    }
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection with a small receive buffer: the client's kernel takes little that is not read.
#[track_caller]
pub fn narrow(server: SocketAddr) -> Peer {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    socket.connect(&server.into()).expect("a connection");
    Peer::over(socket.into())
}
