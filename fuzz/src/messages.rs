//! What is written to peers, read by others: no name, text, reason or header breaks out of its place.

use std::io::Cursor;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode};
use tungstenite::protocol::{Role, WebSocket};

use crate::event_stream::{Event, events};
use crate::pieces::first_line;
use abeyance_core::mechanisms::wire::ending::ending;
use abeyance_core::mechanisms::wire::ending_bytes::EndingBytes;
use abeyance_core::mechanisms::wire::head::{self, AnswerHead};
use abeyance_core::mechanisms::wire::{Encoded, WireForm, long_poll};
use abeyance_core::words::cause::{Disconnect, End, Resume};
use abeyance_core::words::event_id::{EventId, Position};
use abeyance_core::words::message::Message;
use abeyance_settings::endpoint::WhenEvicted;

/// A line that names the message, lines of fields for the answer's head up to an empty line, and what the message says.
pub(crate) fn messages(data: &[u8]) {
    let (name, rest) = first_line(data);
    let name = &*String::from_utf8_lossy(name).replace('\u{1}', "\n").replace('\u{2}', "\r");
    let (fields, said) = match rest.windows(2).position(|pair| pair == b"\n\n") {
        Some(at) => (&rest[..at], &rest[at + 2..]),
        None => (&b""[..], rest),
    };
    let fields = crate::request::fields(fields.split(|byte| *byte == b'\n'));
    let text = &*String::from_utf8_lossy(said);
    let id = EventId::midway(data.len() as u64, 1, u64::from(data.len().is_multiple_of(2)) * 7);

    let mut all = vec![
        Message::from(text),
        Message::from(said),
        Message::from(text).named(name),
        Message::from(said).named(name),
    ];
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(said) {
        all.push(Message::json(&value).expect("a value is JSON"));
    }
    for message in &all {
        frame(message);
        event(message, id);
        line(message);
        answer(message, &fields, id);
    }
    batch(&all, &fields);
    endings(text, &fields);
    opening(&fields);
}

/// What a foreign client makes of a frame.
fn frame(message: &Message) {
    let bytes = Encoded::new(message).form(WireForm::WebSocket);
    let expected = match message.as_text() {
        Some(text) => tungstenite::Message::text(text),
        None => tungstenite::Message::binary(message.as_bytes().to_vec()),
    };
    assert_eq!(foreign(&bytes), expected);
}

fn foreign(bytes: &[u8]) -> tungstenite::Message {
    let mut socket = WebSocket::from_raw_socket(Cursor::new(bytes.to_vec()), Role::Client, None);
    let message = socket.read().expect("a frame as RFC 6455 has it");
    assert_eq!(socket.get_ref().position(), bytes.len() as u64, "one frame and nothing more");
    message
}

fn event(message: &Message, id: EventId) {
    let name = message.name().unwrap_or_default();
    let data = match message.as_text() {
        Some(text) => text.replace("\r\n", "\n").replace('\r', "\n"),
        None => STANDARD.encode(message.as_bytes()),
    };
    let kind = if name.is_empty() && message.is_binary() { "binary" } else { name };
    let expected = Event { kind: kind.to_owned(), data, id: id.to_string() };
    let encoded = Encoded::numbered(message, Some(id));
    // What opens every stream; a byte order mark at its very start would be dropped.
    let plain = [b":\n\n", &*encoded.form(WireForm::Sse { chunked: false })].concat();
    assert_eq!(events(&utf8(&plain)), [expected]);
    assert_eq!(whole_chunk(&encoded.form(WireForm::Sse { chunked: true })), &plain[3..]);
}

fn line(message: &Message) {
    let encoded = Encoded::new(message);
    let plain = encoded.form(WireForm::Stream { chunked: false });
    read_line(&plain, message);
    assert_eq!(whole_chunk(&encoded.form(WireForm::Stream { chunked: true })), plain);
}

/// One line, one JSON value, and that is what was said.
fn read_line(line: &[u8], message: &Message) {
    let line = line.strip_suffix(b"\n").expect("the line's end");
    assert!(!line.contains(&b'\n') && !line.contains(&b'\r') && !line.is_empty());
    let value: serde_json::Value = serde_json::from_slice(line).expect("JSON");
    let is_said = match (message.as_text(), value) {
        (Some(text), serde_json::Value::String(value)) if value == text => true,
        (Some(text), value) => {
            serde_json::from_str::<serde_json::Value>(text).is_ok_and(|said| said == value)
        }
        (None, value) => value["base64"] == STANDARD.encode(message.as_bytes()),
    };
    assert!(is_said, "{line:?} does not say {message:?}");
}

fn exchange<'a>(fields: &'a HeaderMap, id: Option<EventId>) -> AnswerHead<'a> {
    let position = Position { id, is_lost: id.is_none() };
    AnswerHead { version_11: true, keep_alive: true, date: "today", extra: fields, position }
}

fn answer(message: &Message, fields: &HeaderMap, id: EventId) {
    let EndingBytes::Answer { bytes, .. } = long_poll::one(message, &exchange(fields, Some(id))) else {
        panic!("a long poll is answered");
    };
    let (status, body) = read_answer(&bytes, fields);
    assert_eq!((status, body), (200, message.as_bytes()));
}

fn batch(all: &[Message], fields: &HeaderMap) {
    let EndingBytes::Answer { bytes, .. } = long_poll::batch(all.iter(), &exchange(fields, None)) else {
        panic!("a long poll is answered");
    };
    let (_, body) = read_answer(&bytes, fields);
    let lines: Vec<_> = body.split_inclusive(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), all.len());
    lines.into_iter().zip(all).for_each(|(line, message)| read_line(line, message));
}

/// How each wire tells an end with a reason of the application's.
fn endings(reason: &str, fields: &HeaderMap) {
    let after = Duration::from_millis(1500);
    let code = Some(4000 + (reason.len() % 1000) as u16);
    let kicked = End::from(Disconnect::kicked(code, reason));
    let exchange = exchange(fields, None);
    let told = |form| match ending(form, &kicked, after, None, WhenEvicted::ComeBack, &exchange) {
        EndingBytes::Polite(bytes) | EndingBytes::Answer { bytes, .. } => bytes,
        other => panic!("{other:?}"),
    };
    match foreign(&told(WireForm::WebSocket)) {
        tungstenite::Message::Close(Some(said)) => {
            assert_eq!(Some(u16::from(said.code)), code);
            assert!(reason.starts_with(said.reason.as_str()));
            assert!(said.reason.len() == reason.len() || (120..=123).contains(&said.reason.len()));
        }
        other => panic!("{other:?}"),
    }
    let plain = told(WireForm::Sse { chunked: false });
    let data = reason.replace("\r\n", "\n").replace('\r', "\n");
    assert_eq!(events(&utf8(&plain)), [Event { kind: "disconnected".into(), data, id: String::new() }]);
    let chunked = told(WireForm::Sse { chunked: true });
    assert_eq!(whole_chunk(chunked.strip_suffix(b"0\r\n\r\n").expect("the last chunk")), plain);
    let (status, body) = {
        let bytes = told(WireForm::LongPoll);
        let (status, body) = read_answer(&bytes, fields);
        (status, body.to_vec())
    };
    assert_eq!((status, &*body), (410, reason.as_bytes()));
    let EndingBytes::Answer { bytes, .. } =
        ending(WireForm::LongPoll, &Resume::Drained.into(), after, None, WhenEvicted::ComeBack, &exchange)
    else {
        panic!("a long poll is answered");
    };
    assert_eq!(read_answer(&bytes, fields).0, 503);
}

/// The heads that open a hold.
fn opening(fields: &HeaderMap) {
    let protocol = fields.get("sec-websocket-protocol");
    let exchange = exchange(fields, None);
    for (form, bytes) in [
        (WireForm::WebSocket, head::switching("dGhlIHNhbXBsZSBub25jZQ==", protocol, &exchange)),
        (WireForm::LongPoll, head::answer(StatusCode::NO_CONTENT, None, b"", Some(1), &exchange)),
        (
            WireForm::Sse { chunked: true },
            head::held(WireForm::Sse { chunked: true }, Some("token"), &exchange),
        ),
        (
            WireForm::Stream { chunked: false },
            head::held(WireForm::Stream { chunked: false }, Some("token"), &exchange),
        ),
    ] {
        let (status, rest) = read_head(&bytes, fields, |name, _| {
            assert!(form == WireForm::WebSocket || !name.starts_with("sec-websocket-"));
        });
        assert_eq!(rest, b"");
        assert_eq!(
            status,
            match form {
                WireForm::WebSocket => 101,
                WireForm::LongPoll => 204,
                _ => 200,
            }
        );
    }
}

/// An answer whose length is told and right.
fn read_answer<'a>(bytes: &'a [u8], fields: &HeaderMap) -> (u16, &'a [u8]) {
    let mut length = None;
    let (status, body) = read_head(bytes, fields, |name, value| match name {
        "content-length" => {
            let told = std::str::from_utf8(value).expect("digits").parse().expect("a length");
            assert_eq!(length.replace(told), None, "two lengths");
        }
        "transfer-encoding" | "trailer" | "upgrade" => panic!("{name} stands in an answer of known length"),
        _ => {}
    });
    assert_eq!(length, Some(body.len()));
    (status, body)
}

/// What a foreign parser makes of a head: a few fields of ours, and no more of the application's than it gave.
fn read_head<'a>(bytes: &'a [u8], given: &HeaderMap, mut see: impl FnMut(&str, &[u8])) -> (u16, &'a [u8]) {
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(end) = response.parse(bytes).expect("a head as RFC 9112 has it") else {
        panic!("half a head");
    };
    for field in response.headers.iter() {
        see(&field.name.to_ascii_lowercase(), field.value);
    }
    for framing in
        ["content-length", "transfer-encoding", "connection", "content-type", "vary", "abeyance-hold"]
    {
        let named = response.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(framing));
        assert!(named.count() <= 1, "{framing} stands there twice");
    }
    assert!(response.headers.len() <= given.len() + 10, "{:?}", response.headers);
    (response.code.expect("a status"), &bytes[end..])
}

/// The payload of one chunk, which is all there is; of nothing, nothing.
fn whole_chunk(bytes: &[u8]) -> &[u8] {
    if bytes.is_empty() {
        return bytes;
    }
    let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(bytes) else {
        panic!("no chunk: {bytes:?}");
    };
    assert!(size > 0, "the last chunk");
    let (payload, end) = bytes[start..].split_at(size as usize);
    assert_eq!(end, b"\r\n");
    payload
}

fn utf8(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("an event stream is UTF-8")
}
