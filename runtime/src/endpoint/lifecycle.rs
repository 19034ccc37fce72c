//! The hooks of a hold.

use std::future::Ready;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::outcome::Outcome;
use crate::keeper::ended::Ended;
use crate::keeper::held::Held;
use abeyance_core::words::cause::{Disconnect, End, Resume};
use abeyance_core::words::message::Message;

/// What a context does while its connection is held, and when the hold ends.
///
/// Every hook has a default that does nothing; write those you care about, as `async fn`. The context is owned by the
/// hold: hooks of one hold never run at the same time, and no `Sync` is needed.
///
/// Exactly one end hook runs for every hold, once: [`on_resume`](Lifecycle::on_resume) or
/// [`on_disconnect`](Lifecycle::on_disconnect). Both call [`on_end`](Lifecycle::on_end) unless you write them.
///
/// ```
/// use abeyance::{Ended, End, Held, Lifecycle, Message};
///
/// struct Seat { room: String, nick: String }
///
/// impl Lifecycle for Seat {
///     async fn on_message(&mut self, held: &Held, message: Message) {
///         held.publish(&self.room, format!("{}: {}", self.nick, message.as_text().unwrap_or("")));
///     }
///     async fn on_end(self, ended: &Ended, end: End) {
///         ended.publish(&self.room, format!("{} left: {end}", self.nick));
///     }
/// }
/// ```
///
/// # Hooks finish
/// A hook that has begun goes on to its end or its deadline, also when the hold's end begins meanwhile, and what had arrived
/// from the peer is heard before the end hook. The crate's documentation says exactly what a hook may rely on, under
/// "What a hook may rely on".
///
/// # When a hook fails
/// A hook that panics, returns an error, or overruns the hook deadline (30 s unless the server says otherwise), ends the
/// hold as [`Disconnect::Failed`]; the log tells why, and the end hook still runs. While `on_message` runs the peer is not
/// read. An end hook that fails is logged and counted ([`Stats::hooks_failed`](crate::Stats::hooks_failed)).
///
/// Hooks return nothing unless the `impl` names what they return instead, and then all hooks of this context return it:
///
/// ```
/// use abeyance::{End, Ended, Held, Lifecycle, Message};
///
/// struct Counter { sum: u64 }
///
/// impl Lifecycle<Result<(), std::num::ParseIntError>> for Counter {
///     async fn on_message(&mut self, held: &Held, message: Message) -> Result<(), std::num::ParseIntError> {
///         self.sum += message.as_text().unwrap_or("").parse::<u64>()?;
///         let _ = held.send(self.sum.to_string());
///         Ok(())
///     }
/// }
/// ```
///
/// The error may be anything that turns into a [`BoxError`](crate::BoxError): `BoxError` itself, `String`,
/// `anyhow::Error`, or an error of your own.
///
/// # Limits of the compiler
/// A hook's future must be `Send`. As inside `tokio::spawn`, closures that borrow across an await can make rustc say
/// "implementation of `FnOnce` is not general enough": call `.boxed()` on the stream before `.buffered(..)`, or iterate
/// over owned values.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the context of a hold: it does not implement `abeyance::Lifecycle`",
    label = "this context does not implement `Lifecycle`",
    note = "every hook has a default, so `impl abeyance::Lifecycle for {Self} {{}}` is enough to begin with"
)]
pub trait Lifecycle<O: Outcome = ()>: Sized + Send + 'static {
    /// The hold has begun and its head is written; nothing was sent yet.
    fn on_suspend(&mut self, held: &Held) -> impl Future<Output = O> + Send {
        let _ = held;
        Nothing(PhantomData)
    }

    /// The peer sent a message.
    fn on_message(&mut self, held: &Held, message: Message) -> impl Future<Output = O> + Send {
        let _ = (held, message);
        Nothing(PhantomData)
    }

    /// The server has ended the hold on purpose and in good order. Calls [`on_end`](Lifecycle::on_end) unless written.
    fn on_resume(self, ended: &Ended, cause: Resume) -> impl Future<Output = O> + Send {
        self.on_end(ended, End::Resume(cause))
    }

    /// The connection is gone, or judged to be gone. Calls [`on_end`](Lifecycle::on_end) unless written.
    fn on_disconnect(self, ended: &Ended, cause: Disconnect) -> impl Future<Output = O> + Send {
        self.on_end(ended, End::Disconnect(cause))
    }

    /// The hold has ended, for any cause.
    fn on_end(self, ended: &Ended, end: End) -> impl Future<Output = O> + Send {
        let _ = (ended, end);
        Nothing(PhantomData)
    }
}

/// A hold that keeps nothing and does nothing.
impl Lifecycle for () {}

/// A future without a size: boxing it does not allocate, where `async {}` is a byte and would.
struct Nothing<O>(PhantomData<fn() -> O>);

impl<O: Outcome> Future for Nothing<O> {
    type Output = O;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<O> {
        Poll::Ready(O::fine())
    }
}

/// `Ready<()>` would not do: it is a byte, too.
const _: () = assert!(size_of::<Nothing<()>>() == 0 && size_of::<Ready<()>>() > 0);

#[cfg(test)]
mod tests {
    use super::*;

    struct Silent(#[expect(dead_code, reason = "a size that must not matter")] [u8; 100]);
    impl Lifecycle for Silent {}

    struct Doubtful;
    impl Lifecycle<Result<(), String>> for Doubtful {}

    struct Last;
    impl Lifecycle for Last {
        async fn on_end(self, _: &Ended, _: End) {}
    }

    fn size_of_two<A, B, R>(_: fn(A, B) -> R) -> usize {
        size_of::<R>()
    }

    fn size_of_three<A, B, C, R>(_: fn(A, B, C) -> R) -> usize {
        size_of::<R>()
    }

    #[test]
    fn a_hook_that_was_not_written_allocates_nothing_when_boxed() {
        assert_eq!(size_of_two(<Silent as Lifecycle>::on_suspend), 0);
        assert_eq!(size_of_three(<Silent as Lifecycle>::on_message), 0);
        assert_eq!(size_of_three(<Silent as Lifecycle>::on_resume), 0);
        assert_eq!(size_of_three(<Silent as Lifecycle>::on_disconnect), 0);
        assert_eq!(size_of_three(<Silent as Lifecycle>::on_end), 0);
        assert_eq!(size_of_three(<Doubtful as Lifecycle<_>>::on_message), 0);
    }

    #[test]
    fn an_end_hook_that_hands_on_is_no_larger_than_the_one_it_calls() {
        let size = size_of_three(<Last as Lifecycle>::on_end);
        assert!(size > 0);
        assert_eq!(size_of_three(<Last as Lifecycle>::on_resume), size);
        assert_eq!(size_of_three(<Last as Lifecycle>::on_disconnect), size);
    }
}
