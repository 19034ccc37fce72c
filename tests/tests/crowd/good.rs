//! Peers that read at once, all in one thread.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use abeyance::Transport;
use abeyance_tests::net::Peer;
use tokio::io::{AsyncReadExt, BufReader};
use tokio::time::Instant;

use super::{GOOD, MESSAGES, SIZE, numbered};

/// A hundred of them, one half WebSockets, the other event sources.
pub(crate) struct Good {
    progress: Arc<Progress>,
    thread: JoinHandle<Vec<(SocketAddr, Duration)>>,
}

struct Progress {
    begun: OnceLock<Instant>,
    /// How many messages each has.
    have: Vec<AtomicUsize>,
}

impl Good {
    /// Connects them, and has them read.
    pub(crate) fn start(server: SocketAddr) -> Good {
        let kinds = [Transport::WebSocket, Transport::Sse].into_iter().cycle().take(GOOD);
        let peers: Vec<_> = kinds.map(|transport| (transport, hold(server, transport))).collect();
        let have = peers.iter().map(|_| AtomicUsize::new(0)).collect();
        let progress = Arc::new(Progress { begun: OnceLock::new(), have });
        let thread = spawn({
            let progress = progress.clone();
            move || read_all(peers, &progress)
        });
        Good { progress, thread }
    }

    /// From now on they wait for messages.
    pub(crate) fn begin(&self) {
        self.progress.begun.get_or_init(Instant::now);
    }

    /// Whether each has so many messages.
    pub(crate) fn have(&self, messages: usize) -> bool {
        assert!(!self.thread.is_finished(), "a good reader has failed");
        self.progress.have.iter().all(|have| have.load(Relaxed) >= messages)
    }

    /// Waits until each has everything; gives their addresses, and the longest that each waited for a message.
    pub(crate) fn join(self) -> Vec<(SocketAddr, Duration)> {
        self.thread.join().expect("good readers")
    }
}

fn hold(server: SocketAddr, transport: Transport) -> TcpStream {
    let mut peer = Peer::hold(server, "/narrow", transport);
    if transport == Transport::Sse {
        // The end of the chunk whose event was read.
        assert_eq!(peer.read_until(b"\r\n"), b"\r\n");
    }
    peer.idle()
}

fn read_all(peers: Vec<(Transport, TcpStream)>, progress: &Arc<Progress>) -> Vec<(SocketAddr, Duration)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let reader = |(at, (transport, stream))| tokio::spawn(read(transport, stream, progress.clone(), at));
        let readers: Vec<_> = peers.into_iter().enumerate().map(reader).collect();
        let mut pauses = Vec::new();
        for reader in readers {
            pauses.push(reader.await.expect("a good reader"));
        }
        pauses
    })
}

/// Reads all messages in order.
async fn read(
    transport: Transport,
    stream: TcpStream,
    progress: Arc<Progress>,
    at: usize,
) -> (SocketAddr, Duration) {
    let addr = stream.local_addr().expect("a socket");
    stream.set_nonblocking(true).expect("a socket");
    let stream = tokio::net::TcpStream::from_std(stream).expect("a socket");
    let mut stream = BufReader::with_capacity(16 * 1024, stream);
    let (head, tail) = framing(transport);
    let (end, filler) = (head.len() + SIZE, numbered(0).split_off(6));
    let mut bytes = vec![0; end + tail.len()];
    let (mut longest, mut last) = (Duration::ZERO, None);
    for number in 0..MESSAGES {
        let count = stream.read_exact(&mut bytes).await;
        count.unwrap_or_else(|error| panic!("{transport:?} ended before message {number}: {error}"));
        let now = Instant::now();
        let before = last.replace(now).or(progress.begun.get().copied()).expect("a beginning");
        longest = longest.max(now - before);
        progress.have[at].store(number + 1, Relaxed);
        assert!(bytes.starts_with(&head) && bytes.ends_with(tail), "{transport:?}: {number} is not framed");
        let (count, rest) = bytes[head.len()..end].split_at(6);
        assert_eq!(String::from_utf8_lossy(count), format!("{number:06}"), "{transport:?}");
        assert!(rest == filler.as_bytes(), "{transport:?}: {number} is not whole");
    }
    (addr, longest)
}

/// What stands before and behind a message on the wire.
fn framing(transport: Transport) -> (Vec<u8>, &'static [u8]) {
    match transport {
        Transport::WebSocket => (vec![0x81, 126, (SIZE >> 8) as u8, SIZE as u8], b""),
        _ => (format!("{:x}\r\ndata: ", "data: \n\n".len() + SIZE).into(), b"\n\n\r\n"),
    }
}
