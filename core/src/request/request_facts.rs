//! What is remembered of a request once it is held.

use http::request::Parts;
use http::{Version, header};

use crate::mechanisms::wire::WireForm;
use abeyance_settings::endpoint::Transport;

use crate::request::negotiate::accepts;
use crate::request::reader::PollExchange;

/// What must be known of a request when it is held; hyper's buffers are gone by then, so these are copies.
pub struct RequestFacts {
    pub form: WireForm,
    pub path: Box<str>,
    pub exchange: PollExchange,
    /// Of a WebSocket: the handshake's key, and the subprotocols the client knows.
    pub key: String,
    pub protocols: Vec<String>,
}

impl RequestFacts {
    pub fn of(parts: &Parts, transport: Transport, is_bodied: bool) -> Self {
        let version_11 = parts.version == Version::HTTP_11;
        let text = |name| parts.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let wants_close = text(header::CONNECTION)
            .flat_map(|value| value.split(','))
            .any(|word| word.trim().eq_ignore_ascii_case("close"));
        let protocols = text(header::SEC_WEBSOCKET_PROTOCOL).flat_map(|value| value.split(','));
        RequestFacts {
            form: match transport {
                Transport::WebSocket => WireForm::WebSocket,
                Transport::Sse => WireForm::Sse { chunked: version_11 },
                Transport::Stream => WireForm::Stream { chunked: version_11 },
                _ => WireForm::LongPoll,
            },
            path: parts.uri.path().into(),
            exchange: PollExchange {
                version_11,
                // As the server judges it, or an answer would promise what the server does not keep.
                keep_alive: version_11 && !wants_close && !is_bodied,
                is_batch: accepts(&parts.headers, "application/x-ndjson"),
                rest: None,
            },
            key: text(header::SEC_WEBSOCKET_KEY).next().unwrap_or_default().to_owned(),
            protocols: protocols.map(|name| name.trim().to_owned()).collect(),
        }
    }
}
