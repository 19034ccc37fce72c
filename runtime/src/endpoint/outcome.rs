//! What a hook returns: nothing, or a `Result`.

use super::BoxError;

/// What the hooks of a [`Lifecycle`](crate::Lifecycle) return: `()`, or `Result<(), E>` where `E` turns into a
/// [`BoxError`](crate::BoxError). There are no others.
#[diagnostic::on_unimplemented(
    message = "a hook returns `()` or `Result<(), E>`, not `{Self}`",
    label = "expected `()` or `Result<(), E>`",
    note = "`E` turns into `abeyance::BoxError`, as errors, `String` and `BoxError` itself do"
)]
pub trait Outcome: Sealed + 'static {
    /// What a hook that was not written returns.
    #[doc(hidden)]
    fn fine() -> Self;

    /// The error, if it is one.
    #[doc(hidden)]
    fn into_result(self) -> Result<(), BoxError>;
}

impl Outcome for () {
    fn fine() {}

    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: Into<BoxError> + 'static> Outcome for Result<(), E> {
    fn fine() -> Self {
        Ok(())
    }

    fn into_result(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}

/// The runtime knows both outcomes, so that another crate cannot add a third.
pub trait Sealed {}

impl Sealed for () {}
impl<E> Sealed for Result<(), E> {}
