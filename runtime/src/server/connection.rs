//! One connection from its acceptance to its close: heads and plain answers under hyper, holds without it.

use std::sync::Arc;

use super::connections::ConnectionGuard;
use super::drive_hyper::{HttpOutcome, HttpTurn, next_hold};
use super::idle_slot::IdleSlot;
use super::service::{PendingHold, Service};
use crate::dispatch::After;
use crate::socket::Socket;

/// Speaks with one peer until the connection is closed.
///
/// This future lives as long as the connection, and most of that in a hold: its size is a budget (a test below).
/// Everything of the time before a hold is boxed, and gone while there is one.
pub(super) fn serve<H: Service>(
    guard: ConnectionGuard<H>,
    slot: Arc<IdleSlot<H>>,
    line: Arc<dyn Socket>,
) -> impl Future<Output = ()> + Send {
    let first = Box::pin(next_hold(guard, line, Some(slot), HttpOutcome::First));
    // A block and no `async fn`, which would keep a second copy of its arguments.
    async move {
        let mut head = first;
        loop {
            let Some(HttpTurn { pending, unread, lasting, guard, line }) = head.await else { return };
            let attending = pending.attend(&line, unread);
            match attending.await {
                After::KeepAlive { unread } => {
                    let visit = if lasting { HttpOutcome::Return(unread) } else { HttpOutcome::Leave };
                    head = Box::pin(next_hold(guard, line, None, visit));
                }
                After::Close => return,
            }
        }
    }
}
