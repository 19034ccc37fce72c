//! The contract with hyper: the socket as hyper sees it. It first replays what was read before, and it records in the
//! [`HttpState`] what hyper does.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum_core::body::Body;
use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use parking_lot::Mutex;

use super::connections::Connections;
use super::http_state::HttpState;
use super::idle_slot::IdleSlot;
use super::service::Service;
use super::strict_crlf::Broken;
use crate::socket::Socket;

/// How far one exchange is, shared by the service, the answer's body, the socket and the owner of deadlines. All run
/// in one task; the lock is there because the types must be `Send`.
pub(super) type SharedHttpState<H> = Arc<Mutex<HttpState<<H as Service>::PendingHold>>>;

/// A socket under hyper.
pub(super) struct HttpIo<H: Service> {
    pub(super) socket: Arc<dyn Socket>,
    /// Read before hyper was there.
    pub(super) unread: Bytes,
    pub(super) state: SharedHttpState<H>,
    pub(super) connections: Arc<Connections<H>>,
    pub(super) slot: Arc<IdleSlot<H>>,
}

impl<H: Service> Read for HttpIo<H> {
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
        let read = ready!(this.socket.poll_read(cx, &mut bytes[..room]))?;
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

impl<H: Service> HttpIo<H> {
    /// How many of these bytes hyper may have now; `lying` is how many were read. If it may have none, it waits until
    /// it has answered, or until the owner of deadlines ends the exchange in the same turn.
    fn share(&self, cx: &mut Context<'_>, bytes: &[u8], lying: usize) -> Poll<io::Result<usize>> {
        let service = &self.connections.service;
        let mut state = self.state.lock();
        let shared = state.received(bytes, service.time().mark(), service.server_config());
        state.unread = lying - shared.unwrap_or(0);
        match shared {
            Ok(0) => {
                state.reading = Some(cx.waker().clone());
                Poll::Pending
            }
            Ok(count) => Poll::Ready(Ok(count)),
            Err(Broken) => Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "no end of a body"))),
        }
    }
}

impl<H: Service> Write for HttpIo<H> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // A body that is always ready and a peer that always reads would keep hyper, and this thread, for ever.
        let turn = ready!(tokio::task::coop::poll_proceed(cx));
        loop {
            match self.socket.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => {
                    turn.made_progress();
                    let taken = *result.as_ref().unwrap_or(&0);
                    self.state.lock().wrote(self.connections.service.time().mark(), taken);
                    self.slot.write(taken);
                    return Poll::Ready(result);
                }
            }
            if self.socket.poll_writable(cx)?.is_pending() {
                self.state.lock().wrote(self.connections.service.time().mark(), 0);
                self.slot.write(0);
                return Poll::Pending;
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let rests = self.state.lock().flushed();
        self.slot.flush(rests);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.shut();
        Poll::Ready(Ok(()))
    }
}

impl<H: Service> Drop for HttpIo<H> {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.state.lock();
            state.released = true;
            state.waiting.take()
        };
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}

/// An answer's body that records its end: hyper drops it then.
pub(super) struct Answer<H: Service> {
    body: Body,
    state: SharedHttpState<H>,
    service: Arc<H>,
}

impl<H: Service> Answer<H> {
    pub(super) fn new(body: Body, state: SharedHttpState<H>, service: Arc<H>) -> Self {
        Answer { body, state, service }
    }
}

impl<H: Service> http_body::Body for Answer<H> {
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

impl<H: Service> Drop for Answer<H> {
    fn drop(&mut self) {
        let reading = {
            let mut state = self.state.lock();
            state.answered(self.service.time().mark());
            state.reading.take()
        };
        if let Some(reading) = reading {
            reading.wake();
        }
    }
}

/// Returns when the I/O of an upgraded connection is dropped. Dropping this future before that cuts the connection.
pub(super) async fn released<H: Service>(socket: &Arc<dyn Socket>, state: SharedHttpState<H>) {
    let mut cut = CutOnDrop(Some(socket));
    poll_fn(|cx| {
        let mut state = state.lock();
        if state.released {
            return Poll::Ready(());
        }
        state.waiting = Some(cx.waker().clone());
        Poll::Pending
    })
    .await;
    cut.0 = None;
}

/// Cuts an upgraded connection when the server stops waiting for it.
struct CutOnDrop<'a>(Option<&'a Arc<dyn Socket>>);

impl Drop for CutOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(socket) = self.0 {
            socket.cut();
        }
    }
}
