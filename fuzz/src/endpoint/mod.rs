//! The files of the endpoints that read requests, and their target.

#[path = "../../../runtime/src/endpoint/refuse.rs"]
mod refuse;
#[path = "../../../runtime/src/endpoint/router.rs"]
mod router;

mod check;
pub(crate) mod extract;
mod record;

pub(crate) mod paths; // patterns of paths, and paths that match them

/// As the runtime has it.
pub(crate) type Response = http::Response<axum_core::body::Body>;
