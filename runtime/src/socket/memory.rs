//! A network in memory, for tests of held connections with paused time.
//!
//! A [`Dialer`] belongs to a server that was bound with `Server::bind_memory`; each [`dial`](Dialer::dial) gives the
//! client's end of a new connection, with the peer address of your choice. Beside reading and writing, a
//! client can do what real ones do to servers: [`reset`](MemoryStream::reset), [`vanish`](MemoryStream::vanish),
//! stop reading (its window is bounded, see [`window`](MemoryStream::window)) or close one side.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Listener, Socket};
use crate::words::line::Line;

/// Opens connections to one server in memory.
#[derive(Clone, Debug)]
pub struct Dialer {
    door: mpsc::Sender<MemoryLine>,
}

/// The client's end of a connection in memory.
///
/// Dropping it closes it as a kernel does: with a FIN, or with an RST if bytes lie there that it has not read.
#[derive(Debug)]
pub struct MemoryStream {
    cable: Arc<Cable>,
}

impl Dialer {
    /// Opens a connection that the server sees as coming from `from`.
    ///
    /// # Errors
    /// `ConnectionRefused` when the server no longer listens, or has 1,024 connections waiting to be accepted.
    pub fn dial(&self, from: SocketAddr) -> io::Result<MemoryStream> {
        let cable = Arc::new(Cable::default());
        match self.door.try_send(MemoryLine { cable: cable.clone(), peer: from }) {
            Ok(()) => Ok(MemoryStream { cable }),
            Err(_) => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

impl MemoryStream {
    /// Resets the connection (RST): what the server has not read yet stays readable, what it wrote is lost.
    pub fn reset(self) {
        self.cable.lock().fail(io::ErrorKind::ConnectionReset);
    }

    /// From now on nothing arrives any more, in either direction, and the server's kernel gets no answers.
    pub fn vanish(&self) {
        self.cable.lock().vanished.get_or_insert_with(Instant::now);
    }

    /// The server's kernel gives up on this peer, as it does some time after [`vanish`](MemoryStream::vanish).
    pub fn give_up(&self) {
        let mut wires = self.cable.lock();
        wires.vanished.get_or_insert_with(Instant::now);
        wires.fail(io::ErrorKind::TimedOut);
    }

    /// How many bytes may lie unread at this client before the server's writes block; 64 KiB unless set. With 0
    /// the server can write nothing at all.
    pub fn window(&self, bytes: usize) {
        let mut wires = self.cable.lock();
        wires.down.limit = bytes;
        wires.down.wake_writer();
    }
}

impl AsyncRead for MemoryStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut wires = self.cable.lock();
        if wires.vanished.is_some() {
            return Poll::Pending;
        }
        if wires.cut {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let room = buffer.initialize_unfilled();
        match wires.down.take(cx, room) {
            Poll::Ready(count) => {
                buffer.advance(count);
                Poll::Ready(Ok(()))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut wires = self.cable.lock();
        if wires.vanished.is_some() {
            // Its kernel takes the bytes, and nobody ever gets them.
            return Poll::Ready(Ok(bytes.len()));
        }
        if wires.cut || wires.hung_up {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if wires.up.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        match wires.up.put(bytes) {
            0 if !bytes.is_empty() => {
                wires.up.writer = Some(cx.waker().clone());
                Poll::Pending
            }
            count => Poll::Ready(Ok(count)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wires = self.cable.lock();
        if wires.vanished.is_none() {
            wires.up.finish();
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        let mut wires = self.cable.lock();
        if wires.vanished.is_some() || wires.fault.is_some() {
            return;
        }
        wires.closed = true;
        if wires.down.bytes.is_empty() {
            wires.up.finish();
        } else {
            wires.fail(io::ErrorKind::ConnectionReset);
        }
        wires.down.wake_writer();
    }
}

/// The server's end.
pub(crate) struct MemoryLine {
    cable: Arc<Cable>,
    peer: SocketAddr,
}

impl Socket for MemoryLine {
    fn peer(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl Line for MemoryLine {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut wires = self.cable.lock();
        match wires.fault {
            // As in a kernel: what came before the reset can still be read.
            Some(kind) if wires.up.bytes.is_empty() && !wires.up.finished => Poll::Ready(Err(kind.into())),
            _ if wires.cut => Poll::Ready(Ok(0)),
            _ => wires.up.take(cx, buffer).map(Ok),
        }
    }

    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wires = self.cable.lock();
        match wires.fault {
            Some(kind) if !wires.up.finished => Poll::Ready(Err(kind.into())),
            _ if wires.up.finished || wires.cut => Poll::Ready(Ok(())),
            _ => {
                wires.up.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wires = self.cable.lock();
        if wires.cut {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if wires.fault.is_some() || wires.closed || wires.down.room() > 0 {
            return Poll::Ready(Ok(()));
        }
        wires.down.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut wires = self.cable.lock();
        if wires.cut {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if let Some(kind) = wires.fault {
            return Err(kind.into());
        }
        if wires.down.finished {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if wires.closed {
            // As in a kernel: the first write after the peer's close is taken, and answered with an RST.
            wires.fail(io::ErrorKind::BrokenPipe);
            return Ok(bytes.len());
        }
        match wires.down.put(bytes) {
            0 if !bytes.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }

    fn kernel_share(&self) -> usize {
        self.cable.lock().down.bytes.len()
    }

    fn last_answer(&self) -> Option<Duration> {
        Some(self.cable.lock().vanished.map_or(Duration::ZERO, |since| since.elapsed()))
    }

    fn probe(&self, _every: Duration, _give_up: Duration) {}

    fn shut(&self) {
        self.cable.lock().down.finish();
    }

    fn cut(&self) {
        self.cable.lock().cut();
    }
}

impl Drop for MemoryLine {
    fn drop(&mut self) {
        let mut wires = self.cable.lock();
        wires.hung_up = true;
        // As in a kernel: closing on bytes that nobody has read is an RST, and destroys what was written.
        if wires.up.bytes.is_empty() {
            wires.down.finish()
        } else {
            wires.cut()
        }
        wires.up.wake_writer();
    }
}

/// Accepts what dialers dial.
pub(crate) struct MemoryDoor {
    arrivals: mpsc::Receiver<MemoryLine>,
}

impl MemoryDoor {
    pub(crate) fn new() -> (Self, Dialer) {
        let (door, arrivals) = mpsc::channel(1024);
        (MemoryDoor { arrivals }, Dialer { door })
    }
}

impl Listener for MemoryDoor {
    async fn accept(&mut self) -> io::Result<Arc<dyn Socket>> {
        match self.arrivals.recv().await {
            Some(line) => Ok(Arc::new(line)),
            // Nobody can dial any more; the server goes on with what it has.
            None => std::future::pending().await,
        }
    }

    fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }
}

/// What lies between two ends, and what happened to it.
#[derive(Default)]
struct Cable(Mutex<Wires>);

impl Cable {
    fn lock(&self) -> Locked<'_> {
        Locked(Some(self.0.lock()))
    }
}

/// The wires, locked; whoever became able to go on is woken after the lock is released. A waker may drop a task,
/// and with it the other end of this very cable.
struct Locked<'a>(Option<MutexGuard<'a, Wires>>);

impl Deref for Locked<'_> {
    type Target = Wires;

    fn deref(&self) -> &Wires {
        self.0.as_deref().expect("taken by drop only")
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Wires {
        self.0.as_deref_mut().expect("taken by drop only")
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        if let Some(mut wires) = self.0.take() {
            let due = [wires.up.due(), wires.down.due()];
            drop(wires);
            due.into_iter().flatten().flatten().for_each(Waker::wake);
        }
    }
}

impl std::fmt::Debug for Cable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cable")
    }
}

#[derive(Default)]
struct Wires {
    /// From the client to the server.
    up: Wire,
    /// From the server to the client.
    down: Wire,
    /// What ended the connection for the server.
    fault: Option<io::ErrorKind>,
    /// Since when the client has been unreachable.
    vanished: Option<Instant>,
    /// The client has dropped its end.
    closed: bool,
    /// The server has dropped its end.
    hung_up: bool,
    /// The server has cut the connection.
    cut: bool,
}

impl Wires {
    fn fail(&mut self, kind: io::ErrorKind) {
        self.fault.get_or_insert(kind);
        self.down.bytes.clear();
        self.wake_all();
    }

    fn cut(&mut self) {
        self.cut = true;
        self.down.bytes.clear();
        self.wake_all();
    }

    fn wake_all(&mut self) {
        self.up.wakes = [true; 2];
        self.down.wakes = [true; 2];
    }
}

/// One direction.
struct Wire {
    bytes: VecDeque<u8>,
    limit: usize,
    /// Its writer has sent a FIN.
    finished: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Something happened for its reader, its writer.
    wakes: [bool; 2],
}

impl Default for Wire {
    fn default() -> Self {
        let limit = 64 * 1024;
        Wire { bytes: VecDeque::new(), limit, finished: false, reader: None, writer: None, wakes: [false; 2] }
    }
}

impl Wire {
    fn room(&self) -> usize {
        self.limit.saturating_sub(self.bytes.len())
    }

    fn put(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room());
        self.bytes.extend(&bytes[..count]);
        self.wakes[0] = true;
        count
    }

    fn take(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<usize> {
        if self.bytes.is_empty() && !self.finished && !buffer.is_empty() {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = buffer.len().min(self.bytes.len());
        for (place, byte) in buffer.iter_mut().zip(self.bytes.drain(..count)) {
            *place = byte;
        }
        if count > 0 {
            self.wakes[1] = true;
        }
        Poll::Ready(count)
    }

    fn finish(&mut self) {
        self.finished = true;
        self.wakes[0] = true;
    }

    fn wake_writer(&mut self) {
        self.wakes[1] = true;
    }

    /// Whom to wake.
    fn due(&mut self) -> [Option<Waker>; 2] {
        let [reader, writer] = std::mem::take(&mut self.wakes);
        [self.reader.take_if(|_| reader), self.writer.take_if(|_| writer)]
    }
}
