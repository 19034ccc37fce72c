//! The service that answers everything that is not held: an axum `Router`, or another tower service.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum_core::body::Body;
use axum_core::response::IntoResponse;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};
use tower_service::Service;

use crate::endpoint::{BoxError, BoxFuture};

use super::guard::{caught, poll_caught};

/// The fallback, its type erased. Cloning it shares the service; each call uses a clone of the service itself.
#[derive(Clone)]
pub(crate) struct Fallback(Arc<dyn Serve>);

trait Serve: Send + Sync {
    fn serve(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>>;
}

impl Fallback {
    pub(crate) fn new<S>(service: S) -> Self
    where
        S: Service<Request<Body>, Response: IntoResponse, Error: Into<BoxError>, Future: Send + 'static>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        Fallback(Arc::new(Erased(service)))
    }

    /// Answers; a panic or an error of the service is a 500, and the server lives on.
    pub(crate) async fn call(&self, request: Request<Body>) -> Response<Body> {
        let answered = match caught(|| self.0.serve(request)) {
            Ok(mut answering) => poll_fn(|cx| poll_caught(&mut answering, cx)).await,
            Err(fault) => Err(fault),
        };
        answered.unwrap_or_else(|fault| {
            tracing::error!(%fault, "the fallback failed");
            failed()
        })
    }
}

/// A request's body as the fallback gets it: it fails when the peer sends nothing for `patience` while somebody
/// waits for more. (The server itself cannot know whether a body that does not arrive is wanted.)
pub(crate) fn arriving(body: Incoming, patience: Duration) -> Body {
    bounded(body, patience, None)
}

/// A request's body that is for us. It also fails when all of it comes more slowly than a modem's, so that a byte now
/// and then does not occupy a connection for ever.
pub(super) fn prompt(body: Incoming, patience: Duration) -> Body {
    bounded(body, patience, Some(Instant::now() + patience))
}

fn bounded(body: Incoming, patience: Duration, whole: Option<Instant>) -> Body {
    match body.is_end_stream() {
        true => Body::empty(),
        false => Body::new(Arriving { body, patience, whole, late: None }),
    }
}

/// The bytes a second for which a prompt body gets more time.
const SLOWEST: u64 = 1024;

struct Erased<S>(S);

impl<S> Serve for Erased<S>
where
    S: Service<Request<Body>, Response: IntoResponse, Error: Into<BoxError>, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static,
{
    fn serve(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        // The clone that was made ready is the one that is called, as tower's contract asks.
        let mut service = self.0.clone();
        Box::pin(async move {
            let answer = async {
                poll_fn(|cx| service.poll_ready(cx)).await?;
                service.call(request).await
            };
            match answer.await {
                Ok(response) => response.into_response(),
                Err(error) => {
                    let error: BoxError = error.into();
                    tracing::error!(%error, "the fallback failed");
                    failed()
                }
            }
        })
    }
}

fn failed() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

struct Arriving {
    body: Incoming,
    patience: Duration,
    /// Until when it may take for the bytes that have come, in all.
    whole: Option<Instant>,
    /// Armed at the first wait only: most bodies come with their head.
    late: Option<Pin<Box<Sleep>>>,
}

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        if frame.is_ready() {
            this.late = None;
            if let (Some(whole), Poll::Ready(Some(Ok(frame)))) = (&mut this.whole, &frame) {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                *whole += Duration::from_micros(bytes * 1_000_000 / SLOWEST);
            }
            return frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)));
        }
        let due = Instant::now() + this.patience;
        let due = this.whole.map_or(due, |whole| whole.min(due));
        let late = this.late.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        match late.as_mut().poll(cx) {
            Poll::Ready(()) => {
                let silence = io::Error::new(io::ErrorKind::TimedOut, "the request's body stopped arriving");
                Poll::Ready(Some(Err(silence.into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
