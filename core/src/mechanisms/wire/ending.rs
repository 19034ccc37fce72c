//! How each end of a hold looks on each wire: the whole table, and nothing else decides about it.

use std::time::Duration;

use http::StatusCode;

use super::ending_bytes::EndingBytes;
use super::head::{self, AnswerHead};
use super::websocket::{self, code};
use super::{WireForm, chunk, long_poll, sse};
use crate::words::cause::{Disconnect, End, Resume};
use crate::words::event_id::EventId;
use abeyance_settings::endpoint::WhenEvicted;

/// The table. `retry_after` is when the client shall come back, jittered by the caller. `code_hint` is the close
/// code of the fault that ended a WebSocket ([`Fault::close_code`](super::protocol_fault::ProtocolFault::close_code)): a
/// violation may be of the protocol (1002) or of UTF-8 (1007). `when_evicted` is what the hold's terms say. Long polls look at the whole `exchange`, SSE at its
/// position only.
///
/// A long poll's `Answered` is written by [`long_poll`]; without a message it is a `204`.
pub fn ending(
    form: WireForm,
    end: &End,
    retry_after: Duration,
    code_hint: Option<u16>,
    when_evicted: WhenEvicted,
    exchange: &AnswerHead<'_>,
) -> EndingBytes {
    if (end, when_evicted) == (&End::Resume(Resume::Evicted), WhenEvicted::StayAway) {
        return stay_away(form, end, retry_after, exchange);
    }
    match form {
        WireForm::WebSocket => web_socket(end, retry_after, code_hint),
        WireForm::Sse { chunked } => events(end, retry_after, chunked, exchange.position.id),
        WireForm::Stream { chunked } => lines(end, chunked),
        WireForm::LongPoll => poll(end, retry_after, exchange),
    }
}

/// As the application disconnects, with the cause for a reason: who obeys that stays away. An EventSource cannot obey by
/// itself, so it is marked.
fn stay_away(form: WireForm, end: &End, retry_after: Duration, exchange: &AnswerHead<'_>) -> EndingBytes {
    let word = end.as_str();
    match form {
        WireForm::WebSocket => EndingBytes::Polite(websocket::close(Some(code::POLICY), word)),
        WireForm::Sse { chunked } => {
            let block = sse::stay_away(word, retry_after, exchange.position.id);
            EndingBytes::Polite(chunk::ending(block, chunked))
        }
        WireForm::Stream { chunked } => lines(end, chunked),
        WireForm::LongPoll => answer(StatusCode::GONE, word, None, exchange),
    }
}

fn web_socket(end: &End, retry_after: Duration, code_hint: Option<u16>) -> EndingBytes {
    let close = |code, reason: &str| EndingBytes::Polite(websocket::close(Some(code), reason));
    let word = end.as_str();
    let return_later = || format!("{word}; retry-after={}", retry_after.as_millis());
    match end {
        End::Resume(Resume::Evicted) => close(code::TRY_AGAIN, &return_later()),
        End::Resume(Resume::Drained) => close(code::GOING_AWAY, &return_later()),
        End::Resume(_) => close(code::NORMAL, word),
        End::Disconnect(cause) => match cause {
            // The peer waits for its own code to come back (RFC 6455 §5.5.1).
            Disconnect::Closed { code, .. } => EndingBytes::Polite(websocket::close(*code, "")),
            Disconnect::Gone | Disconnect::Reset => EndingBytes::Close,
            // No FIN behind what the peer will not take: the kernel would keep that.
            Disconnect::Unreachable => EndingBytes::Cut,
            // An ending that must wait would reach no peer.
            Disconnect::Idle => EndingBytes::LastWord(websocket::close(Some(code::GOING_AWAY), word)),
            Disconnect::Shutdown => close(code::GOING_AWAY, word),
            Disconnect::Slow | Disconnect::Stalled => {
                EndingBytes::LastWord(websocket::close(Some(code::POLICY), word))
            }
            Disconnect::TooLarge => close(code::TOO_LARGE, word),
            Disconnect::Violation => close(code_hint.unwrap_or(code::PROTOCOL), word),
            Disconnect::Flood | Disconnect::Unfinished | Disconnect::Overload => close(code::POLICY, word),
            Disconnect::Kicked { code, reason } => {
                close(code.filter(|code| (4000..=4999).contains(code)).unwrap_or(code::POLICY), reason)
            }
            Disconnect::Failed => close(code::INTERNAL, word),
        },
    }
}

fn events(end: &End, retry_after: Duration, chunked: bool, id: Option<EventId>) -> EndingBytes {
    match end {
        End::Resume(cause) => {
            let retry = matches!(cause, Resume::Evicted | Resume::Drained).then_some(retry_after);
            EndingBytes::Polite(chunk::ending(sse::resumed(cause.as_str(), retry, id), chunked))
        }
        End::Disconnect(Disconnect::Kicked { reason, .. }) => {
            EndingBytes::Polite(chunk::ending(sse::disconnected(reason), chunked))
        }
        End::Disconnect(cause) => unfinished(cause, chunked),
    }
}

fn lines(end: &End, chunked: bool) -> EndingBytes {
    match end {
        End::Resume(_) | End::Disconnect(Disconnect::Kicked { .. }) => {
            EndingBytes::Polite(chunk::ending(Vec::new(), chunked))
        }
        End::Disconnect(cause) => unfinished(cause, chunked),
    }
}

/// An answer that ends before it is whole.
fn unfinished(cause: &Disconnect, chunked: bool) -> EndingBytes {
    match cause {
        Disconnect::Closed { .. } | Disconnect::Gone | Disconnect::Reset => EndingBytes::Close,
        // The peer does not read: what the kernel holds for it would stay until the kernel gives up.
        Disconnect::Idle | Disconnect::Slow | Disconnect::Stalled | Disconnect::Unreachable => {
            EndingBytes::Cut
        }
        // What is queued may still arrive, and the missing last chunk says that it is not all. Without chunks a FIN
        // would say that it is.
        _ if chunked => EndingBytes::Close,
        _ => EndingBytes::Cut,
    }
}

fn poll(end: &End, retry_after: Duration, exchange: &AnswerHead<'_>) -> EndingBytes {
    let word = end.as_str();
    let seconds = retry_after.as_millis().div_ceil(1000) as u64;
    let answer = |status, body: &str, retry, keep_alive| {
        let exchange = AnswerHead { keep_alive: exchange.keep_alive && keep_alive, ..*exchange };
        answer(status, body, retry, &exchange)
    };
    match end {
        End::Resume(Resume::Evicted) => answer(StatusCode::SERVICE_UNAVAILABLE, word, Some(seconds), true),
        // Its next request shall go to another server, so this connection is not to be used again.
        End::Resume(Resume::Drained) => answer(StatusCode::SERVICE_UNAVAILABLE, word, Some(seconds), false),
        End::Resume(_) => answer(StatusCode::NO_CONTENT, "", None, true),
        End::Disconnect(cause) => match cause {
            Disconnect::Closed { .. } | Disconnect::Gone | Disconnect::Reset => EndingBytes::Close,
            Disconnect::Idle => answer(StatusCode::REQUEST_TIMEOUT, word, None, false),
            // Only an answer can be read too slowly, and a second one must not follow half of the first.
            Disconnect::Slow | Disconnect::Stalled | Disconnect::Unreachable => EndingBytes::Cut,
            Disconnect::TooLarge => answer(StatusCode::PAYLOAD_TOO_LARGE, word, None, false),
            Disconnect::Violation => answer(StatusCode::BAD_REQUEST, word, None, false),
            Disconnect::Flood => answer(StatusCode::TOO_MANY_REQUESTS, word, None, false),
            Disconnect::Overload => answer(StatusCode::TOO_MANY_REQUESTS, word, Some(seconds), false),
            Disconnect::Unfinished => answer(StatusCode::REQUEST_TIMEOUT, word, None, false),
            Disconnect::Kicked { reason, .. } => answer(StatusCode::GONE, reason, None, true),
            Disconnect::Failed => answer(StatusCode::INTERNAL_SERVER_ERROR, word, None, true),
            Disconnect::Shutdown => answer(StatusCode::SERVICE_UNAVAILABLE, word, Some(seconds), false),
        },
    }
}

fn answer(status: StatusCode, body: &str, retry: Option<u64>, exchange: &AnswerHead<'_>) -> EndingBytes {
    let bytes = head::answer(status, Some(long_poll::TEXT), body.as_bytes(), retry, exchange);
    EndingBytes::Answer { bytes, keep_alive: exchange.keep_alive }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::HeaderMap;

    use super::*;
    use crate::words::event_id::Position;

    /// An end in one line: what happens, then what is written, escaped.
    fn told(form: WireForm, end: &End, code_hint: Option<u16>) -> String {
        told_when(WhenEvicted::ComeBack, form, end, code_hint)
    }

    fn told_when(when_evicted: WhenEvicted, form: WireForm, end: &End, code_hint: Option<u16>) -> String {
        let extra = HeaderMap::new();
        let exchange = AnswerHead {
            version_11: true,
            keep_alive: true,
            date: "today",
            extra: &extra,
            position: Position::default(),
        };
        match ending(form, end, Duration::from_millis(1500), code_hint, when_evicted, &exchange) {
            EndingBytes::Polite(bytes) => format!("polite {}", read(form, &bytes)).trim_end().to_owned(),
            EndingBytes::LastWord(bytes) => format!("last word {}", read(form, &bytes)),
            EndingBytes::Close => "FIN".into(),
            EndingBytes::Cut => "RST".into(),
            EndingBytes::Answer { bytes, keep_alive } => {
                let text = std::str::from_utf8(&bytes).unwrap();
                let (head, body) = text.split_once("\r\n\r\n").unwrap();
                assert_eq!(head.contains("connection: close"), !keep_alive, "{head}");
                let mut told = head[9..12].to_owned();
                if let Some((_, after)) = head.split_once("retry-after: ") {
                    told += &format!(" after {}s", after.lines().next().unwrap());
                }
                told += if body.is_empty() { "" } else { " " };
                told + body + if keep_alive { "" } else { ", close" }
            }
        }
    }

    fn read(form: WireForm, bytes: &[u8]) -> String {
        match (form, bytes) {
            (WireForm::WebSocket, [0x88, 0]) => "no code".into(),
            (WireForm::WebSocket, [0x88, length, high, low, reason @ ..]) => {
                assert_eq!(*length as usize, reason.len() + 2);
                let code = u16::from_be_bytes([*high, *low]);
                format!("{code} {}", String::from_utf8_lossy(reason)).trim_end().to_owned()
            }
            (WireForm::Sse { chunked: true } | WireForm::Stream { chunked: true }, _) => {
                let text = std::str::from_utf8(bytes).unwrap();
                let chunk = text.strip_suffix("0\r\n\r\n").expect("the last chunk");
                let Some((size, payload)) = chunk.split_once("\r\n") else { return "last".into() };
                let payload = payload.strip_suffix("\r\n").unwrap();
                assert_eq!(usize::from_str_radix(size, 16), Ok(payload.len()));
                payload.replace('\n', "|") + " last"
            }
            _ => String::from_utf8_lossy(bytes).replace('\n', "|"),
        }
    }

    #[test]
    fn every_end_is_told_on_every_wire_as_the_table_says() {
        use Disconnect::*;
        use Resume::*;
        let closed = |code| End::from(Closed { code, reason: "bye".into() });
        let kicked = |code, reason: &str| End::from(Kicked { code, reason: Arc::from(reason) });

        #[rustfmt::skip]
        let table: [(End, &str, &str, &str, &str); 23] = [
            // the end                long poll                       SSE, HTTP/1.1                                             stream         WebSocket
            (Timeout.into(),          "204",                          "polite event: resumed|data: timeout|| last",             "polite last", "polite 1000 timeout"),
            (Lifetime.into(),         "204",                          "polite event: resumed|data: lifetime|| last",            "polite last", "polite 1000 lifetime"),
            (Released.into(),         "204",                          "polite event: resumed|data: released|| last",            "polite last", "polite 1000 released"),
            (Answered.into(),         "204",                          "polite event: resumed|data: answered|| last",            "polite last", "polite 1000 answered"),
            (Evicted.into(),          "503 after 2s evicted",         "polite retry: 1500|event: resumed|data: evicted|| last", "polite last", "polite 1013 evicted; retry-after=1500"),
            (Drained.into(),          "503 after 2s drained, close",  "polite retry: 1500|event: resumed|data: drained|| last", "polite last", "polite 1001 drained; retry-after=1500"),
            (closed(Some(4001)),      "FIN",                          "FIN",                                                    "FIN",         "polite 4001"),
            (closed(None),            "FIN",                          "FIN",                                                    "FIN",         "polite no code"),
            (Gone.into(),             "FIN",                          "FIN",                                                    "FIN",         "FIN"),
            (Reset.into(),            "FIN",                          "FIN",                                                    "FIN",         "FIN"),
            (Unreachable.into(),      "RST",                         "RST",                                                    "RST",         "RST"),
            (Idle.into(),             "408 idle, close",              "RST",                                                    "RST",         "last word 1001 idle"),
            (Slow.into(),             "RST",                          "RST",                                                    "RST",         "last word 1008 slow"),
            (Stalled.into(),          "RST",                          "RST",                                                    "RST",         "last word 1008 stalled"),
            (TooLarge.into(),         "413 too_large, close",         "FIN",                                                    "FIN",         "polite 1009 too_large"),
            (Violation.into(),        "400 violation, close",         "FIN",                                                    "FIN",         "polite 1002 violation"),
            (Flood.into(),            "429 flood, close",             "FIN",                                                    "FIN",         "polite 1008 flood"),
            (Unfinished.into(),       "408 unfinished, close",        "FIN",                                                    "FIN",         "polite 1008 unfinished"),
            (kicked(None, "out"),     "410 out",                      "polite event: disconnected|data: out|| last",            "polite last", "polite 1008 out"),
            (kicked(Some(4321), "x"), "410 x",                        "polite event: disconnected|data: x|| last",              "polite last", "polite 4321 x"),
            (kicked(Some(1000), ""),  "410",                          "polite event: disconnected|data: || last",               "polite last", "polite 1008"),
            (Failed.into(),           "500 failed",                   "FIN",                                                    "FIN",         "polite 1011 failed"),
            (Shutdown.into(),         "503 after 2s shutdown, close", "FIN",                                                    "FIN",         "polite 1001 shutdown"),
        ];
        for (end, long_poll, sse, stream, websocket) in table {
            assert_eq!(told(WireForm::LongPoll, &end, None), long_poll, "long poll: {end}");
            assert_eq!(told(WireForm::Sse { chunked: true }, &end, None), sse, "SSE: {end}");
            assert_eq!(told(WireForm::Stream { chunked: true }, &end, None), stream, "stream: {end}");
            assert_eq!(told(WireForm::WebSocket, &end, None), websocket, "WebSocket: {end}");
        }
    }

    #[test]
    fn who_is_evicted_and_to_stay_away_is_told_as_if_disconnected() {
        let end = Resume::Evicted.into();
        let told = |form, end: &End| told_when(WhenEvicted::StayAway, form, end, None);
        assert_eq!(told(WireForm::LongPoll, &end), "410 evicted");
        let event = "polite retry: 1500|id: abeyance-stay-away|event: disconnected|data: evicted||";
        assert_eq!(told(WireForm::Sse { chunked: true }, &end), format!("{event} last"));
        assert_eq!(told(WireForm::Sse { chunked: false }, &end), event);
        assert_eq!(told(WireForm::Stream { chunked: true }, &end), "polite last");
        assert_eq!(told(WireForm::WebSocket, &end), "polite 1008 evicted");
        // No other is.
        assert_eq!(told(WireForm::LongPoll, &Resume::Timeout.into()), "204");
        assert_eq!(
            told(WireForm::WebSocket, &Resume::Drained.into()),
            "polite 1001 drained; retry-after=1500"
        );
    }

    #[test]
    fn without_chunks_only_a_reset_says_that_an_answer_is_not_whole() {
        for form in [WireForm::Sse { chunked: false }, WireForm::Stream { chunked: false }] {
            for cause in
                [Disconnect::Failed, Disconnect::Shutdown, Disconnect::TooLarge, Disconnect::Violation]
            {
                assert_eq!(told(form, &cause.into(), None), "RST");
            }
            assert_eq!(told(form, &Disconnect::Gone.into(), None), "FIN");
        }
        let resumed = told(WireForm::Sse { chunked: false }, &Resume::Timeout.into(), None);
        assert_eq!(resumed, "polite event: resumed|data: timeout||");
        assert_eq!(told(WireForm::Stream { chunked: false }, &Resume::Timeout.into(), None), "polite");
    }

    #[test]
    fn text_that_is_not_utf8_is_a_violation_with_a_code_of_its_own() {
        let hint = super::super::protocol_fault::ProtocolFault::NotUtf8.close_code();
        assert_eq!(
            told(WireForm::WebSocket, &Disconnect::Violation.into(), Some(hint)),
            "polite 1007 violation"
        );
    }

    #[test]
    fn a_connection_that_cannot_be_kept_is_not_promised_to_be() {
        let extra = HeaderMap::new();
        let exchange = AnswerHead {
            version_11: true,
            keep_alive: false,
            date: "today",
            extra: &extra,
            position: Position::default(),
        };
        let come_back = WhenEvicted::ComeBack;
        let finish =
            ending(WireForm::LongPoll, &Resume::Timeout.into(), Duration::ZERO, None, come_back, &exchange);
        assert!(matches!(finish, EndingBytes::Answer { keep_alive: false, .. }));
    }
}
