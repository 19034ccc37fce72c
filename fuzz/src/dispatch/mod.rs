//! The files of dispatch that read what peers send, and their targets.

#[path = "../../../runtime/src/dispatch/asked.rs"]
mod asked;
#[path = "../../../runtime/src/dispatch/choose.rs"]
mod choose;
#[path = "../../../runtime/src/dispatch/client.rs"]
mod client;
#[path = "../../../runtime/src/dispatch/origin.rs"]
mod origin;
#[path = "../../../runtime/src/dispatch/reader.rs"]
mod reader;

pub(crate) mod behind; // what comes behind a request that is held
pub(crate) mod heads; // what a request asks for
pub(crate) mod origins; // whose page asks
