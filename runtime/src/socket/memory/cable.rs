//! What lies between the two ends of a connection in memory: kernels and cable in one.

use std::collections::VecDeque;
use std::io;
use std::ops::{Deref, DerefMut};
use std::task::{Context, Poll, Waker};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

/// What lies between two ends, and what happened to it.
#[derive(Default)]
pub(super) struct Cable(Mutex<Wires>);

impl Cable {
    pub(super) fn lock(&self) -> Locked<'_> {
        Locked(Some(self.0.lock()))
    }
}

/// The wires, locked. Tasks that can go on are woken after the lock is released. A waker may drop a task,
/// and with it the other end of this very cable.
pub(super) struct Locked<'a>(Option<MutexGuard<'a, Wires>>);

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
pub(super) struct Wires {
    /// From the client to the server.
    pub(super) up: Wire,
    /// From the server to the client.
    pub(super) down: Wire,
    /// What ended the connection for the server.
    pub(super) fault: Option<io::ErrorKind>,
    /// Since when the client has been unreachable.
    pub(super) vanished: Option<Instant>,
    /// The client has dropped its end.
    pub(super) closed: bool,
    /// The server has dropped its end.
    pub(super) hung_up: bool,
    /// The server has cut the connection.
    pub(super) cut: bool,
}

impl Wires {
    pub(super) fn fail(&mut self, kind: io::ErrorKind) {
        self.fault.get_or_insert(kind);
        self.down.bytes.clear();
        self.wake_all();
    }

    pub(super) fn cut(&mut self) {
        self.cut = true;
        self.down.bytes.clear();
        self.wake_all();
    }

    pub(super) fn wake_all(&mut self) {
        self.up.wakes = [true; 2];
        self.down.wakes = [true; 2];
    }
}

/// One direction.
pub(super) struct Wire {
    pub(super) bytes: VecDeque<u8>,
    pub(super) limit: usize,
    /// Its writer has sent a FIN.
    pub(super) finished: bool,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
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
    pub(super) fn room(&self) -> usize {
        self.limit.saturating_sub(self.bytes.len())
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room());
        self.bytes.extend(&bytes[..count]);
        self.wakes[0] = true;
        count
    }

    pub(super) fn take(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<usize> {
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

    pub(super) fn finish(&mut self) {
        self.finished = true;
        self.wakes[0] = true;
    }

    pub(super) fn wake_writer(&mut self) {
        self.wakes[1] = true;
    }

    /// Whom to wake.
    pub(super) fn due(&mut self) -> [Option<Waker>; 2] {
        let [reader, writer] = std::mem::take(&mut self.wakes);
        [self.reader.take_if(|_| reader), self.writer.take_if(|_| writer)]
    }
}
