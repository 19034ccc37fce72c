//! One connection from its acceptance to its close: heads and plain answers under hyper, holds without it.

use std::sync::Arc;

use super::head::{Turn, Visit, hear};
use super::host::{Guest, Host};
use super::house::Seat;
use super::place::Place;
use crate::dispatch::After;
use crate::socket::Socket;

/// Speaks with one peer until the connection is closed.
///
/// This future lives as long as the connection, and most of that in a hold: its size is a budget (a test below).
/// Everything of the time before a hold is boxed, and gone while there is one.
pub(super) fn converse<H: Host>(
    seat: Seat<H>,
    place: Arc<Place<H>>,
    line: Arc<dyn Socket>,
) -> impl Future<Output = ()> + Send {
    let first = Box::pin(hear(seat, line, Some(place), Visit::First));
    // A block and no `async fn`, which would keep a second copy of its arguments.
    async move {
        let mut head = first;
        loop {
            let Some(Turn { guest, unread, lasting, seat, line }) = head.await else { return };
            let attending = guest.attend(&line, unread);
            match attending.await {
                After::KeepAlive { unread } => {
                    let visit = if lasting { Visit::Return(unread) } else { Visit::Leave };
                    head = Box::pin(hear(seat, line, None, visit));
                }
                After::Close => return,
            }
        }
    }
}
