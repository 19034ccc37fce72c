//! A stream of JSON lines (`application/x-ndjson`): every line is one message, nothing else.
//!
//! No line is invented for a resume or a kick: a client cannot tell it from the application's own. A resume and a
//! kick end with the last chunk, everything else without it; why is in the server's log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use crate::words::message::{Kind, Message};

/// An empty line, which readers of JSON lines skip.
pub const HEARTBEAT: Bytes = Bytes::from_static(b"\n");
pub const HEARTBEAT_CHUNK: Bytes = Bytes::from_static(b"1\r\n\n\r\n");

/// One message as one line, its end included.
pub fn line(message: &Message) -> Vec<u8> {
    let mut line = match message.kind() {
        Kind::Json => one_line(message.bytes()),
        Kind::Text => serde_json::to_vec(message.as_text().unwrap_or_default())
            .expect("a string is written as JSON without fail"),
        Kind::Binary => format!(r#"{{"base64":"{}"}}"#, BASE64.encode(message.bytes())).into_bytes(),
    };
    line.push(b'\n');
    line
}

/// Raw line breaks stand only between the tokens of a JSON text (RFC 8259 §2, §7), where a space does too.
fn one_line(json: &[u8]) -> Vec<u8> {
    json.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_one_json_value_on_one_line() {
        assert_eq!(line(&Message::json(&[1, 2]).unwrap()), b"[1,2]\n");
        assert_eq!(line(&"say \"hi\"\r\nü".into()), "\"say \\\"hi\\\"\\r\\nü\"\n".as_bytes());
        assert_eq!(line(&Message::from(&[0u8, 255][..])), b"{\"base64\":\"AP8=\"}\n");
        assert_eq!(line(&"".into()), b"\"\"\n");
    }

    #[test]
    fn a_json_text_with_line_breaks_becomes_one_line_of_the_same_value() {
        let line = one_line(b"{\n  \"a\": \"b\\nc\",\r\n  \"d\": [1,\n2]\n}");
        assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value, serde_json::json!({ "a": "b\nc", "d": [1, 2] }));
    }
}
