//! Which transport a request gets.

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use http::header::{self, HeaderMap};
use http::request::Parts;
use http::{StatusCode, Version};

use abeyance_settings::endpoint::Transport;

/// Base64 as RFC 6455 itself has it: in the key of its §4.1, bits are set that stand for nothing.
const NONCE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Why a request gets no transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// It asked by name for what this endpoint does not offer.
    NotOffered { asked: String, offered: Vec<Transport> },
    /// A WebSocket is wanted, and something between us took the `Upgrade` header away.
    UpgradeRemoved,
    /// A WebSocket is wanted by name, and nothing of its handshake is there.
    UpgradeMissing,
    /// Only a WebSocket would do here.
    UpgradeRequired,
    /// Another version of the WebSocket protocol than 13.
    WrongVersion,
    /// A handshake that RFC 6455 §4.2.1 does not allow.
    BadHandshake(&'static str),
}

/// Chooses among the `offered`: by `?transport=`, then `Upgrade`, then `Accept`, then the first that suits plain HTTP.
pub fn choose(parts: &Parts, offered: &[Transport]) -> Result<Transport, Misfit> {
    let named = |transport: Transport| match offered.contains(&transport) {
        true => Ok(transport),
        false => Err(Misfit::NotOffered { asked: transport.as_str().to_owned(), offered: offered.to_vec() }),
    };
    let asked = query_value(parts.uri.query().unwrap_or_default(), "transport");
    let chosen = match asked {
        Some(name) => match Transport::ALL.iter().copied().find(|transport| transport.as_str() == name) {
            Some(transport) => named(transport)?,
            None => return Err(Misfit::NotOffered { asked: name, offered: offered.to_vec() }),
        },
        // In HTTP/1.0 an upgrade must be ignored (RFC 9110 §7.8).
        None if parts.version > Version::HTTP_10
            && has_token(&parts.headers, header::UPGRADE, "websocket") =>
        {
            named(Transport::WebSocket)?
        }
        None if parts.headers.contains_key(header::SEC_WEBSOCKET_KEY) => {
            return Err(match has_token(&parts.headers, header::UPGRADE, "websocket") {
                true => Misfit::BadHandshake("a WebSocket needs HTTP/1.1"),
                false => Misfit::UpgradeRemoved,
            });
        }
        None if accepts(&parts.headers, "text/event-stream") => named(Transport::Sse)?,
        None => Transport::ALL
            .iter()
            .copied()
            .find(|transport| *transport != Transport::WebSocket && offered.contains(transport))
            .ok_or(Misfit::UpgradeRequired)?,
    };
    if chosen == Transport::WebSocket {
        shake_hands(parts)?;
    }
    Ok(chosen)
}

/// What the server must check of a client's opening handshake (RFC 6455 §4.2.1).
fn shake_hands(parts: &Parts) -> Result<(), Misfit> {
    let headers = &parts.headers;
    if parts.version != Version::HTTP_11 {
        return Err(Misfit::BadHandshake("a WebSocket needs HTTP/1.1"));
    }
    if !has_token(headers, header::UPGRADE, "websocket") {
        return Err(match headers.contains_key(header::SEC_WEBSOCKET_KEY) {
            true => Misfit::UpgradeRemoved,
            false => Misfit::UpgradeMissing,
        });
    }
    if !has_token(headers, header::CONNECTION, "upgrade") {
        return Err(Misfit::BadHandshake("`Connection` does not say `Upgrade`"));
    }
    let mut versions = headers.get_all(header::SEC_WEBSOCKET_VERSION).iter();
    if versions.next().is_none_or(|version| version != "13") || versions.next().is_some() {
        return Err(Misfit::WrongVersion);
    }
    let mut keys = headers.get_all(header::SEC_WEBSOCKET_KEY).iter();
    match (keys.next(), keys.next()) {
        (Some(key), None) if NONCE.decode(key).is_ok_and(|nonce| nonce.len() == 16) => Ok(()),
        (Some(_), None) => Err(Misfit::BadHandshake("`Sec-WebSocket-Key` is not 16 bytes in base64")),
        (Some(_), Some(_)) => Err(Misfit::BadHandshake("`Sec-WebSocket-Key` was sent twice")),
        (None, _) => Err(Misfit::BadHandshake("`Sec-WebSocket-Key` is missing")),
    }
}

/// Whether the client named this media type; a wildcard is no name.
pub fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case(media_type))
            && !parts.any(|parameter| {
                let weight = parameter.strip_prefix("q=").or(parameter.strip_prefix("Q="));
                weight.is_some_and(|weight| weight.parse() == Ok(0.0))
            })
    })
}

/// Whether a comma-separated header says `token`.
fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// The first value of `key` in a query string.
pub fn query_value(query: &str, key: &str) -> Option<String> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).ok()?;
    pairs.into_iter().find(|(name, _)| name == key).map(|(_, value)| value)
}

impl Misfit {
    pub fn status(&self) -> StatusCode {
        match self {
            Misfit::NotOffered { .. } => StatusCode::NOT_ACCEPTABLE,
            Misfit::UpgradeRemoved
            | Misfit::UpgradeMissing
            | Misfit::UpgradeRequired
            | Misfit::WrongVersion => StatusCode::UPGRADE_REQUIRED,
            Misfit::BadHandshake(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misfit::NotOffered { asked, offered } => {
                let offered: Vec<_> = offered.iter().map(Transport::as_str).collect();
                write!(f, "{asked:?} is not offered here; offered: {}", offered.join(", "))
            }
            Misfit::UpgradeRemoved => {
                f.write_str("a WebSocket was asked for, but a proxy removed `Upgrade` on the way")
            }
            Misfit::UpgradeMissing => f.write_str("a WebSocket was asked for, without `Upgrade: websocket`"),
            Misfit::UpgradeRequired => f.write_str("only WebSocket is offered here"),
            Misfit::WrongVersion => f.write_str("only version 13 of the WebSocket protocol is spoken here"),
            Misfit::BadHandshake(why) => f.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    const SOCKET: [(&str, &str); 4] = [
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn chosen(uri: &str, headers: &[(&str, &str)]) -> Result<Transport, Misfit> {
        choose(&parts(uri, headers), Transport::ALL)
    }

    #[test]
    fn the_query_wins_then_upgrade_then_accept() {
        assert_eq!(chosen("/", &[]), Ok(Transport::LongPoll));
        assert_eq!(chosen("/", &[("accept", "text/html, text/event-stream;q=0.9")]), Ok(Transport::Sse));
        assert_eq!(chosen("/", &SOCKET), Ok(Transport::WebSocket));
        assert_eq!(chosen("/?a=b&transport=stream", &SOCKET), Ok(Transport::Stream));
        assert_eq!(chosen("/", &[("accept", "*/*")]), Ok(Transport::LongPoll));
        assert_eq!(chosen("/", &[("accept", "text/event-stream;q=0")]), Ok(Transport::LongPoll));
    }

    #[test]
    fn what_was_not_asked_for_by_name_is_never_refused() {
        let request = parts("/", &[]);
        assert_eq!(choose(&request, &[Transport::Sse]), Ok(Transport::Sse));
        assert_eq!(choose(&request, &[Transport::WebSocket]), Err(Misfit::UpgradeRequired));
    }

    #[test]
    fn what_is_not_offered_is_refused_with_what_is() {
        let refused =
            choose(&parts("/?transport=sse", &[]), &[Transport::WebSocket, Transport::Stream]).unwrap_err();
        assert_eq!(refused.status(), StatusCode::NOT_ACCEPTABLE);
        assert_eq!(refused.to_string(), "\"sse\" is not offered here; offered: websocket, stream");
        assert_eq!(chosen("/?transport=carrier_pigeon", &[]).unwrap_err().status(), 406);
    }

    #[test]
    fn a_handshake_that_lacks_something_says_what() {
        for (missing, status) in [
            ("upgrade", 426),
            ("connection", 400),
            ("sec-websocket-version", 426),
            ("sec-websocket-key", 400),
        ] {
            let rest: Vec<_> = SOCKET.into_iter().filter(|(name, _)| *name != missing).collect();
            assert_eq!(chosen("/", &rest).unwrap_err().status(), status, "without {missing}");
        }
        let short_key = [SOCKET[0], SOCKET[1], SOCKET[2], ("sec-websocket-key", "c2hvcnQ=")];
        assert_eq!(chosen("/", &short_key).unwrap_err().status(), 400);
        let old = [SOCKET[0], SOCKET[1], ("sec-websocket-version", "8"), SOCKET[3]];
        assert_eq!(chosen("/", &old), Err(Misfit::WrongVersion));
    }
}
