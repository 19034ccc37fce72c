//! User code, bounded: a panic or a deadline in it is a value here, and never more than that.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::endpoint::{BoxError, BoxFuture};
use crate::keeper::deadline::Deadline;
use crate::keeper::time::Time;
use abeyance_core::sync::foreign;
use abeyance_core::words::escaped::Escaped;

/// A future of the application's that is given up at its deadline, in served time.
///
/// No timer exists before it was pending once, so a hook that never waits costs none.
pub(super) struct UserCode<'a, T> {
    state: State<'a, T>,
    deadline: Duration,
    time: &'a Time,
    timer: Option<Deadline>,
}

enum State<'a, T> {
    ServerHandle(BoxFuture<'a, T>),
    Failed(HookFault),
    Done,
}

/// How user code failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HookFault {
    /// It panicked, saying this.
    Panicked(String),
    /// It returned this error.
    Returned(String),
    /// It was still waiting at its deadline.
    Overdue(Duration),
    /// It was still waiting when a shutdown had no more time.
    Cut,
}

impl<'a, T> UserCode<'a, T> {
    /// Calls `start` at once: a hook need not be an `async fn`, and may panic when it is called.
    pub(super) fn start(
        start: impl FnOnce() -> BoxFuture<'a, T>,
        deadline: Duration,
        time: &'a Time,
    ) -> Self {
        let state = match caught(start) {
            Ok(future) => State::ServerHandle(future),
            Err(fault) => State::Failed(fault),
        };
        UserCode { state, deadline, time, timer: None }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, HookFault>> {
        let outcome = match std::mem::replace(&mut self.state, State::Done) {
            State::Failed(fault) => Err(fault),
            State::Done => return Poll::Pending,
            State::ServerHandle(mut future) => match poll_caught(&mut future, cx) {
                Poll::Ready(outcome) => {
                    drop_quietly(future);
                    outcome
                }
                Poll::Pending => {
                    let timer = self.timer.get_or_insert_with(|| Deadline::after(self.deadline, self.time));
                    if timer.poll(self.time, cx).is_pending() {
                        self.state = State::ServerHandle(future);
                        return Poll::Pending;
                    }
                    drop_quietly(future);
                    Err(HookFault::Overdue(self.deadline))
                }
            },
        };
        Poll::Ready(outcome)
    }
}

impl<T> Future for UserCode<'_, T> {
    type Output = Result<T, HookFault>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        UserCode::poll(self.get_mut(), cx)
    }
}

impl<T> Drop for UserCode<'_, T> {
    fn drop(&mut self) {
        if let State::ServerHandle(future) = std::mem::replace(&mut self.state, State::Done) {
            drop_quietly(future);
        }
    }
}

impl<T> Unpin for UserCode<'_, T> {}

/// Polls user code; a panic in it is a [`HookFault`].
pub(super) fn poll_caught<T>(
    future: &mut BoxFuture<'_, T>,
    cx: &mut Context<'_>,
) -> Poll<Result<T, HookFault>> {
    Poll::Ready(match caught(|| future.as_mut().poll(cx)) {
        Ok(poll) => Ok(ready!(poll)),
        Err(fault) => Err(fault),
    })
}

/// An error that user code returned is a [`HookFault`] like any other.
pub(super) fn settled(outcome: Result<Result<(), BoxError>, HookFault>) -> Result<(), HookFault> {
    let Err(error) = outcome? else { return Ok(()) };
    // What an error says, and its destructor, are user code, too.
    let text = caught(|| with_sources(&*error));
    drop_quietly(error);
    Err(text.map_or_else(|fault| fault, HookFault::Returned))
}

/// What the error says, and why: the messages of its sources behind its own.
fn with_sources(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for source in std::iter::successors(error.source(), |error| error.source()).take(SOURCES) {
        text.push_str(": ");
        text.push_str(&source.to_string());
    }
    text
}

/// How many sources of an error are logged: an error of the application's may name itself as its source.
const SOURCES: usize = 16;

/// Drops something of the application's, whose destructor may panic.
pub(super) fn drop_quietly<T>(what: T) {
    foreign::drop_alone(what);
}

/// Runs user code; a panic in it is a [`HookFault`].
pub(super) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, HookFault> {
    foreign::caught(run).map_err(HookFault::Panicked)
}

impl std::fmt::Display for HookFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            HookFault::Panicked(text) => write!(f, "panicked: {}", Escaped(text)),
            HookFault::Returned(text) => write!(f, "returned an error: {}", Escaped(text)),
            HookFault::Overdue(deadline) => write!(f, "still waiting after {deadline:?}"),
            HookFault::Cut => f.write_str("still waiting when the server had to stop"),
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
        let hook = UserCode::start(|| Box::pin(async { 7 }), DEADLINE, &time);
        assert_eq!(hook.await, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_future_that_never_returns_is_given_up_at_its_deadline() {
        let keeper = Keeper::new();
        tokio::spawn(keeper.clone().keep_time());
        let before = tokio::time::Instant::now();
        let hook = UserCode::start(|| Box::pin(std::future::pending::<()>()), DEADLINE, keeper.time());
        assert_eq!(hook.await, Err(HookFault::Overdue(DEADLINE)));
        assert_eq!(before.elapsed().as_secs(), 30);
    }

    #[test]
    fn an_error_is_told_with_its_sources() {
        let error = std::io::Error::other(ParseError("odd".parse::<u32>().expect_err("no number")));
        let told = settled(Ok(Err(Box::new(error))));
        assert_eq!(told, Err(HookFault::Returned("cannot be read: invalid digit found in string".into())));
        assert_eq!(settled(Ok(Ok(()))), Ok(()));
    }

    #[test]
    fn an_error_that_panics_when_it_is_told_and_when_it_is_dropped_is_a_fault() {
        #[derive(Debug)]
        struct Wild;
        impl std::error::Error for Wild {}
        impl std::fmt::Display for Wild {
            fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                panic!("told")
            }
        }
        impl Drop for Wild {
            fn drop(&mut self) {
                panic!("dropped")
            }
        }
        assert_eq!(settled(Ok(Err(Box::new(Wild)))), Err(HookFault::Panicked("told".into())));
    }

    #[derive(Debug)]
    struct ParseError(std::num::ParseIntError);
    impl std::fmt::Display for ParseError {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("cannot be read")
        }
    }
    impl std::error::Error for ParseError {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[tokio::test]
    async fn a_panic_is_told_whether_called_or_polled() {
        let time = Time::start();
        let polled = UserCode::<()>::start(|| Box::pin(async { panic!("polled {}", 1) }), DEADLINE, &time);
        assert_eq!(polled.await, Err(HookFault::Panicked("polled 1".into())));
        let called = UserCode::<()>::start(|| panic!("called"), DEADLINE, &time);
        assert_eq!(called.await, Err(HookFault::Panicked("called".into())));
    }
}
