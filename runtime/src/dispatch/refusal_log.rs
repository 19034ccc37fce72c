//! Telling of what was refused: each is counted and logged once, when its answer is there.

use std::net::SocketAddr;

use axum_core::body::Body;
use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use tracing::Level;

use crate::keeper::Keeper;
use crate::keeper::admission::Refused;
use abeyance_core::mechanisms::limits::Full;
use abeyance_core::words::refusal_reason::RefusalReason;

/// Marks an answer that refuses, until the refusal is counted and logged.
#[derive(Clone)]
pub(super) struct RefusalTag {
    pub(super) why: RefusalReason,
    /// The text of the answer. The application's own answers are not read.
    pub(super) text: Bytes,
}

/// Says why an answer refuses.
pub(super) fn because(why: RefusalReason, mut response: Response<Body>) -> Response<Body> {
    let known = response.extensions_mut().remove::<RefusalTag>();
    let text = known.map_or_else(Bytes::new, |denied| denied.text);
    response.extensions_mut().insert(RefusalTag { why, text });
    response
}

/// Says of an answer that is none of refusal what it refuses all the same.
pub(super) fn noting(why: RefusalReason, text: String, mut response: Response<Body>) -> Response<Body> {
    response.extensions_mut().insert(RefusalTag { why, text: text.into() });
    response
}

/// Whose request it is that may be refused.
pub(super) struct RefusedPeer {
    peer: SocketAddr,
    /// Only where it will be logged.
    request: Option<(Method, Uri)>,
}

impl RefusedPeer {
    pub(super) fn of<B>(request: &Request<B>, peer: SocketAddr) -> Self {
        let is_logged = tracing::enabled!(Level::DEBUG);
        let request = is_logged.then(|| (request.method().clone(), request.uri().clone()));
        RefusedPeer { peer, request }
    }

    /// Tells of the answer, if it refuses.
    pub(super) fn tell(self, keeper: &Keeper, response: &mut Response<Body>) {
        let Some(RefusalTag { why, text }) = response.extensions_mut().remove::<RefusalTag>() else { return };
        keeper.count_denial(why);
        let text = String::from_utf8_lossy(&text);
        if let Some((method, uri)) = &self.request {
            tracing::debug!(
                why = why.as_str(),
                status = response.status().as_u16(),
                peer = %self.peer,
                %method,
                path = ?uri.path(),
                "refused: {}",
                text.escape_debug(),
            );
        }
        if let Some(count) = keeper.warns_of_denial(why) {
            let why = text.escape_debug();
            tracing::warn!(peer = %self.peer, count, "a page of another origin was refused, and its browser does not say why: {why}");
        }
    }
}

/// Tells of a refusal that has no request: that of a connection, or of one whose function said yes.
pub(crate) fn tell(keeper: &Keeper, why: RefusalReason, peer: SocketAddr) {
    keeper.count_denial(why);
    tracing::debug!(why = why.as_str(), %peer, "refused");
}

impl From<Refused> for RefusalReason {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Draining => RefusalReason::Draining,
            Refused::Full(Full::Server) => RefusalReason::Server,
            Refused::Full(Full::Endpoint) => RefusalReason::Endpoint,
            Refused::Full(Full::Peer) => RefusalReason::Peer,
            Refused::Full(Full::EndpointPeer) => RefusalReason::EndpointPeer,
            Refused::Full(Full::Key) => RefusalReason::Key,
            Refused::Full(Full::EndpointKey) => RefusalReason::EndpointKey,
        }
    }
}
