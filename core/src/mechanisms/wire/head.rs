//! The heads of answers that we write ourselves: when a hold begins or ends, hyper is out of the picture.

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use tungstenite::handshake::derive_accept_key;

use super::WireForm;
use crate::words::event_id::Position;

/// The header that carries a hold's token.
pub const HOLD: HeaderName = HeaderName::from_static("abeyance-hold");

/// The header that carries a client's place in the sequence of what is kept, both ways.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The HTTP exchange that is being answered.
#[derive(Clone, Copy)]
pub struct AnswerHead<'a> {
    /// Whether the request was HTTP/1.1; if not, it was HTTP/1.0.
    pub version_11: bool,
    /// Whether the connection may serve another request after this answer.
    pub keep_alive: bool,
    /// Now, as HTTP writes it (RFC 9110 §5.6.7).
    pub date: &'a str,
    /// What the application or CORS add. Headers that frame the answer or that are ours are left out.
    pub extra: &'a HeaderMap,
    /// Where the client stands after this answer, for its next request.
    pub position: Position,
}

/// The head of an SSE or stream answer. The connection ends with it, so that a proxy keeps nothing of it.
///
/// Empty for the other forms: a WebSocket opens with [`switching`], a long poll writes nothing before its answer.
pub fn held(form: WireForm, token: Option<&str>, exchange: &AnswerHead<'_>) -> Bytes {
    let (content_type, chunked) = match form {
        WireForm::Sse { chunked } => ("text/event-stream", chunked),
        WireForm::Stream { chunked } => ("application/x-ndjson", chunked),
        WireForm::WebSocket | WireForm::LongPoll => return Bytes::new(),
    };
    let mut head = Head::start(StatusCode::OK, exchange);
    head.line("content-type", content_type);
    if chunked {
        head.line("transfer-encoding", "chunked");
    }
    head.line("connection", "close");
    if let Some(token) = token {
        head.line(HOLD.as_str(), token);
    }
    head.uncached(exchange.extra);
    head.extra(exchange);
    head.finish(b"")
}

/// The `101` that opens a WebSocket (RFC 6455 §4.2.2). `key` is the request's `Sec-WebSocket-Key`.
pub fn switching(key: &str, protocol: Option<&HeaderValue>, exchange: &AnswerHead<'_>) -> Bytes {
    let mut head = Head::start(StatusCode::SWITCHING_PROTOCOLS, exchange);
    head.line("upgrade", "websocket");
    head.line("connection", "Upgrade");
    head.line("sec-websocket-accept", derive_accept_key(key.as_bytes()));
    if let Some(protocol) = protocol {
        head.line("sec-websocket-protocol", protocol);
    }
    head.extra(exchange);
    head.finish(b"")
}

/// A whole answer of known length. Without a content type, or with status 204, it has no body.
pub fn answer(
    status: StatusCode,
    content_type: Option<&str>,
    body: &[u8],
    retry_after: Option<u64>,
    exchange: &AnswerHead<'_>,
) -> Bytes {
    let mut head = Head::start(status, exchange);
    // A 204 has no content and must not say how much (RFC 9110 §8.6).
    let body = match content_type.filter(|_| status != StatusCode::NO_CONTENT) {
        Some(content_type) => {
            head.line("content-type", content_type);
            body
        }
        None => b"",
    };
    if status != StatusCode::NO_CONTENT {
        head.line("content-length", body.len().to_string());
    }
    // Each version has its own default (RFC 9112 §9.3); said is only what departs from it.
    match (exchange.version_11, exchange.keep_alive) {
        (_, false) => head.line("connection", "close"),
        (false, true) => head.line("connection", "keep-alive"),
        (true, true) => {}
    }
    if let Some(seconds) = retry_after {
        head.line("retry-after", seconds.to_string());
    }
    if let Some(id) = exchange.position.id {
        head.line(LAST_EVENT_ID.as_str(), id.to_string());
    }
    if exchange.position.is_lost {
        head.line("abeyance-resync", "true");
    }
    head.uncached(exchange.extra);
    head.extra(exchange);
    head.finish(body)
}

struct Head(Vec<u8>);

impl Head {
    fn start(status: StatusCode, exchange: &AnswerHead<'_>) -> Self {
        let version = if exchange.version_11 { "HTTP/1.1" } else { "HTTP/1.0" };
        let reason = status.canonical_reason().unwrap_or_default();
        let mut head = Head(Vec::with_capacity(512));
        head.0.extend_from_slice(format!("{version} {} {reason}\r\n", status.as_str()).as_bytes());
        head.line("date", exchange.date);
        head
    }

    fn line(&mut self, name: &str, value: impl AsRef<[u8]>) {
        for part in [name.as_bytes(), b": ", value.as_ref(), b"\r\n"] {
            self.0.extend_from_slice(part);
        }
    }

    /// What keeps caches, buffering proxies and guessing browsers off a held answer.
    fn uncached(&mut self, extra: &HeaderMap) {
        self.line("cache-control", "no-store");
        self.line("x-accel-buffering", "no");
        self.line("x-content-type-options", "nosniff");
        let mut vary = b"Accept".to_vec();
        for value in extra.get_all(header::VARY) {
            for field in value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                if !field.is_empty() && !field.eq_ignore_ascii_case(b"accept") {
                    vary.extend_from_slice(b", ");
                    vary.extend_from_slice(field);
                }
            }
        }
        self.line("vary", vary);
    }

    fn extra(&mut self, exchange: &AnswerHead<'_>) {
        // An application that keeps its clients' places itself may say so, where we do not.
        let is_told = |name: &HeaderName| *name == LAST_EVENT_ID && exchange.position.id.is_some();
        for (name, value) in exchange.extra.iter().filter(|(name, _)| !is_ours(name) && !is_told(name)) {
            self.line(name.as_str(), value);
        }
    }

    fn finish(mut self, body: &[u8]) -> Bytes {
        self.0.extend_from_slice(b"\r\n");
        self.0.extend_from_slice(body);
        self.0.into()
    }
}

/// Whether a header frames the answer, belongs to this connection alone, or was written by us already. A second
/// `Cache-Control` may pass: `no-store` outweighs what it says, and `no-transform` is worth having.
fn is_ours(name: &HeaderName) -> bool {
    const OURS: [HeaderName; 12] = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::DATE,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::VARY,
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("x-accel-buffering"),
    ];
    OURS.contains(name) || *name == HOLD || name.as_str().starts_with("sec-websocket-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [(&str, &str); 0] = [];

    /// The lines of a head, the first as it is, the others sorted; and the body.
    fn render<const N: usize>(
        extra: [(&'static str, &'static str); N],
        write: impl Fn(&AnswerHead<'_>) -> Bytes,
    ) -> (Vec<String>, String) {
        let extra: HeaderMap = extra
            .into_iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .fold(HeaderMap::new(), |mut map, (name, value)| {
                map.append(name, value);
                map
            });
        let exchange = AnswerHead {
            version_11: true,
            keep_alive: true,
            date: "today",
            extra: &extra,
            position: Position::default(),
        };
        let bytes = write(&exchange);
        let text = std::str::from_utf8(&bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines: Vec<String> = head.split("\r\n").map(str::to_owned).collect();
        lines[1..].sort();
        (lines, body.to_owned())
    }

    fn has(lines: &[String], line: &str) -> bool {
        lines.iter().any(|written| written == line)
    }

    #[test]
    fn the_head_of_an_event_stream_says_how_it_is_to_be_treated() {
        let (lines, body) =
            render(NONE, |exchange| held(WireForm::Sse { chunked: true }, Some("secret"), exchange));
        assert_eq!(
            lines,
            [
                "HTTP/1.1 200 OK",
                "abeyance-hold: secret",
                "cache-control: no-store",
                "connection: close",
                "content-type: text/event-stream",
                "date: today",
                "transfer-encoding: chunked",
                "vary: Accept",
                "x-accel-buffering: no",
                "x-content-type-options: nosniff",
            ]
        );
        assert_eq!(body, "");
    }

    #[test]
    fn without_chunks_the_end_of_the_connection_ends_the_answer() {
        let (lines, _) = render(NONE, |exchange| {
            held(WireForm::Stream { chunked: false }, None, &AnswerHead { version_11: false, ..*exchange })
        });
        assert_eq!(lines[0], "HTTP/1.0 200 OK");
        assert!(has(&lines, "connection: close") && has(&lines, "content-type: application/x-ndjson"));
        assert!(
            !lines
                .iter()
                .any(|line| line.starts_with("transfer-encoding") || line.starts_with("content-length"))
        );
    }

    #[test]
    fn the_application_adds_headers_but_never_framing() {
        let extra = [
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("cache-control", "no-transform"),
            ("content-length", "7"),
            ("transfer-encoding", "gzip"),
            ("connection", "keep-alive"),
            ("keep-alive", "timeout=5"),
            ("upgrade", "h2c"),
            ("sec-websocket-accept", "forged"),
            ("sec-websocket-extensions", "permessage-deflate"),
            ("abeyance-hold", "forged"),
            ("content-type", "text/html"),
            ("x-accel-buffering", "yes"),
        ];
        let (lines, _) =
            render(extra, |exchange| held(WireForm::Sse { chunked: true }, Some("secret"), exchange));
        let (bare, _) =
            render(NONE, |exchange| held(WireForm::Sse { chunked: true }, Some("secret"), exchange));
        let added: Vec<_> = lines.iter().filter(|line| !bare.contains(line)).collect();
        assert_eq!(added, ["cache-control: no-transform", "set-cookie: a=1", "set-cookie: b=2"]);
        assert!(bare.iter().all(|line| has(&lines, line)));
    }

    #[test]
    fn what_an_answer_varies_by_is_one_list() {
        let (lines, _) = render([("vary", "Origin, accept"), ("vary", "Cookie")], |exchange| {
            held(WireForm::Sse { chunked: true }, None, exchange)
        });
        assert!(has(&lines, "vary: Accept, Origin, Cookie"));
        assert_eq!(lines.iter().filter(|line| line.starts_with("vary")).count(), 1);
    }

    #[test]
    fn a_switch_accepts_the_key_and_the_protocol() {
        let protocol = HeaderValue::from_static("v1");
        let (lines, _) = render([("set-cookie", "a=1"), ("sec-websocket-protocol", "v9")], |exchange| {
            // The key and its answer as RFC 6455 §1.3 has them.
            switching("dGhlIHNhbXBsZSBub25jZQ==", Some(&protocol), exchange)
        });
        assert_eq!(
            lines,
            [
                "HTTP/1.1 101 Switching Protocols",
                "connection: Upgrade",
                "date: today",
                "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
                "sec-websocket-protocol: v1",
                "set-cookie: a=1",
                "upgrade: websocket",
            ]
        );
    }

    #[test]
    fn an_answer_says_its_length_unless_it_can_have_none() {
        let (lines, body) =
            render(NONE, |exchange| answer(StatusCode::GONE, Some("text/plain"), b"spam", None, exchange));
        assert_eq!((lines[0].as_str(), body.as_str()), ("HTTP/1.1 410 Gone", "spam"));
        assert!(has(&lines, "content-length: 4") && has(&lines, "cache-control: no-store"));

        let (lines, body) =
            render(NONE, |exchange| answer(StatusCode::NO_CONTENT, Some("text/plain"), b"x", None, exchange));
        assert_eq!((lines[0].as_str(), body.as_str()), ("HTTP/1.1 204 No Content", ""));
        assert!(!lines.iter().any(|line| line.starts_with("content-")));
    }

    #[test]
    fn an_answer_says_what_becomes_of_the_connection_where_its_version_would_not() {
        for (version_11, keep_alive, said) in [
            (true, true, None),
            (true, false, Some("connection: close")),
            (false, true, Some("connection: keep-alive")),
            (false, false, Some("connection: close")),
        ] {
            let (lines, _) = render(NONE, |exchange| {
                let exchange = AnswerHead { version_11, keep_alive, ..*exchange };
                answer(StatusCode::SERVICE_UNAVAILABLE, None, b"", Some(3), &exchange)
            });
            let connection = lines.iter().find(|line| line.starts_with("connection")).map(String::as_str);
            assert_eq!(connection, said);
            assert!(has(&lines, "retry-after: 3") && has(&lines, "content-length: 0"));
        }
    }
}
