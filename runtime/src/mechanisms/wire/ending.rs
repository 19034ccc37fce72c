//! How each end of a hold looks on each wire: the whole table, and nothing else decides about it.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use super::head::{self, Exchange};
use super::websocket::{self, code};
use super::{Form, chunk, long_poll, sse};
use crate::words::cause::{Disconnect, End, Resume};

/// What is left to do with a connection whose hold ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// Write these bytes, then FIN, and wait for the peer's.
    Polite(Bytes),
    /// As `Polite` if the kernel takes these bytes at once and nothing half-written stands before them; else RST.
    LastWord(Bytes),
    /// Write this answer; then the connection serves its next request, or closes politely.
    Answer { bytes: Bytes, keep_alive: bool },
    /// Close without another byte (FIN).
    Close,
    /// Drop it with all that is queued (RST).
    Cut,
}

/// The table. `retry_after` is when the client shall come back, jittered by the caller. `code_hint` is the close
/// code of the fault that ended a WebSocket ([`Fault::close_code`](super::fault::Fault::close_code)): a
/// violation may be of the protocol (1002) or of UTF-8 (1007). Only long polls look at the `exchange`.
///
/// A long poll's `Answered` is written by [`long_poll`](super::long_poll); without a message it is a `204`.
pub(crate) fn ending(
    form: Form,
    end: &End,
    retry_after: Duration,
    code_hint: Option<u16>,
    exchange: &Exchange<'_>,
) -> Finish {
    match form {
        Form::WebSocket => web_socket(end, retry_after, code_hint),
        Form::Sse { chunked } => events(end, retry_after, chunked),
        Form::Stream { chunked } => lines(end, chunked),
        Form::LongPoll => poll(end, retry_after, exchange),
    }
}

fn web_socket(end: &End, retry_after: Duration, code_hint: Option<u16>) -> Finish {
    let close = |code, reason: &str| Finish::Polite(websocket::close(Some(code), reason));
    let word = end.as_str();
    let return_later = || format!("{word}; retry-after={}", retry_after.as_millis());
    match end {
        End::Resume(Resume::Evicted) => close(code::TRY_AGAIN, &return_later()),
        End::Resume(Resume::Drained) => close(code::GOING_AWAY, &return_later()),
        End::Resume(_) => close(code::NORMAL, word),
        End::Disconnect(cause) => match cause {
            // The peer waits for its own code to come back (RFC 6455 §5.5.1).
            Disconnect::Closed { code, .. } => Finish::Polite(websocket::close(*code, "")),
            Disconnect::Gone | Disconnect::Reset | Disconnect::Unreachable => Finish::Close,
            Disconnect::Idle | Disconnect::Shutdown => close(code::GOING_AWAY, word),
            Disconnect::Slow | Disconnect::Stalled => {
                Finish::LastWord(websocket::close(Some(code::POLICY), word))
            }
            Disconnect::TooLarge => close(code::TOO_LARGE, word),
            Disconnect::Violation => close(code_hint.unwrap_or(code::PROTOCOL), word),
            Disconnect::Kicked { code, reason } => {
                close(code.filter(|code| (4000..=4999).contains(code)).unwrap_or(code::POLICY), reason)
            }
            Disconnect::Failed => close(code::INTERNAL, word),
        },
    }
}

fn events(end: &End, retry_after: Duration, chunked: bool) -> Finish {
    match end {
        End::Resume(cause) => {
            let retry = matches!(cause, Resume::Evicted | Resume::Drained).then_some(retry_after);
            Finish::Polite(chunk::ending(sse::resumed(cause.as_str(), retry), chunked))
        }
        End::Disconnect(Disconnect::Kicked { reason, .. }) => {
            Finish::Polite(chunk::ending(sse::disconnected(reason), chunked))
        }
        End::Disconnect(cause) => unfinished(cause, chunked),
    }
}

fn lines(end: &End, chunked: bool) -> Finish {
    match end {
        End::Resume(_) | End::Disconnect(Disconnect::Kicked { .. }) => {
            Finish::Polite(chunk::ending(Vec::new(), chunked))
        }
        End::Disconnect(cause) => unfinished(cause, chunked),
    }
}

/// An answer that ends before it is whole.
fn unfinished(cause: &Disconnect, chunked: bool) -> Finish {
    match cause {
        Disconnect::Closed { .. } | Disconnect::Gone | Disconnect::Reset | Disconnect::Unreachable => {
            Finish::Close
        }
        // Nobody reads: what the kernel holds for this peer would stay until its own patience ends.
        Disconnect::Idle | Disconnect::Slow | Disconnect::Stalled => Finish::Cut,
        // What is queued may still arrive, and the missing last chunk says that it is not all. Without chunks a FIN
        // would say that it is.
        _ if chunked => Finish::Close,
        _ => Finish::Cut,
    }
}

fn poll(end: &End, retry_after: Duration, exchange: &Exchange<'_>) -> Finish {
    let word = end.as_str();
    let seconds = retry_after.as_millis().div_ceil(1000) as u64;
    let answer = |status, body: &str, retry: Option<u64>, keep_alive| {
        let exchange = Exchange { keep_alive: exchange.keep_alive && keep_alive, ..*exchange };
        let bytes = head::answer(status, Some(long_poll::TEXT), body.as_bytes(), retry, &exchange);
        Finish::Answer { bytes, keep_alive: exchange.keep_alive }
    };
    match end {
        End::Resume(Resume::Evicted) => answer(StatusCode::SERVICE_UNAVAILABLE, word, Some(seconds), true),
        // Its next request shall go to another server, so this connection is not to be used again.
        End::Resume(Resume::Drained) => answer(StatusCode::SERVICE_UNAVAILABLE, word, Some(seconds), false),
        End::Resume(_) => answer(StatusCode::NO_CONTENT, "", None, true),
        End::Disconnect(cause) => match cause {
            Disconnect::Closed { .. } | Disconnect::Gone | Disconnect::Reset | Disconnect::Unreachable => {
                Finish::Close
            }
            Disconnect::Idle => answer(StatusCode::REQUEST_TIMEOUT, word, None, false),
            // Only an answer can be read too slowly, and a second one must not follow half of the first.
            Disconnect::Slow | Disconnect::Stalled => Finish::Cut,
            Disconnect::TooLarge => answer(StatusCode::PAYLOAD_TOO_LARGE, word, None, false),
            Disconnect::Violation => answer(StatusCode::BAD_REQUEST, word, None, false),
            Disconnect::Kicked { reason, .. } => answer(StatusCode::GONE, reason, None, true),
            Disconnect::Failed => answer(StatusCode::INTERNAL_SERVER_ERROR, word, None, true),
            Disconnect::Shutdown => answer(StatusCode::SERVICE_UNAVAILABLE, word, Some(seconds), false),
        },
    }
}
