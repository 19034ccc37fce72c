//! The order of things: route, admit, run the function, suspend, attend, conclude.

mod admit; // from a request to a place and the function's word
mod asked; // what is remembered of a request
mod attend; // while it is held
mod choose; // which transport
mod client; // whose request it is
mod collect; // a message that comes as a body
mod conclude; // the one exit door
mod date; // the `Date` header
mod discard; // what a peer sends behind our last word
pub(crate) mod fallback; // what is not held
mod framing; // where a request ends
mod guard; // user code, bounded
mod origin; // pages of other sites
mod publisher; // what was scheduled
mod reader; // what a held peer's bytes mean
mod refusal; // answers for requests that are not held
mod report; // what is in effect
mod speak; // POST and DELETE with a hold's token
mod standing; // whether a connection waits for its own peer
mod suspend; // the function said yes

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum_core::body::Body;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::task::AbortHandle;

use crate::endpoint::check::StartFault;
use crate::endpoint::extract::Captures;
use crate::endpoint::record::Endpoint;
use crate::endpoint::router::Router;
use crate::endpoint::states::States;
use crate::keeper::Keeper;
use crate::keeper::hold::Post;
use crate::keeper::hub::Hub;
use crate::mechanisms::limits::Ceiling;
use crate::words::cause::Disconnect;
use crate::words::policy::Policy;
use crate::words::terms::{Settings, Transport};

pub(crate) use discard::discard;
use fallback::Fallback;
pub(crate) use standing::{Standing, Waits};
pub(crate) use suspend::Admitted;

// The server's deadlines are in the same time, and its connections are probed by the same rules.
pub(crate) use crate::keeper::deadline::Deadline;
pub(crate) use crate::keeper::time::Time;
pub(crate) use crate::mechanisms::clock::Probing;

/// Everything that answers requests, one for each server.
pub(crate) struct Dispatch {
    router: Router,
    served: Vec<Served>,
    states: States,
    fallback: Option<Fallback>,
    keeper: Arc<Keeper>,
    /// The task that publishes what is scheduled.
    publisher: OnceLock<AbortHandle>,
}

/// An endpoint as it is served.
struct Served {
    endpoint: &'static Endpoint,
    /// What was written in the annotation and the environment.
    settings: Settings,
    /// What its holds share.
    post: Arc<Post>,
}

/// What a server was set up with.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) hub: Hub,
    pub(crate) states: States,
    /// The functions that are mounted, with their settings after the environment has had its say.
    pub(crate) endpoints: Vec<(&'static Endpoint, Settings)>,
    pub(crate) fallback: Option<Fallback>,
}

/// What a request came to.
pub(crate) enum Reply {
    Answer(Response<Body>),
    Hold(Box<Admitted>),
}

/// What remains of a connection after a hold.
#[derive(Debug)]
pub(crate) enum After {
    Close,
    /// It may serve another request, which may have begun with these bytes.
    KeepAlive {
        unread: Bytes,
    },
}

impl Dispatch {
    /// Checks what only the router knows: paths that stand there twice.
    pub(crate) fn new(policy: Policy, plan: Plan) -> Result<Arc<Self>, Vec<StartFault>> {
        let Plan { hub, states, endpoints, fallback } = plan;
        let keeper = hub.keeper().clone();
        let records: Vec<_> = endpoints.iter().map(|(endpoint, _)| *endpoint).collect();
        let router = Router::new(&records)?;
        let when_full = policy.when_full;
        let kept = |(endpoint, settings): &(&'static Endpoint, Settings)| {
            let terms = settings.resolve();
            crate::keeper::Plan {
                name: endpoint.name,
                ceiling: Ceiling {
                    holds: terms.max_suspended,
                    per_peer: terms.max_per_peer,
                    per_key: terms.max_per_key,
                },
                when_full: terms.when_full.unwrap_or(when_full),
            }
        };
        keeper.configure(policy, endpoints.iter().map(kept).collect());
        let serve = |((endpoint, settings), index): ((&'static Endpoint, Settings), u32)| Served {
            endpoint,
            settings,
            post: Arc::new(Post { keeper: keeper.clone(), endpoint: index, terms: settings.resolve() }),
        };
        let served = endpoints.into_iter().zip(0..).map(serve).collect();
        Ok(Arc::new(Dispatch { router, served, states, fallback, keeper, publisher: OnceLock::new() }))
    }

    /// Starts the clocks of the holds to come, and publishing what is scheduled.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn keep_time(&self) {
        self.publisher.get_or_init(|| {
            tokio::spawn(self.keeper.clone().keep_time());
            tokio::spawn(publisher::publish_scheduled(self.keeper.clone())).abort_handle()
        });
    }

    pub(crate) fn policy(&self) -> &Policy {
        self.keeper.policy()
    }

    pub(crate) fn time(&self) -> &Time {
        self.keeper.time()
    }

    /// Answers a request, or says that its connection is to be held.
    pub(crate) async fn handle(self: Arc<Self>, request: Request<Incoming>, peer: SocketAddr) -> Reply {
        if let Err(wrong) = framing::judge(&request) {
            let mut response = refusal::plain(StatusCode::BAD_REQUEST, wrong);
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            return Reply::Answer(response);
        }
        match self.router.at(request.uri().path()) {
            Some((index, captures)) => match self.serve(index, captures, request, peer).await {
                Ok(admitted) => Reply::Hold(admitted),
                Err(response) => Reply::Answer(response),
            },
            None => Reply::Answer(self.fall_back(request).await),
        }
    }

    /// A request to the path of an endpoint.
    async fn serve(
        &self,
        index: usize,
        captures: Captures,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Box<Admitted>, Response<Body>> {
        let served = &self.served[index];
        let client = client::of(peer, request.headers(), &self.policy().trusted_proxies);
        let passage = origin::judge(request.headers(), client.is_proxied, &self.policy().allowed_origins)
            .map_err(|stranger| refusal::plain(StatusCode::FORBIDDEN, stranger.to_string()))?;
        let allowed = |mut response: Response<Body>| {
            origin::permit(&passage, response.headers_mut());
            response
        };
        let method = request.method();
        if *method == Method::POST || *method == Method::DELETE {
            let Some(token) = speak::token(&request) else {
                // Not for a hold: it may be a route of the application's on the same path.
                return Err(allowed(match &self.fallback {
                    Some(_) => self.fall_back(request).await,
                    None => wrong_method(served, request.method()),
                }));
            };
            return Err(allowed(self.speak(served, &token, request).await));
        }
        let answer = match *method {
            Method::GET => {
                let mut admitted = self.admit(served, captures, request, client).await.map_err(allowed)?;
                admitted.permit(&passage);
                return Ok(admitted);
            }
            Method::HEAD => self.head(served, &request.into_parts().0),
            Method::OPTIONS => {
                let mut response = refusal::empty(StatusCode::NO_CONTENT);
                response.headers_mut().insert(header::ALLOW, methods(served));
                origin::preflight(&passage, response.headers_mut());
                response
            }
            _ => wrong_method(served, request.method()),
        };
        Err(allowed(answer))
    }

    /// The head that a `GET` would get. Never held, so the function does not run.
    fn head(&self, served: &Served, parts: &http::request::Parts) -> Response<Body> {
        let content_type = match choose::choose(parts, served.post.terms.transports) {
            Ok(Transport::Sse) => "text/event-stream",
            Ok(Transport::Stream) => "application/x-ndjson",
            Ok(_) => "text/plain; charset=utf-8",
            Err(misfit) => return misfit_answer(&misfit),
        };
        let mut response = refusal::empty(StatusCode::OK);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }

    async fn fall_back(&self, request: Request<Incoming>) -> Response<Body> {
        let Some(fallback) = &self.fallback else {
            return refusal::plain(StatusCode::NOT_FOUND, "nothing is served here");
        };
        let standing = Standing::of(request.extensions());
        let mut request =
            request.map(|body| fallback::arriving(body, self.policy().head_deadline, &self.keeper, standing));
        request.extensions_mut().insert(Hub::new(self.keeper.clone()));
        fallback.call(request).await
    }

    /// How many are held.
    pub(crate) fn held(&self) -> usize {
        self.keeper.counts().held
    }

    /// How many ends have begun and are not finished.
    pub(crate) fn ending(&self) -> usize {
        self.keeper.counts().ending
    }

    /// Counts a connection that is turned away before it has asked for anything.
    pub(crate) fn count_turned_away(&self) {
        self.keeper.count_turned_away();
    }

    /// How many end hooks run.
    pub(crate) fn hooks(&self) -> usize {
        self.keeper.hooks().0
    }

    /// One line for each endpoint, with the effective settings.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.served
            .iter()
            .map(|served| report::handler(served.endpoint, &served.post.terms, self.policy()))
            .collect()
    }

    /// What bounds all endpoints together, and which topics keep something.
    pub(crate) fn bounds(&self) -> Vec<String> {
        report::server(self.policy())
    }

    /// Ends all holds in good order, one after the other; returns when the last has ended and its end hook has run.
    pub(crate) async fn drain(&self) {
        self.keeper.drain(fastrand::Rng::new()).await;
        // Not before: who is held to the last hears what is scheduled.
        self.close();
        self.quiet().await;
    }

    /// Returns when nothing is held, nothing is ending and no end hook runs.
    pub(crate) async fn quiet(&self) {
        self.keeper.quiet().await;
    }

    /// Ends what is still held, and cuts every ending that had begun before.
    pub(crate) fn stop(&self) {
        self.close();
        self.keeper.cut_endings();
        self.keeper.end_all(&Disconnect::Shutdown.into());
    }

    /// Cuts what is still held, and every ending that is not finished.
    pub(crate) fn cut(&self) {
        self.stop();
        self.keeper.cut_endings();
    }

    /// Nobody is held any more who is not, and nothing is published later.
    fn close(&self) {
        self.keeper.close_doors();
        self.keeper.close_schedule().into_iter().for_each(guard::drop_quietly);
    }
}

impl Drop for Dispatch {
    fn drop(&mut self) {
        self.publisher.get().into_iter().for_each(AbortHandle::abort);
        self.keeper.quit();
        // What is scheduled may have the hub, and so the keeper that has it.
        self.close();
    }
}

fn misfit_answer(misfit: &choose::Misfit) -> Response<Body> {
    let mut response = refusal::plain(misfit.status(), misfit.to_string());
    if misfit.status() == StatusCode::UPGRADE_REQUIRED {
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    response
}

fn wrong_method(served: &Served, method: &Method) -> Response<Body> {
    let text = if *method == Method::POST || *method == Method::DELETE {
        "a POST or DELETE here speaks for a hold: send its token in `Abeyance-Hold`"
    } else {
        "this path is for holding connections"
    };
    let mut response = refusal::plain(StatusCode::METHOD_NOT_ALLOWED, text);
    response.headers_mut().insert(header::ALLOW, methods(served));
    response
}

fn methods(served: &Served) -> HeaderValue {
    let speaks = |transport: &Transport| matches!(transport, Transport::Sse | Transport::Stream);
    HeaderValue::from_static(match served.post.terms.transports.iter().any(speaks) {
        true => "GET, HEAD, OPTIONS, POST, DELETE",
        false => "GET, HEAD, OPTIONS",
    })
}
