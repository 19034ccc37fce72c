//! The order of things: route, admit, run the function, suspend, attend, conclude.

mod admit; // from a request to a place and the function's word
mod answers; // answers for requests that are not held
mod body; // a message that comes as a body
pub(crate) mod cleanup; // what the application does in the end
mod client_post; // POST and DELETE with a hold's token
mod conclude; // the one exit door
pub(crate) mod connect_info; // telling handlers who asks
mod date; // the `Date` header
mod discard;
mod ending; // what a peer sends behind our last word
pub(crate) mod fallback; // what is not held
mod hooks; // the context, and the hook that runs
mod host; // for which host a request is
mod ownership; // the endpoint's or the fallback's
mod publisher; // what was scheduled
pub(crate) mod refusal_log; // telling of what was refused
mod remaining_messages; // what arrived before the end
mod session; // while it is held
mod smuggling; // where a request ends
mod start_report; // what is in effect
mod suspend; // the function said yes
mod user_code; // user code, bounded
mod wait_state; // whether a connection waits for its own peer

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum_core::body::Body;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::task::AbortHandle;

use crate::endpoint::check::StartFault;
use crate::endpoint::extract::Captures;
use crate::endpoint::record::Endpoint;
use crate::endpoint::router::Router;
use crate::endpoint::states::States;
use crate::keeper::Keeper;
use crate::keeper::hold_config::HoldConfig;
use crate::keeper::hub::Hub;
use crate::settings::ServerConfig;
use abeyance_core::mechanisms::limits::EndpointLimits;
use abeyance_core::words::cause::Disconnect;
use abeyance_core::words::refusal_reason::RefusalReason;
use abeyance_settings::endpoint::{EndpointOptions, Transport};

use abeyance_core::request::cors::{self, OriginVerdict};
use connect_info::{ConnectInfo, introduce};
pub(crate) use date::http_date;
pub(crate) use discard::discard;
use fallback::Fallback;
use refusal_log::{RefusedPeer, because};
pub(crate) use suspend::Admitted;
pub(crate) use wait_state::{WaitObserver, WaitState};

// The server's deadlines are in the same time, and its connections are probed by the same rules.
pub(crate) use crate::keeper::deadline::Deadline;
pub(crate) use crate::keeper::time::Time;
pub(crate) use abeyance_core::mechanisms::clock::probing_unheld;

/// Everything that answers requests, one for each server.
pub(crate) struct Dispatch {
    router: Router,
    served: Vec<Served>,
    states: States,
    fallback: Option<Fallback>,
    introduction: Option<ConnectInfo>,
    keeper: Arc<Keeper>,
    /// The task that publishes what is scheduled.
    publisher: OnceLock<AbortHandle>,
}

/// An endpoint as it is served.
struct Served {
    endpoint: &'static Endpoint,
    /// What was written in the annotation and the environment.
    settings: EndpointOptions,
    /// What its holds share.
    config: Arc<HoldConfig>,
}

/// What a server was set up with.
pub(crate) struct Plan {
    pub(crate) hub: Hub,
    pub(crate) states: States,
    /// The functions that are mounted, with their settings after the environment has had its say.
    pub(crate) endpoints: Vec<(&'static Endpoint, EndpointOptions)>,
    pub(crate) fallback: Option<Fallback>,
    pub(crate) introduction: Option<ConnectInfo>,
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            hub: Hub::new(Keeper::new()),
            states: States::default(),
            endpoints: Vec::new(),
            fallback: None,
            introduction: None,
        }
    }
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
    pub(crate) fn new(server_config: ServerConfig, plan: Plan) -> Result<Arc<Self>, Vec<StartFault>> {
        let Plan { hub, states, endpoints, fallback, introduction } = plan;
        let keeper = hub.keeper().clone();
        let paths: Vec<_> = endpoints.iter().map(|(endpoint, _)| (endpoint.path, endpoint)).collect();
        let router = Router::new(&paths)?;
        let when_full = server_config.when_full;
        let kept = |(endpoint, settings): &(&'static Endpoint, EndpointOptions)| {
            let endpoint_config = settings.resolve();
            crate::keeper::Plan {
                path: endpoint.path,
                ceiling: EndpointLimits {
                    holds: endpoint_config.max_suspended,
                    per_peer: endpoint_config.max_per_peer,
                    per_key: endpoint_config.max_per_key,
                },
                when_full: endpoint_config.when_full.unwrap_or(when_full),
            }
        };
        keeper.configure(server_config, endpoints.iter().map(kept).collect());
        let serve = |((endpoint, settings), index): ((&'static Endpoint, EndpointOptions), u32)| Served {
            endpoint,
            settings,
            config: Arc::new(HoldConfig {
                keeper: keeper.clone(),
                endpoint: index,
                endpoint_config: settings.resolve(),
            }),
        };
        let served = endpoints.into_iter().zip(0..).map(serve).collect();
        let publisher = OnceLock::new();
        Ok(Arc::new(Dispatch { router, served, states, fallback, introduction, keeper, publisher }))
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

    pub(crate) fn server_config(&self) -> &ServerConfig {
        self.keeper.server_config()
    }

    pub(crate) fn time(&self) -> &Time {
        self.keeper.time()
    }

    /// Answers a request, or says that its connection is to be held.
    pub(crate) async fn handle(self: Arc<Self>, request: Request<Incoming>, peer: SocketAddr) -> Reply {
        let asker = RefusedPeer::of(&request, peer);
        let keeper = self.keeper.clone();
        let mut reply = self.reply(request, peer).await;
        if let Reply::Answer(response) = &mut reply {
            asker.tell(&keeper, response);
        }
        reply
    }

    async fn reply(self: Arc<Self>, mut request: Request<Incoming>, peer: SocketAddr) -> Reply {
        if let Err(wrong) = smuggling::judge(&request).and_then(|()| host::settle(&mut request)) {
            return Reply::Answer(answers::closing(answers::plain(StatusCode::BAD_REQUEST, wrong)));
        }
        match self.router.at(request.uri().path()) {
            Some((index, captures)) => match self.serve(index, captures, request, peer).await {
                Ok(admitted) => Reply::Hold(admitted),
                Err(response) => Reply::Answer(response),
            },
            None => Reply::Answer(self.fall_back(request, peer).await),
        }
    }

    /// A request to the path of an endpoint.
    async fn serve(
        &self,
        index: usize,
        captures: Captures,
        mut request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Box<Admitted>, Response<Body>> {
        let served = &self.served[index];
        if self.fallback.is_some() && !ownership::to_endpoint(&request) {
            // Of its pages, too: who may read what it answers, it says itself.
            return Err(self.fall_back(request, peer).await);
        }
        let client = abeyance_core::request::client_address::of(
            peer,
            request.headers(),
            &self.server_config().trusted_proxies,
        );
        let origin = self.judge_origin(request.headers(), client.is_proxied)?;
        cors::disarm(&origin, request.headers_mut());
        let allowed = |mut response: Response<Body>| {
            cors::permit(&origin, response.headers_mut());
            response
        };
        let answer = match *request.method() {
            Method::GET => {
                let mut admitted =
                    self.admit(served, captures, request, peer, client).await.map_err(allowed)?;
                admitted.permit(&origin);
                return Ok(admitted);
            }
            Method::OPTIONS => self.preflight(served, &origin, request.headers()),
            Method::POST | Method::DELETE => match client_post::token(&request) {
                Some(token) => self.client_post(served, &token, request).await,
                None => wrong_method(served, request.method()),
            },
            // A `HEAD`, too: what a `GET` would be answered only the function knows, and that is not run for it.
            _ => wrong_method(served, request.method()),
        };
        Err(allowed(answer))
    }

    fn preflight(&self, served: &Served, origin: &OriginVerdict, headers: &HeaderMap) -> Response<Body> {
        let mut response = answers::empty(StatusCode::NO_CONTENT);
        response.headers_mut().insert(header::ALLOW, methods(served));
        let allowed = &self.server_config().allowed_headers;
        cors::preflight(origin, allowed, response.headers_mut());
        match cors::unmet(origin, allowed, headers) {
            // Its page learns no more than that the request failed.
            Some(name) => {
                let text = format!("{name:?} is not among `allowed_headers`");
                refusal_log::noting(RefusalReason::Preflight, text, response)
            }
            None => response,
        }
    }

    /// Whether a request may pass, by the page that it comes from.
    #[expect(clippy::result_large_err, reason = "an answer, made once a request and only moved")]
    fn judge_origin(&self, headers: &HeaderMap, is_proxied: bool) -> Result<OriginVerdict, Response<Body>> {
        match user_code::caught(|| cors::judge(headers, is_proxied, &self.server_config().allowed_origins()))
        {
            Ok(judged) => judged.map_err(|foreign| {
                because(RefusalReason::Origin, answers::plain(StatusCode::FORBIDDEN, foreign.to_string()))
            }),
            Err(fault) => {
                tracing::error!(%fault, "`allow_origins_if` failed");
                Err(answers::empty(StatusCode::INTERNAL_SERVER_ERROR))
            }
        }
    }

    async fn fall_back(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let Some(fallback) = &self.fallback else { return self.nothing(&request, peer) };
        let standing = WaitState::of(request.extensions());
        let mut request = request
            .map(|body| fallback::arriving(body, self.server_config().head_timeout, &self.keeper, standing));
        request.extensions_mut().insert(Hub::new(self.keeper.clone()));
        let client = abeyance_core::request::client_address::of(
            peer,
            request.headers(),
            &self.server_config().trusted_proxies,
        );
        let introduced = introduce(self.introduction.as_ref(), peer, client, request.extensions_mut());
        if let Err(fault) = introduced {
            tracing::error!(%fault, "`connect_info` failed");
            return answers::empty(StatusCode::INTERNAL_SERVER_ERROR);
        }
        fallback.call(request).await
    }

    /// The answer where nothing is served. A page that may connect shall be able to read it.
    fn nothing(&self, request: &Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let mut response = match (request.method(), request.uri().path()) {
            (&Method::OPTIONS, "*") => answers::empty(StatusCode::NO_CONTENT),
            (method, _) if !ownership::is_known(method) => unknown_method(),
            _ => answers::plain(StatusCode::NOT_FOUND, "nothing is served here"),
        };
        let is_proxied = abeyance_core::request::client_address::of(
            peer,
            request.headers(),
            &self.server_config().trusted_proxies,
        )
        .is_proxied;
        if let Ok(origin_verdict) = self.judge_origin(request.headers(), is_proxied) {
            cors::permit(&origin_verdict, response.headers_mut());
        }
        response
    }

    /// How many are held.
    pub(crate) fn held(&self) -> usize {
        self.keeper.counts().held
    }

    /// How many ends have begun and are not finished.
    pub(crate) fn ending(&self) -> usize {
        self.keeper.counts().ending
    }

    /// Counts and logs a refusal of a connection that has not asked for anything, or not so that it could be read.
    pub(crate) fn deny(&self, why: RefusalReason, peer: SocketAddr) {
        refusal_log::tell(&self.keeper, why, peer);
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
            .map(|served| {
                start_report::handler(served.endpoint, &served.config.endpoint_config, self.server_config())
            })
            .collect()
    }

    /// What bounds all endpoints together, and which topics keep something.
    pub(crate) fn bounds(&self) -> Vec<String> {
        start_report::server(self.server_config())
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
        self.keeper.hurry();
        self.keeper.cut_endings();
        self.keeper.end_all(&Disconnect::Shutdown.into());
    }

    /// Cuts what is still held, every ending that is not finished, and every hook that runs but end hooks; says whether
    /// end hooks are still to come.
    pub(crate) fn cut(&self) -> bool {
        self.stop();
        self.keeper.cut_endings();
        self.keeper.cut_hooks()
    }

    /// From here on no new hold begins, and nothing is scheduled.
    fn close(&self) {
        self.keeper.refuse_new_holds();
        drop(self.keeper.close_schedule());
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

fn misfit_answer(misfit: &abeyance_core::request::negotiate::Misfit) -> Response<Body> {
    let mut response = answers::plain(misfit.status(), misfit.to_string());
    if misfit.status() == StatusCode::BAD_REQUEST {
        response = because(RefusalReason::Handshake, response);
    }
    if misfit.status() == StatusCode::UPGRADE_REQUIRED {
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    response
}

fn unknown_method() -> Response<Body> {
    answers::plain(StatusCode::NOT_IMPLEMENTED, "no such method is known here")
}

fn wrong_method(served: &Served, method: &Method) -> Response<Body> {
    if !ownership::is_known(method) {
        return unknown_method();
    }
    let text = if *method == Method::POST || *method == Method::DELETE {
        "a POST or DELETE here speaks for a hold: send its token in `Abeyance-Hold`"
    } else {
        "this path is for holding connections"
    };
    let mut response = answers::plain(StatusCode::METHOD_NOT_ALLOWED, text);
    response.headers_mut().insert(header::ALLOW, methods(served));
    response
}

fn methods(served: &Served) -> HeaderValue {
    let speaks = |transport: &Transport| matches!(transport, Transport::Sse | Transport::Stream);
    HeaderValue::from_static(match served.config.endpoint_config.transports.iter().any(speaks) {
        true => "GET, OPTIONS, POST, DELETE",
        false => "GET, OPTIONS",
    })
}
