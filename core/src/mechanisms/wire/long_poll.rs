//! The answers of long polls that got something to say (`Resume::Answered`).

use http::StatusCode;

use super::ending_bytes::EndingBytes;
use super::head::{self, AnswerHead};
use super::stream;
use crate::words::message::{Kind, Message};

pub const TEXT: &str = "text/plain; charset=utf-8";
pub const JSON: &str = "application/json";
pub const BINARY: &str = "application/octet-stream";
pub const LINES: &str = "application/x-ndjson";

/// One message as the whole answer.
pub fn one(message: &Message, exchange: &AnswerHead<'_>) -> EndingBytes {
    let content_type = match message.kind() {
        Kind::Text => TEXT,
        Kind::Json => JSON,
        Kind::Binary => BINARY,
    };
    answered(content_type, message.as_bytes(), exchange)
}

/// All that wait, as lines, for a client that said `Accept: application/x-ndjson`.
pub fn batch<'a>(messages: impl Iterator<Item = &'a Message>, exchange: &AnswerHead<'_>) -> EndingBytes {
    let lines: Vec<u8> = messages.flat_map(stream::line).collect();
    answered(LINES, &lines, exchange)
}

fn answered(content_type: &str, body: &[u8], exchange: &AnswerHead<'_>) -> EndingBytes {
    let bytes = head::answer(StatusCode::OK, Some(content_type), body, None, exchange);
    EndingBytes::Answer { bytes, keep_alive: exchange.keep_alive }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::words::event_id::Position;

    fn written(answer: impl Fn(&AnswerHead<'_>) -> EndingBytes) -> String {
        let extra = HeaderMap::new();
        let exchange = AnswerHead {
            version_11: true,
            keep_alive: true,
            date: "today",
            extra: &extra,
            position: Position::default(),
        };
        match answer(&exchange) {
            EndingBytes::Answer { bytes, keep_alive: true } => String::from_utf8_lossy(&bytes).into_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_message_is_the_whole_body_under_its_own_type() {
        for (message, content_type, body) in [
            (Message::from("hello\n"), TEXT, "hello\n"),
            (Message::json(&[1]).unwrap(), JSON, "[1]"),
            (Message::from(b"raw"), BINARY, "raw"),
            (Message::from(""), TEXT, ""),
        ] {
            let answer = written(|exchange| one(&message, exchange));
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(answer.contains(&format!("\r\ncontent-type: {content_type}\r\n")), "{answer}");
            assert!(answer.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{answer}");
            assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
        }
    }

    #[test]
    fn a_batch_is_one_line_a_message() {
        let messages = [Message::from("a\nb"), Message::json(&1).unwrap(), Message::from(b"\xff")];
        let answer = written(|exchange| batch(messages.iter(), exchange));
        assert!(answer.contains("\r\ncontent-type: application/x-ndjson\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n\"a\\nb\"\n1\n{\"base64\":\"/w==\"}\n"), "{answer}");
    }
}
