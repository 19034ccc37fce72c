//! The last moments of a connection: closing so that our last word arrives, and waiting for who took it over.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use super::http_io::SharedHttpState;
use super::service::Service;
use crate::dispatch::{Time, discard};
use crate::socket::Socket;
use abeyance_core::words::tick::Tick;

/// How much is discarded after our last word, of what has no place among the holds.
const MOST_DISCARDED: usize = 1 << 20;

/// Sends our FIN and waits for the peer's, discarding what it still sends.
pub(super) async fn linger(line: &Arc<dyn Socket>, due: Tick, time: &Time) {
    line.shut();
    let mut discarded = 0;
    let ended = poll_fn(|cx| discard(&**line, cx, &mut discarded, MOST_DISCARDED));
    // Whoever goes on sending is cut by our closing.
    let _ = time.before(due, ended).await;
}

/// Returns when the wire of an upgraded connection is dropped; cuts it when dropped itself before that.
pub(super) async fn released<H: Service>(line: &Arc<dyn Socket>, notes: SharedHttpState<H>) {
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
