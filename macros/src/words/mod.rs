//! The words shared with the runtime: links to its own files, so that a compile error and an error at start judge
//! alike.
#![allow(dead_code, reason = "the runtime uses the rest")]
#![allow(unreachable_pub, reason = "the runtime's generated code reaches them")]

pub(crate) mod amount;
pub(crate) mod terms;
