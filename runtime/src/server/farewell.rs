//! The last moments of a connection: closing so that our last word arrives, and waiting for who took it over.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::time::{Instant, sleep_until};

use super::host::Host;
use super::wire::Notes;
use crate::socket::Socket;

/// How much is discarded after our last word, so that closing does not destroy it.
const MOST_DISCARDED: usize = 1 << 20;

/// Sends our FIN and waits for the peer's, discarding what it still sends: closing on unread bytes is an RST, and
/// that would destroy our last word on its way.
pub(super) async fn linger(line: &Arc<dyn Socket>, due: Instant) {
    line.shut();
    let mut late = pin!(sleep_until(due));
    let mut discarded = 0;
    poll_fn(|cx| {
        let mut bytes = [0; 4096];
        loop {
            match line.poll_read(cx, &mut bytes) {
                Poll::Ready(Ok(count)) if count > 0 && discarded < MOST_DISCARDED => discarded += count,
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return late.as_mut().poll(cx),
            }
        }
    })
    .await
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
