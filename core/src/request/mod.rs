//! What a request's head asks for, and what the bytes of a held peer mean.

pub mod asked; // the transport's form, and what must be remembered of the request
pub mod choose; // which transport a request asks for
pub mod client; // who the client is, behind proxies
pub mod origin; // whose page asks
pub mod reader; // what a held peer's bytes mean
