//! One argument of an annotated function.

use axum_core::extract::FromRequestParts;
use axum_core::response::IntoResponse;
use http::request::Parts;

use super::super::Response;
use super::super::states::States;

/// What can be an argument of an annotated function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a `#[suspend]` function",
    label = "not an extractor over the head of a request",
    note = "take what implements `FromRequestParts`: `abeyance::extract::{{Path, Query, State, Hub, ClientIp}}`, \
            `Method`, `Uri`, `HeaderMap`, ...",
    note = "an extractor that reads the body (`Json`, `String`, `Bytes`) cannot be one"
)]
pub trait Extractor: Sized + Send {
    /// Takes the argument out of the request.
    fn extract(parts: &mut Parts, states: &States) -> impl Future<Output = Result<Self, Response>> + Send;
}

// No `do_not_recommend` here: it would hide "`Who: Deserialize` is not satisfied".
impl<T: FromRequestParts<States> + Send> Extractor for T {
    async fn extract(parts: &mut Parts, states: &States) -> Result<Self, Response> {
        T::from_request_parts(parts, states).await.map_err(IntoResponse::into_response)
    }
}

/// Takes an argument out of the request; generated code names the type on the left of the call.
pub async fn extract<T: Extractor>(parts: &mut Parts, states: &States) -> Result<T, Response> {
    T::extract(parts, states).await
}
