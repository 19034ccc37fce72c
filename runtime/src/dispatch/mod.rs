//! The order of things: route, admit, run the function, suspend, attend, conclude. (A stub until the real one lands.)

use std::net::SocketAddr;
use std::sync::Arc;

use axum_core::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::words::line::Line;
use crate::words::policy::Policy;

pub(crate) mod fallback;

use fallback::Fallback;

pub(crate) struct Dispatch {
    policy: Policy,
    fallback: Option<Fallback>,
}

pub(crate) enum Reply {
    Answer(Response<Body>),
    #[allow(dead_code)]
    Hold(Admitted),
}

pub(crate) struct Admitted(());

pub(crate) enum After {
    Close,
    KeepAlive { unread: Bytes },
}

impl Dispatch {
    pub(crate) fn new(policy: Policy, fallback: Option<Fallback>) -> Arc<Self> {
        Arc::new(Dispatch { policy, fallback })
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(crate) async fn handle(self: Arc<Self>, request: Request<Incoming>, peer: SocketAddr) -> Reply {
        let _ = peer;
        let request = request.map(|body| fallback::arriving(body, self.policy.head_deadline));
        Reply::Answer(match &self.fallback {
            Some(fallback) => fallback.call(request).await,
            None => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NOT_FOUND;
                response
            }
        })
    }

    /// How many are held.
    pub(crate) fn held(&self) -> usize {
        0
    }

    /// One line for each handler, for the report at start.
    pub(crate) fn lines(&self) -> Vec<String> {
        Vec::new()
    }

    /// Ends all holds in good order; returns when the last has ended.
    pub(crate) async fn drain(&self) {}

    /// Cuts what is still held, with the cause `Shutdown`.
    pub(crate) fn cut(&self) {}
}

impl Admitted {
    pub(crate) async fn attend(self, line: Arc<dyn Line>, unread: Bytes) -> After {
        drop(line);
        After::KeepAlive { unread }
    }
}
