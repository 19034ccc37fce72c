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

use super::course::Broken;
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
            let room = this.unread.len().min(buffer.remaining());
            let count = ready!(this.share(cx, &this.unread[..room], this.unread.len()))?;
            buffer.put_slice(&this.unread.split_to(count));
            return Poll::Ready(Ok(()));
        }
        // On the stack and copied: hyper's cursor can only be advanced over what was put there, or by `unsafe`.
        let mut bytes = [0; 4096];
        let room = bytes.len().min(buffer.remaining());
        let read = ready!(this.line.poll_read(cx, &mut bytes[..room]))?;
        if read == 0 {
            return Poll::Ready(Ok(()));
        }
        let shared = this.share(cx, &bytes[..read], read);
        let count = if let Poll::Ready(Ok(count)) = shared { count } else { 0 };
        this.unread = Bytes::copy_from_slice(&bytes[count..read]);
        let _ = ready!(shared)?;
        buffer.put_slice(&bytes[..count]);
        Poll::Ready(Ok(()))
    }
}

impl<H: Host> Wire<H> {
    /// How many of these bytes, of as many as lie here, hyper may have now. If it may have none it waits until it has
    /// answered, or until the owner of deadlines ends the exchange, in the same turn.
    fn share(&self, cx: &mut Context<'_>, bytes: &[u8], lying: usize) -> Poll<io::Result<usize>> {
        let host = &self.house.host;
        let mut notes = self.notes.lock();
        let shared = notes.received(bytes, host.time().mark(), host.policy());
        notes.lying = lying - shared.unwrap_or(0);
        match shared {
            Ok(0) => {
                notes.reading = Some(cx.waker().clone());
                Poll::Pending
            }
            Ok(count) => Poll::Ready(Ok(count)),
            Err(Broken) => Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "no end of a body"))),
        }
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
        let reading = {
            let mut notes = self.notes.lock();
            notes.answered(self.host.time().mark());
            notes.reading.take()
        };
        if let Some(reading) = reading {
            reading.wake();
        }
    }
}
