//! The files of the server that read the environment, and their target.

#[path = "../../../runtime/src/server/environment.rs"]
mod environment;
#[path = "../../../runtime/src/server/wishes.rs"]
mod wishes;

pub(crate) mod variables; // what the environment says
