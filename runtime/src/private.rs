//! What generated code names. Not part of the interface: it changes whenever the macros do.

pub use std::any::type_name;
pub use std::time::Duration;

pub use http::request::Parts;
pub use inventory;

pub use crate::endpoint::answer::{Answer, run};
pub use crate::endpoint::extract::{Extractor, States, extract};
pub use crate::endpoint::need::{Need, Probe, Unknown};
pub use crate::endpoint::record::{Endpoint, Mountable, identity};
pub use crate::endpoint::suspension::Suspension;
pub use crate::endpoint::{BoxFuture, Response};
pub use crate::server::entry::{Main, MainOutput, main};
pub use abeyance_settings::endpoint::{EndpointOptions, Transport, WhenEvicted, WhenFull, WhenSlow};
