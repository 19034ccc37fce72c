//! The plain refusal of a function: a status and a text.

use std::borrow::Cow;
use std::fmt;

use axum_core::response::IntoResponse;
use http::StatusCode;

use super::Response;

/// Why a function does not hold a connection: a status and a text for the client.
///
/// ```
/// use abeyance::{Refusal, Suspend, suspend};
///
/// #[suspend]
/// async fn enter() -> Result<Suspend, Refusal> {
///     Err(Refusal::unauthorized("log in first"))
/// }
/// ```
///
/// The `E` of a function's `Result<Suspend<C>, E>` may be any `IntoResponse`. Where a header is needed, such as
/// `WWW-Authenticate`, use `abeyance::http::Response<abeyance::Body>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    status: StatusCode,
    text: Cow<'static, str>,
}

impl Refusal {
    /// Refuses with this status and text. Use a status of 400 and above: clients take others for success.
    pub fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Refusal { status, text: text.into() }
    }

    /// `400 Bad Request`.
    pub fn bad_request(text: impl Into<Cow<'static, str>>) -> Self {
        Refusal::new(StatusCode::BAD_REQUEST, text)
    }

    /// `401 Unauthorized`: it is not known who asks.
    pub fn unauthorized(text: impl Into<Cow<'static, str>>) -> Self {
        Refusal::new(StatusCode::UNAUTHORIZED, text)
    }

    /// `403 Forbidden`: it is known who asks, and they may not.
    pub fn forbidden(text: impl Into<Cow<'static, str>>) -> Self {
        Refusal::new(StatusCode::FORBIDDEN, text)
    }

    /// `404 Not Found`.
    pub fn not_found(text: impl Into<Cow<'static, str>>) -> Self {
        Refusal::new(StatusCode::NOT_FOUND, text)
    }

    /// `409 Conflict`.
    pub fn conflict(text: impl Into<Cow<'static, str>>) -> Self {
        Refusal::new(StatusCode::CONFLICT, text)
    }

    /// `410 Gone`: an `EventSource` does not come back after it.
    pub fn gone(text: impl Into<Cow<'static, str>>) -> Self {
        Refusal::new(StatusCode::GONE, text)
    }

    /// `429 Too Many Requests`.
    pub fn too_many_requests(text: impl Into<Cow<'static, str>>) -> Self {
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, text)
    }

    /// `500 Internal Server Error`.
    pub fn internal(text: impl Into<Cow<'static, str>>) -> Self {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }

    /// `503 Service Unavailable`.
    pub fn unavailable(text: impl Into<Cow<'static, str>>) -> Self {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text)
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, self.text).into_response()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.text)
    }
}

impl std::error::Error for Refusal {}
