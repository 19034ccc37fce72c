//! What SSE and stream clients say, by `POST` and `DELETE` with their hold's token.

use axum_core::body::Body;
use http::header::{self, HeaderMap};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::keeper::inbox::PostRefusal;
use abeyance_core::mechanisms::wire::WireForm;
use abeyance_core::mechanisms::wire::head::HOLD;
use abeyance_core::words::cause::Disconnect;
use abeyance_core::words::message::Message;
use abeyance_core::words::refusal_reason::RefusalReason;

use super::fallback::arriving;
use super::refusal_log::because;
use super::wait_state::WaitState;
use super::{Dispatch, Served, answers};
use abeyance_core::request::negotiate::query_value;

/// The token a request brings, in the `Abeyance-Hold` header or as `?hold=`.
pub(super) fn token<B>(request: &Request<B>) -> Option<String> {
    match request.headers().get(HOLD) {
        Some(token) => Some(token.to_str().unwrap_or_default().to_owned()),
        None => query_value(request.uri().query()?, "hold"),
    }
}

impl Dispatch {
    pub(super) async fn client_post(
        &self,
        served: &Served,
        token: &str,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let hold = self.keeper.find_by_token(token).filter(|hold| {
            hold.config.endpoint == served.config.endpoint
                && matches!(hold.form, WireForm::Sse { .. } | WireForm::Stream { .. })
        });
        let Some(hold) = hold else { return unknown() };
        if request.method() == Method::DELETE {
            let goodbye = Disconnect::closed(None, "");
            return match self.keeper.end(&hold, goodbye.into()) {
                true => answers::empty(StatusCode::NO_CONTENT),
                false => unknown(),
            };
        }
        hold.record_life();
        let (parts, body) = request.into_parts();
        let standing = WaitState::of(&parts.extensions);
        let body = arriving(body, self.server_config().head_timeout, &self.keeper, standing);
        let bytes = match self.collect(body, hold.config.endpoint_config.max_message).await {
            Ok(bytes) => bytes,
            Err(refused) => return refused,
        };
        hold.record_posted(bytes.len());
        let message = if is_binary(&parts.headers) {
            Message::from(bytes)
        } else {
            match String::from_utf8(bytes) {
                Ok(text) => Message::from(text),
                Err(_) => return answers::plain(StatusCode::BAD_REQUEST, "the text is not UTF-8"),
            }
        };
        match hold.post(message) {
            Ok(()) => answers::empty(StatusCode::ACCEPTED),
            Err(PostRefusal::Ended) => unknown(),
            Err(PostRefusal::Full) => {
                let mut response = answers::plain(StatusCode::TOO_MANY_REQUESTS, "too many messages wait");
                response.headers_mut().insert(header::RETRY_AFTER, 1.into());
                response
            }
        }
    }
}

fn unknown() -> Response<Body> {
    because(RefusalReason::Token, answers::plain(StatusCode::NOT_FOUND, "no such hold"))
}

/// Bytes are text unless the client says that they are not.
fn is_binary(headers: &HeaderMap) -> bool {
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/octet-stream")
}
