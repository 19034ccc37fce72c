//! Closing so that the last answer arrives.

use std::future::poll_fn;
use std::sync::Arc;

use crate::dispatch::{Time, discard};
use crate::socket::Socket;
use abeyance_core::words::tick::Tick;

/// How many bytes of a connection that is not held are discarded after its last answer.
const MOST_DISCARDED: usize = 1 << 20;

/// Sends our FIN and waits for the peer's, discarding what it still sends.
pub(super) async fn linger(socket: &Arc<dyn Socket>, due: Tick, time: &Time) {
    socket.shut();
    let mut discarded = 0;
    let ended = poll_fn(|cx| discard(&**socket, cx, &mut discarded, MOST_DISCARDED));
    // A peer that sends more is reset when the socket is closed.
    let _ = time.before(due, ended).await;
}
