//! Tasks that serve everybody: the sweep, the scheduler, accepting, the audits. A panic ends a turn of such a task, never
//! the task.
//!
//! It is the second line of defence. What is known to panic, the application's code, is guarded where it is called.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use super::foreign::caught;

/// Runs one turn of a task; `None` if it panicked, which is logged.
pub fn turn<T>(task: &'static str, run: impl FnOnce() -> T) -> Option<T> {
    caught(run).map_err(|fault| tell(task, &fault)).ok()
}

/// As [`turn`], of a turn that waits.
pub async fn waiting_turn<T>(task: &'static str, run: impl Future<Output = T>) -> Option<T> {
    let mut run = pin!(run);
    let outcome = poll_fn(|cx| match caught(|| run.as_mut().poll(cx)) {
        Ok(poll) => poll.map(Ok),
        Err(fault) => Poll::Ready(Err(fault)),
    });
    outcome.await.map_err(|fault| tell(task, &fault)).ok()
}

fn tell(task: &str, fault: &str) {
    // Not even a subscriber of the log that panics ends the task.
    let _ = caught(|| tracing::error!(task, fault, "a task of the server panicked, and goes on"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_that_panics_gives_nothing_and_no_more_than_that() {
        assert_eq!(turn("test", || 7), Some(7));
        assert_eq!(turn("test", || -> u8 { panic!("once") }), None);
        assert_eq!(waiting_turn("test", async { 7 }).await, Some(7));
        let panics = async {
            tokio::task::yield_now().await;
            panic!("later");
        };
        assert_eq!(waiting_turn::<()>("test", panics).await, None);
    }
}
