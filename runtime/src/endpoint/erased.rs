//! A context without its type, so that what attends a hold is compiled once, not once for each context.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::lifecycle::Lifecycle;
use super::outcome::Outcome;
use super::{BoxError, BoxFuture};
use crate::keeper::ended::Ended;
use crate::keeper::held::Held;
use abeyance_core::words::cause::{Disconnect, Resume};
use abeyance_core::words::message::Message;

/// The hooks of some [`Lifecycle`]. A hook that was not written allocates nothing.
///
/// Calling a hook may panic already, before its future is polled: a hook need not be an `async fn`.
pub(crate) trait Erased: Send {
    fn on_suspend<'a>(&'a mut self, held: &'a Held) -> BoxFuture<'a, Result<(), BoxError>>;
    fn on_message<'a>(&'a mut self, held: &'a Held, message: Message) -> BoxFuture<'a, Result<(), BoxError>>;
    fn on_resume<'a>(self: Box<Self>, ended: &'a Ended, cause: Resume)
    -> BoxFuture<'a, Result<(), BoxError>>;
    fn on_disconnect<'a>(
        self: Box<Self>,
        ended: &'a Ended,
        cause: Disconnect,
    ) -> BoxFuture<'a, Result<(), BoxError>>;
}

/// A context, and what its hooks return.
pub(crate) struct Typed<C, O> {
    context: C,
    outcome: PhantomData<fn() -> O>,
}

impl<C: Lifecycle<O>, O: Outcome> Typed<C, O> {
    pub(crate) fn new(context: C) -> Self {
        Typed { context, outcome: PhantomData }
    }
}

impl<C: Lifecycle<O>, O: Outcome> Erased for Typed<C, O> {
    fn on_suspend<'a>(&'a mut self, held: &'a Held) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(Settled { hook: self.context.on_suspend(held) })
    }

    fn on_message<'a>(&'a mut self, held: &'a Held, message: Message) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(Settled { hook: self.context.on_message(held, message) })
    }

    fn on_resume<'a>(
        self: Box<Self>,
        ended: &'a Ended,
        cause: Resume,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(Settled { hook: self.context.on_resume(ended, cause) })
    }

    fn on_disconnect<'a>(
        self: Box<Self>,
        ended: &'a Ended,
        cause: Disconnect,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(Settled { hook: self.context.on_disconnect(ended, cause) })
    }
}

pin_project! {
    /// A hook whose outcome has one type for all return types. No larger than the hook: an async block around it
    /// would be a byte larger, and would have hooks that were not written allocate.
    struct Settled<F> {
        #[pin]
        hook: F,
    }
}

impl<F: Future<Output: Outcome>> Future for Settled<F> {
    type Output = Result<(), BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().hook.poll(cx).map(Outcome::into_result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telling_the_outcome_takes_no_room_beside_the_hook() {
        assert_eq!(size_of::<Settled<()>>(), 0);
        assert_eq!(size_of::<Settled<[u8; 40]>>(), 40);
        assert_eq!(size_of::<Typed<[u8; 40], Result<(), BoxError>>>(), 40);
    }
}
