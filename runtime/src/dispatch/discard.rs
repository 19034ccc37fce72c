//! Between our last word and the end of a connection. Closing on unread bytes would be an RST, and destroy that word on its
//! way; so what the peer still sends is read and forgotten until it closes, too.

use std::task::{Context, Poll};

use abeyance_core::words::peer_io::PeerIo;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Discarded {
    /// The peer has closed too, or is gone.
    PeerClosed,
    /// The peer goes on sending.
    TooMuch,
}

/// How often is read in one turn: a peer that sends without end must not keep others waiting.
const TURN: usize = 16;

/// Reads and forgets, `most` bytes in all.
pub(crate) fn discard(
    socket: &dyn PeerIo,
    cx: &mut Context<'_>,
    discarded: &mut usize,
    most: usize,
) -> Poll<Discarded> {
    let mut buffer = [0; 8 * 1024];
    for _ in 0..TURN {
        match socket.poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(count @ 1..)) => *discarded += count,
            Poll::Ready(_) => return Poll::Ready(Discarded::PeerClosed),
            Poll::Pending => return Poll::Pending,
        }
        if *discarded > most {
            return Poll::Ready(Discarded::TooMuch);
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}
