//! Whichever of two is ready first. (`tokio::select!` would bring a feature and a procedural macro with it.)

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Which one it was.
pub(super) enum First<A, B> {
    One(A),
    Other(B),
}

/// Waits for whichever is ready first, and drops the other; the one where both are.
pub(super) async fn first<A, B>(one: impl Future<Output = A>, other: impl Future<Output = B>) -> First<A, B> {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|cx| match one.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(First::One(value)),
        Poll::Pending => other.as_mut().poll(cx).map(First::Other),
    })
    .await
}
