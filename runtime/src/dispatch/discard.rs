//! Between our last word and the end of a connection. Closing on unread bytes would be an RST, and destroy that word on its
//! way; so what the peer still sends is read and forgotten until it closes, too.

use std::task::{Context, Poll};

use abeyance_core::words::peer_io::PeerIo;

/// How a peer takes its ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It has closed too, or is gone.
    Closed,
    /// It goes on as if there were none.
    Deaf,
}

/// How often is read in one turn: whoever sends without end must not keep the others waiting.
const TURN: usize = 16;

/// Reads and forgets, `most` bytes in all.
pub(crate) fn discard(
    line: &dyn PeerIo,
    cx: &mut Context<'_>,
    discarded: &mut usize,
    most: usize,
) -> Poll<Ending> {
    let mut buffer = [0; 8 * 1024];
    for _ in 0..TURN {
        match line.poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(count @ 1..)) => *discarded += count,
            Poll::Ready(_) => return Poll::Ready(Ending::Closed),
            Poll::Pending => return Poll::Pending,
        }
        if *discarded > most {
            return Poll::Ready(Ending::Deaf);
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}
