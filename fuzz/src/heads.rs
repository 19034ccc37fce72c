//! What a request asks for: its transport, its query, the last event it has seen, whose it is.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum_core::extract::FromRequestParts;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Request, StatusCode};
use ipnet::IpNet;
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::server::create_response;

use abeyance::extract::{LastEventId, Query};
use abeyance_core::mechanisms::wire::WireForm;
use abeyance_core::request::request_facts::RequestFacts;
use abeyance_core::request::{client_address, negotiate};
use abeyance_core::words::event_id::EventId;
use abeyance_settings::endpoint::Transport;

/// A head as text.
pub(crate) fn heads(data: &[u8]) {
    let Some(mut parts) = crate::request::head(data) else { return };
    for offered in [Transport::ALL, &[Transport::WebSocket], &[Transport::LongPoll, Transport::Sse]] {
        transport(&parts, offered);
    }
    ids(&mut parts);
    clients(&parts);
    query(&mut parts);
}

fn transport(parts: &Parts, offered: &[Transport]) {
    let chosen = match negotiate::choose(parts, offered) {
        Ok(chosen) => chosen,
        Err(misfit) => {
            assert!(misfit.status().is_client_error());
            assert!(!misfit.to_string().contains(['\r', '\n']), "{misfit}");
            return;
        }
    };
    assert!(offered.contains(&chosen));
    let asked = RequestFacts::of(parts, chosen, false);
    assert_eq!(asked.form.transport(), chosen);
    if asked.form == WireForm::WebSocket {
        // A handshake that we accept, others accept, too; but for bits of a key that stand for nothing.
        let mut request = Request::new(());
        *request.headers_mut() = plain(&parts.headers);
        let Ok(key) = STANDARD.decode(&asked.key) else { return };
        assert_eq!(key.len(), 16);
        let answer = create_response(&request).expect("a handshake that tungstenite takes");
        assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
        let accept = answer.headers()["sec-websocket-accept"].as_bytes();
        assert_eq!(accept, derive_accept_key(asked.key.as_bytes()).as_bytes());
    }
}

/// The same with each list in one field, and without what else could be upgraded to: tungstenite reads no further.
fn plain(headers: &HeaderMap) -> HeaderMap {
    let mut plain = headers.clone();
    let options = headers.get_all("connection").iter().filter_map(|value| value.to_str().ok());
    let options: Vec<_> = options.collect();
    plain.insert("connection", HeaderValue::try_from(options.join(",")).expect("made of values"));
    plain.insert("upgrade", HeaderValue::from_static("websocket"));
    plain
}

fn ids(parts: &mut Parts) {
    let Ok(LastEventId(last)) = at_once(LastEventId::from_request_parts(parts, &()));
    let is_given = parts.headers.contains_key("last-event-id")
        || parts.uri.query().is_some_and(|query| query.contains("last_event_id="));
    assert!(is_given || last.is_none());
    let Some(last) = last else { return };
    assert_ne!(last, "");
    if let Ok(id) = EventId::read(&last) {
        assert_eq!(id.to_string(), last);
    }
}

fn clients(parts: &Parts) {
    let trusted: [IpNet; 2] = ["10.0.0.0/8", "::1/128"].map(|net| net.parse().expect("a network"));
    let stranger = SocketAddr::from(([192, 0, 2, 1], 5));
    let judged = client_address::of(stranger, &parts.headers, &trusted);
    assert_eq!((judged.address, judged.is_proxied), (stranger, false), "a stranger cannot name another");
    let proxy = SocketAddr::from(([10, 0, 0, 1], 5));
    let judged = client_address::of(proxy, &parts.headers, &trusted);
    assert!(judged.is_proxied);
    assert!(judged.address == proxy || judged.address.port() == 0);
    if !parts.headers.contains_key("x-forwarded-for") {
        assert_eq!(judged.address, proxy);
    }
}

/// What our own look at a query finds is what the extractor finds.
fn query(parts: &mut Parts) {
    let text = parts.uri.query().unwrap_or_default().to_owned();
    let read = at_once(Query::<Vec<(String, String)>>::from_request_parts(parts, &()));
    let Query(pairs) = read.unwrap_or_else(|refused| panic!("pairs of text are always there: {refused}"));
    let mut first = HashMap::new();
    for (name, value) in &pairs {
        first.entry(name.as_str()).or_insert(value.as_str());
    }
    for name in ["transport", "hold", ""] {
        assert_eq!(negotiate::query_value(&text, name).as_deref(), first.get(name).copied());
    }
    let written = serde_urlencoded::to_string(&pairs).expect("pairs of text");
    assert_eq!(serde_urlencoded::from_str::<Vec<(String, String)>>(&written).as_ref(), Ok(&pairs));
}

/// What an extractor of a head gives, which waits for nothing.
fn at_once<T>(reading: impl Future<Output = T>) -> T {
    match pin!(reading).as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(read) => read,
        Poll::Pending => panic!("it waits"),
    }
}
