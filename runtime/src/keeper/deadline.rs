//! Deadlines in served time: a stall of the server moves them.
//!
//! A timer of tokio knows real time only. After a minute in which the process was stopped, all timers fire at once, and
//! would end holds that had a few seconds left, though the server could not read meanwhile. So a timer that fires only
//! looks at the keeper's [`Time`]. If that has not noticed the stall yet, the deadline waits for it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use abeyance_core::words::tick::Tick;

use super::time::Time;

/// A moment in served time that is waited for.
pub(crate) struct Deadline {
    due: Tick,
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    pub(crate) fn at(due: Tick, time: &Time) -> Self {
        Deadline { due, timer: Box::pin(sleep(time.left(due).unwrap_or_default())) }
    }

    pub(crate) fn after(span: Duration, time: &Time) -> Self {
        Deadline::at(time.mark().plus(span), time)
    }

    pub(crate) fn due(&self) -> Tick {
        self.due
    }

    /// Whether the timer has fired.
    pub(crate) fn is_over(&self) -> bool {
        self.timer.is_elapsed()
    }

    /// Waits for another moment instead.
    pub(crate) fn reset(&mut self, due: Tick, time: &Time) {
        self.due = due;
        self.timer.as_mut().reset(Instant::now() + time.left(due).unwrap_or_default());
    }

    /// Returns when the moment has come.
    pub(crate) async fn passed(mut self, time: &Time) {
        poll_fn(|cx| self.poll(time, cx)).await;
    }

    /// Ready when the moment has come.
    pub(crate) fn poll(&mut self, time: &Time, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let Some(left) = time.left(self.due) else { return Poll::Ready(()) };
            self.timer.as_mut().reset(Instant::now() + left);
        }
    }
}

impl Time {
    /// The output of a future, if it is ready before `due`. The future is polled before the deadline, also after a
    /// stall: what came meanwhile counts.
    pub(crate) async fn before<T>(&self, due: Tick, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        // Most futures are ready at once and need no timer.
        let mut late = None;
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => {
                let late = late.get_or_insert_with(|| Deadline::at(due, self));
                late.poll(self, cx).map(|()| None)
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn is_over(deadline: &mut Deadline, time: &Time) -> bool {
        deadline.poll(time, &mut Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    /// Moves on in steps that are no stall.
    async fn serve(time: &Time, span: Duration) {
        for _ in 0..span.as_millis() / 25 {
            advance(Duration::from_millis(25)).await;
            time.sweep();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_comes_on_time() {
        let time = Time::start();
        let mut deadline = Deadline::after(3 * SECOND, &time);
        serve(&time, 3 * SECOND).await;
        assert!(!is_over(&mut deadline, &time), "a millisecond early");
        advance(Duration::from_millis(1)).await;
        assert!(is_over(&mut deadline, &time));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_is_given_back_before_anyone_has_noticed_it_and_after() {
        let time = Time::start();
        let mut deadline = Deadline::after(3 * SECOND, &time);
        let mut near = Deadline::after(SECOND / 2, &time);
        serve(&time, SECOND / 4).await;
        advance(60 * SECOND).await;
        assert!(!is_over(&mut near, &time), "the stall is not noticed yet");
        serve(&time, SECOND / 4).await;
        assert!(is_over(&mut near, &time));
        assert!(!is_over(&mut deadline, &time));
        serve(&time, 5 * SECOND / 2).await;
        assert!(is_over(&mut deadline, &time));
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_during_a_stall_is_looked_at_before_the_deadline() {
        let time = Time::start();
        let asked = std::cell::Cell::new(false);
        let future = poll_fn(|_| match asked.replace(true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        });
        assert_eq!(time.before(Tick(0), future).await, None, "it was late before");
        time.sweep();
        assert_eq!(time.before(Tick(0), async {}).await, Some(()));
    }
}
