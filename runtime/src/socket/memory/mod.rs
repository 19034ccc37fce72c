//! A network in memory, for tests of held connections with paused time.
//!
//! A [`Dialer`] belongs to a server that was bound with [`Server::bind_memory`](crate::Server::bind_memory); each [`connect`](Dialer::connect) gives the
//! client's end of a new connection, with the peer address of your choice. Beside reading and writing, a
//! client can do what real ones do to servers: [`reset`](MemoryStream::reset), [`vanish`](MemoryStream::vanish),
//! stop reading (its window is bounded, see [`window`](MemoryStream::window)) or close one side.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::Instant;

mod cable;
mod memory_stream_io;

use cable::Cable;
pub(crate) use memory_stream_io::MemoryAcceptor;
use memory_stream_io::MemoryStreamIo;

/// Opens connections to one server in memory.
#[derive(Clone, Debug)]
pub struct Dialer {
    sender: mpsc::Sender<MemoryStreamIo>,
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
    pub fn connect(&self, from: SocketAddr) -> io::Result<MemoryStream> {
        let cable = Arc::new(Cable::default());
        match self.sender.try_send(MemoryStreamIo { cable: cable.clone(), peer: from }) {
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
            // Its kernel takes the bytes, and no program ever reads them.
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
