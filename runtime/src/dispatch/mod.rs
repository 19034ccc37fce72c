//! The order of things: route, admit, run the function, suspend, attend, conclude. (A stub until the real one lands.)

use std::net::SocketAddr;
use std::sync::Arc;

use axum_core::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::endpoint::check::StartFault;
use crate::endpoint::record::Endpoint;
use crate::endpoint::router::Router;
use crate::endpoint::states::States;
use crate::keeper::hub::Hub;
use crate::words::line::Line;
use crate::words::policy::Policy;
use crate::words::terms::Settings;

pub(crate) mod fallback;

use fallback::Fallback;

/// What the server was set up with.
pub(crate) struct Plan {
    pub(crate) hub: Hub,
    pub(crate) states: States,
    /// The functions that are mounted, with their settings after the environment has had its say.
    pub(crate) endpoints: Vec<(&'static Endpoint, Settings)>,
    pub(crate) fallback: Option<Fallback>,
}

impl Default for Plan {
    fn default() -> Self {
        Plan { hub: Hub {}, states: States::default(), endpoints: Vec::new(), fallback: None }
    }
}

pub(crate) struct Dispatch {
    policy: Policy,
    plan: Plan,
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
    /// Checks what only the router knows: paths that stand there twice.
    pub(crate) fn new(policy: Policy, plan: Plan) -> Result<Arc<Self>, Vec<StartFault>> {
        let endpoints: Vec<_> = plan.endpoints.iter().map(|(endpoint, _)| *endpoint).collect();
        Router::new(&endpoints)?;
        Ok(Arc::new(Dispatch { policy, plan }))
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(crate) async fn handle(self: Arc<Self>, request: Request<Incoming>, peer: SocketAddr) -> Reply {
        let _ = peer;
        let request = request.map(|body| fallback::arriving(body, self.policy.head_deadline));
        Reply::Answer(match &self.plan.fallback {
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
        let lines = self.plan.endpoints.iter().map(|(endpoint, _)| format!("{}  {endpoint}", endpoint.path));
        lines.collect()
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
