//! The last moments of a connection: closing so that our last word arrives, and waiting for who took it over.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use super::host::Host;
use super::wire::Notes;
use crate::dispatch::Time;
use crate::socket::Socket;
use crate::words::tick::Tick;

/// How much is discarded after our last word, so that closing does not destroy it.
const MOST_DISCARDED: usize = 1 << 20;

/// Sends our FIN and waits for the peer's, discarding what it still sends: closing on unread bytes is an RST, and
/// that would destroy our last word on its way.
pub(super) async fn linger(line: &Arc<dyn Socket>, due: Tick, time: &Time) {
    line.shut();
    let mut discarded = 0;
    let closed = poll_fn(|cx| {
        let mut bytes = [0; 4096];
        loop {
            match line.poll_read(cx, &mut bytes) {
                Poll::Ready(Ok(count)) if count > 0 && discarded < MOST_DISCARDED => discarded += count,
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    });
    let _ = time.before(due, closed).await;
}

/// Returns when the wire of an upgraded connection is dropped; cuts it when dropped itself before that.
pub(super) async fn released<H: Host>(line: &Arc<dyn Socket>, notes: Notes<H>) {
    let mut cut = CutOnDrop(Some(line));
    poll_fn(|cx| {
        let mut notes = notes.lock();
        if notes.released {
            return Poll::Ready(());
        }
        notes.waiting = Some(cx.waker().clone());
        Poll::Pending
    })
    .await;
    cut.0 = None;
}

/// Cuts an upgraded connection when the server stops waiting for it.
struct CutOnDrop<'a>(Option<&'a Arc<dyn Socket>>);

impl Drop for CutOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(line) = self.0 {
            line.cut();
        }
    }
}
