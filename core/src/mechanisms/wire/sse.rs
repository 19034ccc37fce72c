//! Server-sent events (WHATWG HTML, "server-sent events"): messages as blocks of fields.
//!
//! 1. An EventSource joins the `data:` lines of a block with LF, so CR and CRLF in a text arrive as LF. Nothing
//!    else is lost.
//! 2. A name wins over `event: binary`: pages listen by name, and who names a binary message has told them what it
//!    holds (base64). The cost: under one name, text and binary cannot be told apart.
//! 3. `hold`, `binary`, `resync`, `resumed` and `disconnected` are our event names; an application that uses them for its own
//!    messages confuses its own pages only.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use crate::words::event_id::EventId;
use crate::words::message::{Kind, Message};
use crate::words::stay_away;

/// A comment: read by the client's kernel and parser, seen by no page.
pub const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");
pub const HEARTBEAT_CHUNK: Bytes = Bytes::from_static(b"3\r\n:\n\n\r\n");

/// The block of one message.
pub fn message(message: &Message, id: Option<EventId>) -> Vec<u8> {
    let name = message.name().filter(|name| !name.is_empty());
    match message.kind() {
        Kind::Text | Kind::Json => block(name, id, message.bytes()),
        Kind::Binary => block(name.or(Some("binary")), id, BASE64.encode(message.bytes()).as_bytes()),
    }
}

/// The first block: the token with which the client may speak, and the id it shall come back with if it is cut
/// before a message came.
pub fn opening(token: &str, id: Option<EventId>) -> Vec<u8> {
    block(Some("hold"), id, token.as_bytes())
}

/// The block that tells a client that came back that something it missed is gone. It has data, because an EventSource
/// passes over events without.
pub fn resync(id: Option<EventId>) -> Vec<u8> {
    block(Some("resync"), id, b"missed")
}

/// The last block of a resume. With `retry` the wait stands before the event, in force when the page reads it.
pub fn resumed(cause: &str, retry: Option<Duration>, id: Option<EventId>) -> Vec<u8> {
    let mut bytes = retry.map(wait).unwrap_or_default();
    bytes.extend(block(Some("resumed"), id, cause.as_bytes()));
    bytes
}

/// The last block of a hold whose client is to stay away. An EventSource comes back once all the same unless its page
/// closes it: after `retry`, with this block's id, by which it is known.
pub fn stay_away(cause: &str, retry: Duration, id: Option<EventId>) -> Vec<u8> {
    let mut bytes = wait(retry);
    bytes.extend(written(Some("disconnected"), Some(&stay_away::marked(id)), cause.as_bytes()));
    bytes
}

fn wait(retry: Duration) -> Vec<u8> {
    format!("retry: {}\n", retry.as_millis()).into_bytes()
}

/// The last block of a hold that the application ended.
pub fn disconnected(reason: &str) -> Vec<u8> {
    block(Some("disconnected"), None, reason.as_bytes())
}

/// One block. The name must be free of line breaks; the data may hold any.
pub fn block(name: Option<&str>, id: Option<EventId>, data: &[u8]) -> Vec<u8> {
    written(name, id.map(|id| id.to_string()).as_deref(), data)
}

fn written(name: Option<&str>, id: Option<&str>, data: &[u8]) -> Vec<u8> {
    let mut block = Vec::with_capacity(data.len() + 24 + name.map_or(0, str::len) + id.map_or(0, str::len));
    for (field, value) in [(&b"id: "[..], id), (&b"event: "[..], name)] {
        if let Some(value) = value {
            debug_assert!(!value.contains(['\r', '\n']), "line breaks would break the framing: {value:?}");
            line(&mut block, field, value.as_bytes());
        }
    }
    let mut rest = data;
    while let Some(at) = rest.iter().position(|&byte| matches!(byte, b'\r' | b'\n')) {
        let width = if rest[at..].starts_with(b"\r\n") { 2 } else { 1 };
        line(&mut block, b"data: ", &rest[..at]);
        rest = &rest[at + width..];
    }
    // What follows the last break, also when that is nothing: `"a\n"` is two lines, `""` is one.
    line(&mut block, b"data: ", rest);
    block.push(b'\n');
    block
}

fn line(block: &mut Vec<u8>, field: &[u8], value: &[u8]) {
    block.extend_from_slice(field);
    block.extend_from_slice(value);
    block.push(b'\n');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Event {
        kind: String,
        data: String,
        id: String,
    }

    /// What an EventSource dispatches, step by step as in "interpreting an event stream"; and its retry time.
    fn read(stream: &[u8]) -> (Vec<Event>, Option<u64>) {
        let stream = std::str::from_utf8(stream).unwrap().replace("\r\n", "\n").replace('\r', "\n");
        let (mut events, mut retry, mut id) = (Vec::new(), None, String::new());
        let (mut kind, mut data) = (String::new(), String::new());
        let mut lines: Vec<&str> = stream.split('\n').collect();
        assert_eq!(lines.pop(), Some(""), "a line without an end");
        for line in lines {
            if line.is_empty() {
                if !data.is_empty() {
                    data.pop();
                    let kind = if kind.is_empty() { "message".to_owned() } else { kind.clone() };
                    events.push(Event { kind, data: data.clone(), id: id.clone() });
                }
                (kind, data) = (String::new(), String::new());
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => kind = value.to_owned(),
                "data" => data.extend([value, "\n"]),
                "id" => id = value.to_owned(),
                "retry" => retry = value.parse().ok(),
                _ => {}
            }
        }
        (events, retry)
    }

    fn event(kind: &str, data: &str) -> Event {
        Event { kind: kind.into(), data: data.into(), id: String::new() }
    }

    #[test]
    fn every_kind_of_line_break_splits_a_line() {
        assert_eq!(message(&"a\nb\rc\r\nd".into(), None), b"data: a\ndata: b\ndata: c\ndata: d\n\n");
        assert_eq!(message(&"".into(), None), b"data: \n\n");
        assert_eq!(message(&"\n".into(), None), b"data: \ndata: \n\n");
    }

    #[test]
    fn binary_is_base64_under_its_own_event_unless_it_has_a_name() {
        let binary = Message::from(&[0u8, 255][..]);
        assert_eq!(message(&binary, None), b"event: binary\ndata: AP8=\n\n");
        assert_eq!(message(&binary.named("pixel"), None), b"event: pixel\ndata: AP8=\n\n");
    }

    #[test]
    fn an_empty_name_is_none() {
        assert_eq!(message(&Message::from("x").named("\n"), None), b"data: x\n\n");
    }

    #[test]
    fn heartbeats_are_seen_by_no_page() {
        assert_eq!(read(&HEARTBEAT), (vec![], None));
    }

    #[test]
    fn the_stream_opens_and_ends_with_events() {
        let id = |offset| Some(EventId::new(3, offset));
        let mut stream = opening("secret", id(9));
        stream.extend(resync(id(11)));
        stream.extend(resumed("evicted", Some(Duration::from_millis(1500)), None));
        stream.extend(resumed("drained", None, id(12)));
        stream.extend(disconnected("spam,\nsorry"));
        let (events, retry) = read(&stream);
        let expected = [
            ("hold", "secret", 9),
            ("resync", "missed", 11),
            ("resumed", "evicted", 11), // an id stays in force until the next
            ("resumed", "drained", 12),
            ("disconnected", "spam,\nsorry", 12),
        ];
        let expected = expected.map(|(kind, data, offset)| Event {
            id: id(offset).map_or_else(String::new, |id| id.to_string()),
            ..event(kind, data)
        });
        assert_eq!(events, expected);
        assert_eq!(retry, Some(1500));
    }

    proptest! {
        #[test]
        fn any_text_arrives_as_it_was_but_for_the_kind_of_its_line_breaks(text in "[\\r\\n: a-c\u{feff}ü\0]{0,40}") {
            // A byte order mark at the very start of a stream would be dropped; the opening always comes first.
            let mut stream = opening("t", None);
            stream.extend(message(&Message::from(&text).named("n: x"), None));
            let expected = text.replace("\r\n", "\n").replace('\r', "\n");
            prop_assert_eq!(read(&stream).0, vec![event("hold", "t"), event("n: x", &expected)]);
        }
    }
}
