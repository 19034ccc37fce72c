//! What an annotated function may return, and running one.

use axum_core::response::IntoResponse;
use http::StatusCode;

use super::lifecycle::Lifecycle;
use super::outcome::Outcome;
use super::suspend::Suspend;
use super::suspension::Suspension;
use super::{BoxFuture, Response};
use abeyance_core::words::refusal_reason::RefusalReason;

/// A function's answer: hold the connection, or refuse to. `O` is what the hooks of its context return.
#[diagnostic::on_unimplemented(
    message = "a `#[suspend]` function returns `Suspend<C>` or `Result<Suspend<C>, E>`, not `{Self}`",
    label = "expected `Suspend<C>` or `Result<Suspend<C>, E>`",
    note = "`C` implements `abeyance::Lifecycle` (`()` does, and `Suspend::new()` has it)",
    note = "`E` implements `IntoResponse`, as `abeyance::Refusal` does"
)]
pub trait Answer<O> {
    /// The hold that was asked for, or the answer that refuses it.
    ///
    /// # Errors
    /// The answer that refuses.
    #[allow(clippy::result_large_err, reason = "made once for a request, and written at once")]
    fn answer(self) -> Result<Suspension, Response>;
}

impl<C: Lifecycle<O>, O: Outcome> Answer<O> for Suspend<C> {
    fn answer(self) -> Result<Suspension, Response> {
        self.erase().map_err(|misuse| {
            tracing::error!(%misuse, "a hold was refused");
            because(RefusalReason::Failed, StatusCode::INTERNAL_SERVER_ERROR.into_response())
        })
    }
}

impl<C: Lifecycle<O>, O: Outcome, E: IntoResponse> Answer<O> for Result<Suspend<C>, E> {
    fn answer(self) -> Result<Suspension, Response> {
        self.map_err(IntoResponse::into_response).and_then(Answer::answer)
    }
}

/// Tells the layer above, which counts refusals, that this one is not the function's.
fn because(why: RefusalReason, mut refusal: Response) -> Response {
    refusal.extensions_mut().insert(why);
    refusal
}

/// Runs a function once its arguments are extracted.
///
/// Generated code hands the function over as a closure: a future of it that is not `Send` is then told under the
/// function's own name.
pub fn run<X, T, F, R, O>(arguments: T, function: F) -> BoxFuture<'static, Result<Suspension, Response>>
where
    X: Send,
    T: Future<Output = Result<X, Response>> + Send + 'static,
    F: FnOnce(X) -> R + Send + 'static,
    R: Future<Output: Answer<O>> + Send + 'static,
{
    Box::pin(async move {
        let arguments = arguments.await.map_err(|refusal| because(RefusalReason::Argument, refusal))?;
        function(arguments).await.answer()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::refusal::Refusal;

    #[tokio::test]
    async fn a_refusal_is_answered_as_it_is() {
        let refused = run(async { Ok((7,)) }, |(seven,)| async move {
            if seven == 7 { Err(Refusal::forbidden("not seven")) } else { Ok(Suspend::new()) }
        });
        assert_eq!(refused.await.expect_err("refused").status(), StatusCode::FORBIDDEN);
    }

    #[tokio::test]
    async fn a_failed_argument_is_the_answer_and_the_function_does_not_run() {
        let arguments = async { Err::<(), _>(StatusCode::BAD_REQUEST.into_response()) };
        let answer = run(arguments, |()| async { unreachable!() as Suspend });
        assert_eq!(answer.await.expect_err("bad").status(), StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn a_misused_suspend_is_answered_500() {
        let answer = run(async { Ok(()) }, |()| async { Suspend::new().header("a b", "c") });
        assert_eq!(answer.await.expect_err("misused").status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
