//! The service that answers everything that is not held: an axum `Router`, or another tower service.

use std::error::Error;
use std::future::poll_fn;
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
use tower_service::Service;

use crate::endpoint::{BoxError, BoxFuture};
use crate::keeper::Keeper;
use crate::keeper::deadline::Deadline;
use abeyance_core::mechanisms::slow_peer_timer::SlowPeerTimer;
use abeyance_core::sync::foreign::Foreign;
use abeyance_core::words::escaped::Escaped;
use abeyance_core::words::tick::Tick;

use super::user_code::{caught, poll_caught};
use super::wait_state::WaitState;

/// The fallback, its type erased. Cloning it shares the service; each call uses a clone of the service itself.
#[derive(Clone)]
pub(crate) struct Fallback(Foreign<Arc<dyn Serve>>);

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
        Fallback(Foreign::new(Arc::new(Erased(service))))
    }

    /// Answers; a panic or an error of the service is a 500, and the server lives on.
    pub(crate) async fn call(&self, request: Request<Body>) -> Response<Body> {
        let answered = match caught(|| self.0.serve(request)) {
            Ok(answering) => {
                let mut answering = Foreign::new(answering);
                poll_fn(|cx| poll_caught(&mut answering, cx)).await
            }
            Err(fault) => Err(fault),
        };
        answered.unwrap_or_else(|fault| {
            tracing::error!(%fault, "the fallback failed");
            failed()
        })
    }
}

/// A request's body as it may arrive: it fails when the peer sends nothing for `timeout` while a reader waits for more,
/// or comes slower than the slowest pace for longer than that. (The server itself cannot know whether a body that does
/// not arrive is wanted.) Meanwhile its connection waits for its own peer, and may be asked to make room.
pub(crate) fn arriving(
    body: Incoming,
    timeout: Duration,
    keeper: &Arc<Keeper>,
    standing: Option<WaitState>,
) -> Body {
    match body.is_end_stream() {
        true => Body::empty(),
        false => {
            let (timer, keeper) = (SlowPeerTimer::new(timeout), keeper.clone());
            Body::new(Arriving { body, timer, keeper, standing, late: None })
        }
    }
}

/// Whether a body failed because it did not arrive.
pub(crate) fn is_late(error: &BoxError) -> bool {
    // `Body` has wrapped it.
    let mut error: Option<&(dyn Error + 'static)> = Some(&**error);
    while let Some(known) = error {
        if known.downcast_ref::<io::Error>().is_some_and(|known| known.kind() == io::ErrorKind::TimedOut) {
            return true;
        }
        error = known.source();
    }
    false
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
                    tracing::error!(error = %Escaped(&error.to_string()), "the fallback failed");
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
    timer: SlowPeerTimer,
    keeper: Arc<Keeper>,
    standing: Option<WaitState>,
    /// Since when it is waited for more, until when. Armed at the first wait only: most bodies come with their head.
    late: Option<(Tick, Deadline)>,
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
            let came = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref().map(Bytes::len));
            let waited = this
                .late
                .take()
                .map_or(Duration::ZERO, |(since, _)| this.keeper.time().served().since(since));
            // It may have lain here for long: the reader may be slow. So what has come never uses up all.
            let _ = this.timer.wait(waited.min(this.timer.left() / 2), came.unwrap_or(0));
            if let Some(standing) = &this.standing {
                standing.goes_on(came.unwrap_or(0));
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let left = this.timer.left();
        let time = this.keeper.time();
        let standing = &this.standing;
        let (_, late) = this.late.get_or_insert_with(|| {
            standing.iter().for_each(WaitState::waits);
            (time.mark(), Deadline::after(left, time))
        });
        late.poll(time, cx).map(|()| {
            let silence =
                io::Error::new(io::ErrorKind::TimedOut, "the request's body stopped arriving, or nearly");
            Some(Err(silence.into()))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Arriving {
    /// What reads it wants no more.
    fn drop(&mut self) {
        if let (Some(standing), Some(_)) = (&self.standing, &self.late) {
            standing.goes_on(0);
        }
    }
}
