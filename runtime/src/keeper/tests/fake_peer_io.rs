//! A peer without a network: it takes what its script says and remembers what was written.

use std::fmt;
use std::io;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use abeyance_core::words::keepalive_probes::KeepaliveProbes;
use abeyance_core::words::peer_io::PeerIo;

/// Takes everything, until told otherwise.
pub(super) struct FakePeerIo(Mutex<Script>);

struct Script {
    written: Vec<u8>,
    /// How many more bytes the kernel takes.
    window: usize,
    fault: Option<io::ErrorKind>,
    kernel_share: usize,
    /// The peer's kernel has room for nothing more.
    is_shut_out: bool,
    /// How often the kernel was asked for its share.
    looks: usize,
    answers: Answers,
    writer: Option<Waker>,
}

/// What the kernel knows of its peer's.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answers {
    /// It answers everything at once.
    Always,
    /// It last answered then.
    Last(Instant),
    /// Nothing: there are systems that do not tell.
    Unknown,
    /// Asking it panics, as only a fault of ours does.
    Panics,
}

impl FakePeerIo {
    pub(super) fn new() -> Self {
        FakePeerIo(Mutex::new(Script {
            written: Vec::new(),
            window: usize::MAX,
            fault: None,
            kernel_share: 0,
            is_shut_out: false,
            looks: 0,
            answers: Answers::Always,
            writer: None,
        }))
    }

    /// Everything that was written, as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().written).into_owned()
    }

    pub(super) fn take_written(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().written)
    }

    /// From now on the kernel takes `bytes` more.
    pub(super) fn window(&self, bytes: usize) {
        let mut script = self.0.lock();
        script.window = bytes;
        let writer = script.writer.take().filter(|_| bytes > 0);
        drop(script);
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// From now on every write fails.
    pub(super) fn fail(&self, kind: io::ErrorKind) {
        self.0.lock().fault = Some(kind);
    }

    /// From now on the peer's kernel has room for nothing more.
    pub(super) fn shut_out(&self) {
        self.0.lock().is_shut_out = true;
    }

    pub(super) fn keep(&self, kernel_share: usize) {
        self.0.lock().kernel_share = kernel_share;
    }

    pub(super) fn looks(&self) -> usize {
        self.0.lock().looks
    }

    pub(super) fn answer(&self, answers: Answers) {
        self.0.lock().answers = answers;
    }
}

impl fmt::Debug for FakePeerIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FakePeerIo").field(&self.text()).finish()
    }
}

impl PeerIo for FakePeerIo {
    fn poll_read(&self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_gone(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut script = self.0.lock();
        if script.window > 0 || script.fault.is_some() {
            return Poll::Ready(Ok(()));
        }
        script.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut script = self.0.lock();
        if let Some(kind) = script.fault {
            return Err(kind.into());
        }
        let count = bytes.len().min(script.window);
        if count == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        script.window -= count;
        script.written.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn kernel_share(&self) -> usize {
        let mut script = self.0.lock();
        script.looks += 1;
        script.kernel_share
    }

    fn last_answer(&self) -> Option<Duration> {
        match self.0.lock().answers {
            Answers::Always => Some(Duration::ZERO),
            Answers::Last(at) => Some(at.elapsed()),
            Answers::Unknown => None,
            Answers::Panics => panic!("a peer, on purpose"),
        }
    }

    fn is_shut_out(&self) -> bool {
        self.0.lock().is_shut_out
    }

    fn probe(&self, _: KeepaliveProbes) {}

    fn bound_unsent(&self, _: usize) {}

    fn shut(&self) {}

    fn cut(&self) {}
}
