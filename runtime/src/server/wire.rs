//! The wire as hyper sees it: a line that first replays what was read before, and that notes what hyper does.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum_core::body::Body;
use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use parking_lot::Mutex;

use super::exchange::Exchange;
use super::host::Host;
use super::house::House;
use super::place::Place;
use crate::socket::Socket;

/// The notes of one exchange, shared by the service, the answer's body, the wire and the owner of deadlines. All run
/// in one task; the lock is there because the types must be `Send`.
pub(super) type Notes<H> = Arc<Mutex<Exchange<<H as Host>::Guest>>>;

/// A line under hyper.
pub(super) struct Wire<H: Host> {
    pub(super) line: Arc<dyn Socket>,
    /// Read before hyper was there.
    pub(super) unread: Bytes,
    pub(super) notes: Notes<H>,
    pub(super) house: Arc<House<H>>,
    pub(super) place: Arc<Place<H>>,
}

impl<H: Host> Read for Wire<H> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.unread.has_remaining() {
            let count = this.unread.len().min(buffer.remaining());
            let bytes = this.unread.split_to(count);
            if !this.may_read(&bytes) {
                return Poll::Pending;
            }
            buffer.put_slice(&bytes);
            return Poll::Ready(Ok(()));
        }
        // On the stack and copied: hyper's cursor can only be advanced over what was put there, or by `unsafe`.
        let mut bytes = [0; 4096];
        let room = bytes.len().min(buffer.remaining());
        let count = ready!(this.line.poll_read(cx, &mut bytes[..room]))?;
        if count > 0 && !this.may_read(&bytes[..count]) {
            return Poll::Pending;
        }
        buffer.put_slice(&bytes[..count]);
        Poll::Ready(Ok(()))
    }
}

impl<H: Host> Wire<H> {
    /// Notes that bytes have come. If hyper may not read them it waits, and the owner of deadlines ends the exchange in
    /// the same turn.
    fn may_read(&self, bytes: &[u8]) -> bool {
        let host = &self.house.host;
        self.notes.lock().received(bytes, host.time().mark(), host.policy())
    }
}

impl<H: Host> Write for Wire<H> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // A body that is always ready and a peer that always reads would keep hyper, and this thread, for ever.
        let turn = ready!(tokio::task::coop::poll_proceed(cx));
        loop {
            match self.line.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => {
                    turn.made_progress();
                    let taken = *result.as_ref().unwrap_or(&0);
                    self.notes.lock().wrote(self.house.host.time().mark(), taken);
                    self.place.write(taken);
                    return Poll::Ready(result);
                }
            }
            if self.line.poll_writable(cx)?.is_pending() {
                self.notes.lock().wrote(self.house.host.time().mark(), 0);
                self.place.write(0);
                return Poll::Pending;
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let rests = self.notes.lock().flushed();
        self.place.flush(rests);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.shut();
        Poll::Ready(Ok(()))
    }
}

impl<H: Host> Drop for Wire<H> {
    fn drop(&mut self) {
        let waiting = {
            let mut notes = self.notes.lock();
            notes.released = true;
            notes.waiting.take()
        };
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}

/// An answer's body that notes its end: hyper drops it then.
pub(super) struct Answer<H: Host> {
    body: Body,
    notes: Notes<H>,
    host: Arc<H>,
}

impl<H: Host> Answer<H> {
    pub(super) fn new(body: Body, notes: Notes<H>, host: Arc<H>) -> Self {
        Answer { body, notes, host }
    }
}

impl<H: Host> http_body::Body for Answer<H> {
    type Data = Bytes;
    type Error = axum_core::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum_core::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<H: Host> Drop for Answer<H> {
    fn drop(&mut self) {
        self.notes.lock().answered(self.host.time().mark());
    }
}
