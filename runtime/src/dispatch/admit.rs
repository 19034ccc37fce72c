//! From a request to a place under every limit and the function's word. Nothing is answered before both.

use std::net::SocketAddr;
use std::sync::Arc;

use axum_core::body::Body;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;

use crate::endpoint::extract::{Captures, LastEventId};
use crate::endpoint::suspension::Suspension;
use crate::keeper::archive::{Forged, ResumePoint};
use crate::keeper::hold_config::HoldConfig;
use crate::keeper::hub::Hub;
use abeyance_core::mechanisms::limits::Peer;
use abeyance_core::words::refusal_reason::RefusalReason;
use abeyance_settings::endpoint::{EndpointOptions, Transport};

use super::connect_info::introduce;
use super::fallback::{arriving, is_late};
use super::refusal_log::because;
use super::suspend::Admitted;
use super::user_code::{HookFault, UserCode};
use super::wait_state::WaitState;
use super::{Dispatch, Served, answers, misfit_answer};
use abeyance_core::request::client_address::Client;
use abeyance_core::request::cors::OriginVerdict;
use abeyance_core::request::negotiate::choose;
use abeyance_core::request::request_facts::RequestFacts;

/// What a `GET` may bring as a body; nothing is done with it.
const MAX_BODY: usize = 64 * 1024;

impl Dispatch {
    pub(super) async fn admit(
        &self,
        served: &Served,
        captures: Captures,
        request: Request<Incoming>,
        peer: SocketAddr,
        client: Client,
    ) -> Result<Box<Admitted>, Response<Body>> {
        let (mut parts, body) = request.into_parts();
        let transport = choose(&parts, served.config.endpoint_config.transports)
            .map_err(|misfit| misfit_answer(&misfit))?;
        if transport == Transport::Sse && LastEventId::says_stay_away(&parts) {
            // What closes an `EventSource` for good. The function does not run, and no permit is taken.
            return Err(because(RefusalReason::StayAway, answers::empty(StatusCode::NO_CONTENT)));
        }
        let is_bodied = !body.is_end_stream();
        // Without a body there is nothing to wait for; and HTTP/1.0 knows no expectations (RFC 9110 §10.1.1).
        if is_bodied && parts.version > Version::HTTP_10 && parts.headers.contains_key(header::EXPECT) {
            return Err(answers::plain(StatusCode::EXPECTATION_FAILED, "a held request needs no body"));
        }
        let standing = WaitState::of(&parts.extensions);
        swallow(arriving(body, self.server_config().head_timeout, &self.keeper, standing)).await?;
        let admission = self
            .keeper
            .admit(served.config.endpoint, Peer::from(client.address.ip()))
            .map_err(|refused| answers::full(refused, self.keeper.spread()))?;
        let asked = RequestFacts::of(&parts, transport, is_bodied);
        // The other transports carry no ids.
        let tells_ids = matches!(transport, Transport::Sse | Transport::LongPoll);
        let LastEventId(last_event_id) =
            if tells_ids { LastEventId::of(&parts) } else { LastEventId::default() };
        introduce(self.introduction.as_ref(), peer, client, &mut parts.extensions).map_err(|fault| {
            tracing::error!(%fault, "`connect_info` failed");
            answers::empty(StatusCode::INTERNAL_SERVER_ERROR)
        })?;
        let suspension = self.run(served, parts, captures).await?;
        let config = self.config(served, &suspension, transport)?;
        let resume_point = self.resume_point(served, &suspension, last_event_id.as_deref())?;
        let origin = OriginVerdict::Own;
        Ok(Box::new(Admitted {
            admission,
            suspension,
            config,
            peer: client.address,
            facts: asked,
            resume_point,
            origin,
        }))
    }

    /// From where the client comes, as far as its topics keep their past.
    #[expect(clippy::result_large_err, reason = "an answer, made once a request and only moved")]
    fn resume_point(
        &self,
        served: &Served,
        suspension: &Suspension,
        last_event_id: Option<&str>,
    ) -> Result<ResumePoint, Response<Body>> {
        let (count, most) = (suspension.topics.len(), self.server_config().max_topics);
        if count > most {
            tracing::error!("{}: `Suspend` joins {count} topics; `max_topics` is {most}", served.endpoint);
            return Err(answers::empty(StatusCode::INTERNAL_SERVER_ERROR));
        }
        let topics = suspension.topics.iter().map(|(topic, _)| topic);
        self.keeper.resume_point(topics, last_event_id).map_err(|Forged| {
            let text = "`Last-Event-ID` is of a message that is yet to come";
            because(RefusalReason::LastEventId, answers::plain(StatusCode::BAD_REQUEST, text))
        })
    }

    /// Runs the annotated function.
    async fn run(
        &self,
        served: &Served,
        mut parts: Parts,
        captures: Captures,
    ) -> Result<Suspension, Response<Body>> {
        parts.extensions.insert(captures);
        parts.extensions.insert(Hub::new(self.keeper.clone()));
        let function = || (served.endpoint.run)(parts, self.states.clone());
        match UserCode::start(function, self.server_config().function_timeout, self.keeper.time()).await {
            Ok(answer) => answer.map_err(|mut refusal| {
                // A refusal is as little cacheable as the hold would have been, unless the application says otherwise.
                let no_store = HeaderValue::from_static("no-store");
                refusal.headers_mut().entry(header::CACHE_CONTROL).or_insert(no_store);
                let why =
                    refusal.extensions_mut().remove::<RefusalReason>().unwrap_or(RefusalReason::Function);
                because(why, refusal)
            }),
            Err(fault) => {
                tracing::error!(%fault, "{} failed", served.endpoint);
                Err(match fault {
                    HookFault::Panicked(_) | HookFault::Returned(_) | HookFault::Cut => {
                        answers::empty(StatusCode::INTERNAL_SERVER_ERROR)
                    }
                    HookFault::Overdue(_) => because(
                        RefusalReason::FunctionLate,
                        answers::plain(StatusCode::SERVICE_UNAVAILABLE, "not ready in time"),
                    ),
                })
            }
        }
    }

    /// What the hold shares with others of its endpoint; its own where the function changed the terms.
    #[expect(clippy::result_large_err, reason = "an answer, made once a request and only moved")]
    fn config(
        &self,
        served: &Served,
        suspension: &Suspension,
        transport: Transport,
    ) -> Result<Arc<HoldConfig>, Response<Body>> {
        if suspension.settings == EndpointOptions::NONE {
            return Ok(served.config.clone());
        }
        match suspension.endpoint_config(served.settings, transport) {
            Ok(endpoint_config) => {
                let config = HoldConfig {
                    keeper: self.keeper.clone(),
                    endpoint: served.config.endpoint,
                    endpoint_config,
                };
                Ok(Arc::new(config))
            }
            Err(contradictions) => {
                for contradiction in contradictions {
                    tracing::error!("{}: {contradiction}", served.endpoint);
                }
                Err(answers::empty(StatusCode::INTERNAL_SERVER_ERROR))
            }
        }
    }
}

/// Reads a body that is not used, because the socket cannot be taken back before its end.
///
/// Nothing is kept of it, so it is not counted in the server's `max_buffered`.
async fn swallow(body: Body) -> Result<(), Response<Body>> {
    let mut body = Limited::new(body, MAX_BODY);
    while let Some(frame) = body.frame().await {
        if let Err(error) = frame {
            return Err(match error {
                error if error.is::<LengthLimitError>() => answers::empty(StatusCode::PAYLOAD_TOO_LARGE),
                error if is_late(&error) => answers::late(),
                _ => answers::empty(StatusCode::BAD_REQUEST),
            });
        }
    }
    Ok(())
}
