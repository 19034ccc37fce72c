//! Answers for requests that are not held.

use std::time::Duration;

use axum_core::body::Body;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};

use crate::keeper::admission::Refused;
use abeyance_core::words::refusal_reason::RefusalReason;

use super::refusal_log::{RefusalTag, because};

/// No client comes back sooner: no reason is over at once.
const SOONEST: Duration = Duration::from_secs(1);

/// Over how long those who are sent away come back at least.
const LEAST_SPREAD: Duration = Duration::from_secs(4);

/// When a client that is sent away shall come back: drawn, so that those sent away together do not come back together.
///
/// `spread` is that of a drain. The returns are spread at least as widely as the ends: a server that takes over from
/// this one meets no more a second than this one lets go, and so does one that starts in its place and finds all of
/// them waiting. More would keep clients away from servers that could have them.
pub(super) fn retry_after(spread: Duration) -> Duration {
    let spread = spread.max(LEAST_SPREAD);
    SOONEST + Duration::from_millis(fastrand::u64(..=spread.as_millis() as u64))
}

/// The same in whole seconds, as `Retry-After` has it.
pub(super) fn retry_seconds(spread: Duration) -> u64 {
    retry_after(spread).as_millis().div_ceil(1_000) as u64
}

/// A short answer in plain text.
pub(super) fn plain(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let text = Bytes::from(text.into());
    let mut response = Response::new(Body::from(text.clone()));
    *response.status_mut() = status;
    if status.as_u16() >= 400 {
        let why = RefusalReason::by_status(status.as_u16());
        response.extensions_mut().insert(RefusalTag { why, text });
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    if status.as_u16() >= 400 {
        response = because(RefusalReason::by_status(status.as_u16()), response);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The answer to a request whose body did not arrive: nothing else can come on its connection.
pub(super) fn late() -> Response<Body> {
    closing(empty(StatusCode::REQUEST_TIMEOUT))
}

/// The same answer, after which the connection closes.
pub(super) fn closing(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// No place: 503 where others take it, 429 where the client itself does.
pub(super) fn full(refused: Refused, spread: Duration) -> Response<Body> {
    let (status, text) = words(refused);
    let mut response = because(refused.into(), plain(status, text));
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_seconds(spread)));
    response
}

pub(super) fn words(refused: Refused) -> (StatusCode, &'static str) {
    match refused {
        Refused::Draining => (StatusCode::SERVICE_UNAVAILABLE, "shutting down"),
        Refused::Full(limit) if limit.is_personal() => {
            (StatusCode::TOO_MANY_REQUESTS, "too many held connections of yours")
        }
        Refused::Full(_) => (StatusCode::SERVICE_UNAVAILABLE, "too many held connections"),
    }
}
