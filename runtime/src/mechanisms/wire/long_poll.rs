//! The answers of long polls that got something to say (`Resume::Answered`).

use http::StatusCode;

use super::ending::Finish;
use super::head::{self, Exchange};
use super::stream;
use crate::words::message::{Kind, Message};

pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
pub(crate) const JSON: &str = "application/json";
pub(crate) const BINARY: &str = "application/octet-stream";
pub(crate) const LINES: &str = "application/x-ndjson";

/// One message as the whole answer.
pub(crate) fn one(message: &Message, exchange: &Exchange<'_>) -> Finish {
    let content_type = match message.kind() {
        Kind::Text => TEXT,
        Kind::Json => JSON,
        Kind::Binary => BINARY,
    };
    answered(content_type, message.as_bytes(), exchange)
}

/// All that wait, as lines, for a client that said `Accept: application/x-ndjson`.
pub(crate) fn batch(messages: &[Message], exchange: &Exchange<'_>) -> Finish {
    let lines: Vec<u8> = messages.iter().flat_map(stream::line).collect();
    answered(LINES, &lines, exchange)
}

fn answered(content_type: &str, body: &[u8], exchange: &Exchange<'_>) -> Finish {
    let bytes = head::answer(StatusCode::OK, Some(content_type), body, None, exchange);
    Finish::Answer { bytes, keep_alive: exchange.keep_alive }
}
