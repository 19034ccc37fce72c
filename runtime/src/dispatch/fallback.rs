//! The service that answers everything that is not held: an axum `Router`, or another tower service.

use std::any::Any;
use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
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

use crate::endpoint::BoxError;

/// The fallback, its type erased. Cloning it shares the service; each call uses a clone of the service itself.
#[derive(Clone)]
pub(crate) struct Fallback(Arc<dyn Serve>);

type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

trait Serve: Send + Sync {
    fn serve(&self, request: Request<Body>) -> Answering;
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
        match guarded(self.0.serve(request)).await {
            Ok(response) => response,
            Err(panic) => {
                tracing::error!(panic = panic_text(&*panic), "the fallback panicked");
                failed()
            }
        }
    }
}

/// A request's body as the fallback gets it: it fails when the peer sends nothing for `patience` while somebody
/// waits for more. (The server itself cannot know whether a body that does not arrive is wanted.)
pub(crate) fn arriving(body: Incoming, patience: Duration) -> Body {
    if body.is_end_stream() { Body::empty() } else { Body::new(Arriving { body, patience, late: None }) }
}

struct Erased<S>(S);

impl<S> Serve for Erased<S>
where
    S: Service<Request<Body>, Response: IntoResponse, Error: Into<BoxError>, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static,
{
    fn serve(&self, request: Request<Body>) -> Answering {
        // The clone that was made ready is the one that is called, as tower's contract asks.
        let mut service = self.0.clone();
        Box::pin(async move {
            let answer = async {
                std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
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

async fn guarded(mut answering: Answering) -> Result<Response<Body>, Box<dyn Any + Send>> {
    std::future::poll_fn(|cx| {
        // Nothing of the future is looked at after a panic; it is dropped.
        match std::panic::catch_unwind(AssertUnwindSafe(|| answering.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}

fn failed() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "not a text",
    }
}

struct Arriving {
    body: Incoming,
    patience: Duration,
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
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.late = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let due = Instant::now() + this.patience;
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
