//! A message that comes as a request's body, collected.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use axum_core::body::Body;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::endpoint::BoxError;
use crate::keeper::inbound::Received;

use super::Dispatch;
use super::answers;
use super::fallback::is_late;

impl Dispatch {
    /// The whole body, which may have so many bytes; or what to answer instead.
    ///
    /// It is copied into one buffer: the pieces in which it comes may be single bytes, and each would cost a handle. What
    /// arrives counts in the server's memory; where that does not suffice, the largest bodies are refused.
    pub(super) async fn collect(&self, body: Body, most: usize) -> Result<Vec<u8>, Response<Body>> {
        // Said before it comes: a client that asks first (`Expect`) shall not be told to go on.
        if body.size_hint().lower() > most as u64 {
            return Err(too_large(most));
        }
        let mut received = self.keeper.receive();
        let mut body = Limited::new(body, most);
        let mut bytes = Vec::new();
        loop {
            let Some(frame) = next(&mut body, &received).await else { return Err(no_room()) };
            match frame {
                None => return Ok(bytes),
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    // Before it is taken: nothing that is refused shall have been there.
                    grow(&mut bytes, data.len(), most);
                    if received.hold(bytes.capacity()).is_err() {
                        return Err(no_room());
                    }
                    bytes.extend_from_slice(&data);
                }
                Some(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large(most)),
                Some(Err(error)) if is_late(&error) => return Err(answers::late()),
                Some(Err(_)) => return Err(answers::empty(StatusCode::BAD_REQUEST)),
            }
        }
    }
}

/// What comes next of a body; `None` if it is given up before that.
async fn next(
    body: &mut Limited<Body>,
    received: &Received,
) -> Option<Option<Result<Frame<Bytes>, BoxError>>> {
    let (mut frame, mut given_up) = (pin!(body.frame()), pin!(received.given_up()));
    poll_fn(|cx| match given_up.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(None),
        Poll::Pending => frame.as_mut().poll(cx).map(Some),
    })
    .await
}

/// Makes room for so many bytes more, and by doubling for the next, but never for more than there may be.
fn grow(bytes: &mut Vec<u8>, more: usize, most: usize) {
    let needed = bytes.len() + more;
    if needed > bytes.capacity() {
        let room = needed.max((2 * bytes.capacity()).min(most));
        bytes.reserve_exact(room - bytes.len());
    }
}

fn too_large(most: usize) -> Response<Body> {
    answers::plain(StatusCode::PAYLOAD_TOO_LARGE, format!("a message may have {most} bytes"))
}

/// The rest of the body is not read, so nothing else can come on this connection.
fn no_room() -> Response<Body> {
    let text = "too much is being sent to this server at once";
    let mut response = answers::plain(StatusCode::TOO_MANY_REQUESTS, text);
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
