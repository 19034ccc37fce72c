//! The hub as an argument; dispatch and the fallback put it into the request's extensions.

use axum_core::extract::FromRequestParts;
use http::request::Parts;

use super::super::refusal::Refusal;
use crate::keeper::hub::Hub;

impl<S: Sync> FromRequestParts<S> for Hub {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        parts.extensions.get::<Hub>().cloned().ok_or_else(|| {
            tracing::error!("`Hub` was taken outside of an abeyance server");
            Refusal::internal("")
        })
    }
}
