//! What a request's head asks for, and what the bytes of a held peer mean.

pub mod client_address; // who the client is, behind proxies
pub mod cors; // whose page asks
pub mod negotiate; // which transport a request asks for
pub mod reader; // what a held peer's bytes mean
pub mod request_facts; // the transport's form, and what must be remembered of the request
