//! A peer without a network: it takes as many bytes as a scenario allows, and remembers them.

use std::io;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use abeyance_core::words::event_id::EventId;
use abeyance_core::words::keepalive_probes::KeepaliveProbes;
use abeyance_core::words::peer_io::PeerIo;

/// A peer without a network. Its lock is not the scheduler's: it is taken under that of the outbox, which is a
/// scheduling point already.
#[derive(Debug)]
pub(crate) struct FakePeerIo(Mutex<Wire>);

#[derive(Debug)]
struct Wire {
    written: Vec<u8>,
    /// How many more bytes it takes.
    window: usize,
    writer: Option<Waker>,
    /// Woken when more was written.
    reader: Option<Waker>,
}

/// A message as an EventSource sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: Option<EventId>,
    pub(crate) text: String,
}

impl FakePeerIo {
    pub(crate) fn new(window: usize) -> Self {
        FakePeerIo(Mutex::new(Wire { written: Vec::new(), window, writer: None, reader: None }))
    }

    /// It takes so many bytes more.
    pub(crate) fn widen(&self, bytes: usize) {
        let mut wire = self.wire();
        wire.window = wire.window.saturating_add(bytes);
        let writer = wire.writer.take();
        drop(wire);
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        let written = self.wire().written.clone();
        let text = String::from_utf8(written).expect("UTF-8");
        let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
        whole.split("\n\n").filter(|block| !block.is_empty()).map(event).collect()
    }

    /// How many bytes it took.
    pub(crate) fn length(&self) -> usize {
        self.wire().written.len()
    }

    /// Ready when so many events have come.
    pub(crate) fn poll_events(&self, count: usize, cx: &mut Context<'_>) -> Poll<()> {
        // Registered before the check. Otherwise what comes in between would not wake the reader.
        self.wire().reader = Some(cx.waker().clone());
        match self.events().len() >= count {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.0.lock().expect("no thread panics with it")
    }
}

fn event(block: &str) -> Event {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
    let id = field("id: ").map(|id| EventId::read(id).expect("an id of ours"));
    Event { id, text: field("data: ").expect("data").to_owned() }
}

impl PeerIo for FakePeerIo {
    fn poll_read(&self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_gone(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.wire();
        if wire.window > 0 {
            return Poll::Ready(Ok(()));
        }
        wire.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut wire = self.wire();
        let count = bytes.len().min(wire.window);
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        wire.window -= count;
        wire.written.extend_from_slice(&bytes[..count]);
        let reader = wire.reader.take();
        drop(wire);
        if let Some(reader) = reader {
            reader.wake();
        }
        Ok(count)
    }

    fn kernel_share(&self) -> usize {
        0
    }

    fn last_answer(&self) -> Option<Duration> {
        Some(Duration::ZERO)
    }

    fn is_shut_out(&self) -> bool {
        false
    }

    fn bound_unsent(&self, _: usize) {}

    fn probe(&self, _: KeepaliveProbes) {}

    fn shut(&self) {}

    fn cut(&self) {}
}
