//! User code, bounded: a panic or a deadline in it is a value here, and never more than that.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::endpoint::BoxFuture;
use crate::keeper::deadline::Deadline;
use crate::keeper::time::Time;
use crate::words::escaped::Escaped;

/// A future of the application's that is given up at its deadline, in served time.
///
/// No timer exists before it was pending once, so a hook that never waits costs none.
pub(super) struct Guarded<'a, T> {
    state: State<'a, T>,
    deadline: Duration,
    time: &'a Time,
    timer: Option<Deadline>,
}

enum State<'a, T> {
    Running(BoxFuture<'a, T>),
    Failed(Fault),
    Done,
}

/// How user code failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It panicked, saying this.
    Panicked(String),
    /// It was still waiting at its deadline.
    Overdue(Duration),
}

impl<'a, T> Guarded<'a, T> {
    /// Calls `start` at once: a hook need not be an `async fn`, and may panic when it is called.
    pub(super) fn start(
        start: impl FnOnce() -> BoxFuture<'a, T>,
        deadline: Duration,
        time: &'a Time,
    ) -> Self {
        let state = match caught(start) {
            Ok(future) => State::Running(future),
            Err(fault) => State::Failed(fault),
        };
        Guarded { state, deadline, time, timer: None }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, Fault>> {
        let outcome = match std::mem::replace(&mut self.state, State::Done) {
            State::Failed(fault) => Err(fault),
            State::Done => return Poll::Pending,
            State::Running(mut future) => match poll_caught(&mut future, cx) {
                Poll::Ready(outcome) => outcome,
                Poll::Pending => {
                    let timer = self.timer.get_or_insert_with(|| Deadline::after(self.deadline, self.time));
                    if timer.poll(self.time, cx).is_pending() {
                        self.state = State::Running(future);
                        return Poll::Pending;
                    }
                    drop_quietly(future);
                    Err(Fault::Overdue(self.deadline))
                }
            },
        };
        Poll::Ready(outcome)
    }
}

impl<T> Future for Guarded<'_, T> {
    type Output = Result<T, Fault>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Guarded::poll(self.get_mut(), cx)
    }
}

impl<T> Drop for Guarded<'_, T> {
    fn drop(&mut self) {
        if let State::Running(future) = std::mem::replace(&mut self.state, State::Done) {
            drop_quietly(future);
        }
    }
}

impl<T> Unpin for Guarded<'_, T> {}

/// Polls user code; a panic in it is a [`Fault`].
pub(super) fn poll_caught<T>(future: &mut BoxFuture<'_, T>, cx: &mut Context<'_>) -> Poll<Result<T, Fault>> {
    Poll::Ready(match caught(|| future.as_mut().poll(cx)) {
        Ok(poll) => Ok(ready!(poll)),
        Err(fault) => Err(fault),
    })
}

/// Drops something of the application's, whose destructor may panic.
pub(super) fn drop_quietly<T>(what: T) {
    if let Err(fault) = caught(|| drop(what)) {
        tracing::error!(%fault, "a destructor of the application failed");
    }
}

/// Runs user code. Unwind-safe, because whatever it touched is dropped or handed to an end hook that expects the worst.
pub(super) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| Fault::Panicked(said(payload)))
}

fn said(payload: Box<dyn Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => {
            payload.downcast_ref::<&str>().map_or_else(|| "a panic".to_owned(), |text| (*text).to_owned())
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Panicked(text) => write!(f, "panicked: {}", Escaped(text)),
            Fault::Overdue(deadline) => write!(f, "still waiting after {deadline:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::Keeper;

    const DEADLINE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn what_finishes_in_time_gives_its_value() {
        let time = Time::start();
        let hook = Guarded::start(|| Box::pin(async { 7 }), DEADLINE, &time);
        assert_eq!(hook.await, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_future_that_never_returns_is_given_up_at_its_deadline() {
        let keeper = Keeper::new();
        tokio::spawn(keeper.clone().keep_time());
        let before = tokio::time::Instant::now();
        let hook = Guarded::start(|| Box::pin(std::future::pending::<()>()), DEADLINE, keeper.time());
        assert_eq!(hook.await, Err(Fault::Overdue(DEADLINE)));
        assert_eq!(before.elapsed().as_secs(), 30);
    }

    #[tokio::test]
    async fn a_panic_is_told_whether_called_or_polled() {
        let time = Time::start();
        let polled = Guarded::<()>::start(|| Box::pin(async { panic!("polled {}", 1) }), DEADLINE, &time);
        assert_eq!(polled.await, Err(Fault::Panicked("polled 1".into())));
        let called = Guarded::<()>::start(|| panic!("called"), DEADLINE, &time);
        assert_eq!(called.await, Err(Fault::Panicked("called".into())));
    }
}
