//! Tests of abeyance as its users see it; here is what they share.

pub mod net;
