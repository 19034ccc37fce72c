//! The extractors that read what peers wrote.

#[path = "../../../runtime/src/endpoint/extract/captures.rs"]
mod captures;
#[path = "../../../runtime/src/endpoint/extract/last_event_id.rs"]
mod last_event_id;
#[path = "../../../runtime/src/endpoint/extract/misfit.rs"]
mod misfit;
#[path = "../../../runtime/src/endpoint/extract/path.rs"]
mod path;
#[path = "../../../runtime/src/endpoint/extract/query.rs"]
mod query;
#[path = "../../../runtime/src/endpoint/extract/value.rs"]
mod value;

pub(crate) use captures::Captures;
pub(crate) use last_event_id::LastEventId;
pub(crate) use path::Path;
pub(crate) use query::Query;
