//! What an annotated function can take: extractors over the head of a request.
//!
//! Besides these, most extractors that implement axum-core's `FromRequestParts` work: `Method`, `Uri`, `HeaderMap`,
//! axum's `Query`, axum-extra's `TypedHeader` and `CookieJar`, your own. Those that read a body cannot.

mod captures;
mod client_ip;
mod extractor;
mod hub;
mod last_event_id;
mod misfit;
mod path;
mod query;
mod state;
mod value;

pub use axum_core::extract::{FromRef, FromRequestParts};

pub use super::states::States;
pub use crate::keeper::hub::Hub;
pub(crate) use captures::Captures;
pub use client_ip::ClientIp;
pub use extractor::{Extractor, extract};
pub use last_event_id::LastEventId;
pub use path::Path;
pub use query::Query;
pub use state::State;
