//! The heads of answers that we write ourselves: when a hold begins or ends, hyper is out of the picture.

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::Form;

/// The header that carries a hold's token.
pub(crate) const HOLD: HeaderName = HeaderName::from_static("abeyance-hold");

/// The HTTP exchange that is being answered.
#[derive(Clone, Copy)]
pub(crate) struct Exchange<'a> {
    /// Whether the request was HTTP/1.1; if not, it was HTTP/1.0.
    pub(crate) version_11: bool,
    /// Whether the connection may serve another request after this answer.
    pub(crate) keep_alive: bool,
    /// Now, as HTTP writes it (RFC 9110 §5.6.7).
    pub(crate) date: &'a str,
    /// What the application, CORS or replay add. Headers that frame the answer or that are ours are left out.
    pub(crate) extra: &'a HeaderMap,
}

/// The head of an SSE or stream answer. The connection ends with it, so that a proxy keeps nothing of it.
///
/// Empty for the other forms: a WebSocket opens with [`switching`], a long poll writes nothing before its answer.
pub(crate) fn held(form: Form, token: Option<&str>, exchange: &Exchange<'_>) -> Bytes {
    let (content_type, chunked) = match form {
        Form::Sse { chunked } => ("text/event-stream", chunked),
        Form::Stream { chunked } => ("application/x-ndjson", chunked),
        Form::WebSocket | Form::LongPoll => return Bytes::new(),
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
    head.extra(exchange.extra);
    head.finish(b"")
}

/// The `101` that opens a WebSocket (RFC 6455 §4.2.2). `key` is the request's `Sec-WebSocket-Key`.
pub(crate) fn switching(key: &str, protocol: Option<&HeaderValue>, exchange: &Exchange<'_>) -> Bytes {
    let mut head = Head::start(StatusCode::SWITCHING_PROTOCOLS, exchange);
    head.line("upgrade", "websocket");
    head.line("connection", "Upgrade");
    head.line("sec-websocket-accept", derive_accept_key(key.as_bytes()));
    if let Some(protocol) = protocol {
        head.line("sec-websocket-protocol", protocol);
    }
    head.extra(exchange.extra);
    head.finish(b"")
}

/// A whole answer of known length. Without a content type, or with status 204, it has no body.
pub(crate) fn answer(
    status: StatusCode,
    content_type: Option<&str>,
    body: &[u8],
    retry_after: Option<u64>,
    exchange: &Exchange<'_>,
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
    head.uncached(exchange.extra);
    head.extra(exchange.extra);
    head.finish(body)
}

struct Head(Vec<u8>);

impl Head {
    fn start(status: StatusCode, exchange: &Exchange<'_>) -> Self {
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

    fn extra(&mut self, extra: &HeaderMap) {
        for (name, value) in extra.iter().filter(|(name, _)| !is_ours(name)) {
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
