//! The server's end of a connection in memory.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::mpsc;

use super::Dialer;
use super::cable::Cable;
use crate::socket::{Listener, Socket};
use abeyance_core::words::keepalive_probes::KeepaliveProbes;
use abeyance_core::words::peer_io::PeerIo;

/// The server's end.
pub(crate) struct MemoryStreamIo {
    pub(super) cable: Arc<Cable>,
    pub(super) peer: SocketAddr,
}

impl Socket for MemoryStreamIo {
    fn peer(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }

    fn write_and_close(&self, word: &[u8]) {
        let _ = self.try_write(word);
        let mut discarded = [0; 4096];
        let mut cx = Context::from_waker(Waker::noop());
        let _ = self.poll_read(&mut cx, &mut discarded);
        self.shut();
    }
}

impl PeerIo for MemoryStreamIo {
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

    fn is_shut_out(&self) -> bool {
        // Such a network has one buffer, the receiver's.
        false
    }

    fn probe(&self, _: KeepaliveProbes) {}

    fn bound_unsent(&self, _unsent: usize) {}

    fn shut(&self) {
        self.cable.lock().down.finish();
    }

    fn cut(&self) {
        self.cable.lock().cut();
    }
}

impl Drop for MemoryStreamIo {
    fn drop(&mut self) {
        let mut wires = self.cable.lock();
        wires.hung_up = true;
        // As in a kernel: closing on unread bytes is an RST, and destroys what was written.
        if wires.up.bytes.is_empty() {
            wires.down.finish()
        } else {
            wires.cut()
        }
        wires.up.wake_writer();
    }
}

/// Accepts what dialers dial.
pub(crate) struct MemoryAcceptor {
    arrivals: mpsc::Receiver<MemoryStreamIo>,
}

impl MemoryAcceptor {
    pub(crate) fn new() -> (Self, Dialer) {
        let (sender, arrivals) = mpsc::channel(1024);
        (MemoryAcceptor { arrivals }, Dialer { sender })
    }
}

impl Listener for MemoryAcceptor {
    async fn accept(&mut self) -> io::Result<Arc<dyn Socket>> {
        match self.arrivals.recv().await {
            Some(line) => Ok(Arc::new(line)),
            // No `Dialer` is left, so no connection comes any more. The server goes on with those it has.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    fn keep_spare(&mut self) -> bool {
        // Nothing here needs a descriptor.
        true
    }

    fn accept_on_spare(&mut self) -> Option<io::Result<Arc<dyn Socket>>> {
        None
    }
}
