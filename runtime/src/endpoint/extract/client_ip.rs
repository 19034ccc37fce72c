//! Where the request came from.

use std::fmt;
use std::net::IpAddr;

use axum_core::extract::FromRequestParts;
use http::request::Parts;

use super::super::refusal::Refusal;

/// The client's address: the peer's own, or what a trusted proxy says of it. An extractor in annotated functions, and in
/// the axum handlers of a fallback. (The port is with [`Server::connect_info`](crate::Server::connect_info).)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientIp(pub IpAddr);

impl fmt::Display for ClientIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<S: Sync> FromRequestParts<S> for ClientIp {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        parts.extensions.get::<ClientIp>().copied().ok_or_else(|| {
            tracing::error!("`ClientIp` was taken outside of an abeyance server");
            Refusal::internal("")
        })
    }
}
