//! WebSocket frames as a server writes them (RFC 6455 §5.2): whole, unmasked, shared among peers.

use bytes::Bytes;

use crate::words::message::{Kind, Message};

/// What a close frame says (RFC 6455 §7.4.1 and the IANA registry).
pub mod code {
    pub const NORMAL: u16 = 1000;
    pub const GOING_AWAY: u16 = 1001;
    pub const PROTOCOL: u16 = 1002;
    pub const NOT_UTF8: u16 = 1007;
    pub const POLICY: u16 = 1008;
    pub const TOO_LARGE: u16 = 1009;
    pub const INTERNAL: u16 = 1011;
    pub const TRY_AGAIN: u16 = 1013;

    /// Whether a peer may send it: 1004, 1005, 1006 and 1015 stand for what never is on the wire, and what lies
    /// outside the registry has no meaning yet.
    pub const fn is_sendable(code: u16) -> bool {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

/// A ping without payload.
pub const PING: Bytes = Bytes::from_static(&[FINAL | 9, 0]);

/// The most bytes a control frame may carry (RFC 6455 §5.5).
pub const MAX_CONTROL: usize = 125;

const FINAL: u8 = 0x80;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PONG: u8 = 10;

/// A message as one frame.
pub fn message(message: &Message) -> Bytes {
    let opcode = match message.kind() {
        Kind::Text | Kind::Json => TEXT,
        Kind::Binary => BINARY,
    };
    frame(opcode, message.bytes())
}

/// The answer to a ping: its own payload (RFC 6455 §5.5.3).
pub fn pong(payload: &[u8]) -> Bytes {
    frame(PONG, &payload[..payload.len().min(MAX_CONTROL)])
}

/// A close frame; without a code it has no body, and so no reason either. The reason is cut to what fits.
pub fn close(code: Option<u16>, reason: &str) -> Bytes {
    let Some(code) = code else { return frame(CLOSE, &[]) };
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(cut(reason, MAX_CONTROL - 2).as_bytes());
    frame(CLOSE, &payload)
}

/// The longest start of `text` that fits and ends with a whole character.
fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn frame(opcode: u8, payload: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(10 + payload.len());
    frame.push(FINAL | opcode);
    match payload.len() {
        length @ 0..=125 => frame.push(length as u8),
        length @ 126..=0xffff => {
            frame.push(126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame.into()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tungstenite::protocol::{CloseFrame, Role, WebSocket};

    use super::*;

    /// What a foreign client makes of these bytes.
    fn read(bytes: &[u8]) -> tungstenite::Message {
        WebSocket::from_raw_socket(Cursor::new(bytes.to_vec()), Role::Client, None).read().unwrap()
    }

    #[test]
    fn a_foreign_client_reads_messages_of_every_length_form() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 100_000] {
            let text = "x".repeat(length);
            assert_eq!(read(&message(&text.as_str().into())), tungstenite::Message::text(text.as_str()));
            let bytes = vec![7; length];
            assert_eq!(read(&message(&bytes.clone().into())), tungstenite::Message::binary(bytes));
        }
    }

    #[test]
    fn a_foreign_client_reads_control_frames() {
        assert_eq!(read(&PING), tungstenite::Message::Ping(Bytes::new()));
        assert_eq!(read(&pong(b"abc")), tungstenite::Message::Pong(Bytes::from_static(b"abc")));
        assert_eq!(read(&close(None, "unsaid")), tungstenite::Message::Close(None));
        let said = CloseFrame { code: 1013.into(), reason: "evicted; retry-after=250".into() };
        assert_eq!(
            read(&close(Some(1013), "evicted; retry-after=250")),
            tungstenite::Message::Close(Some(said))
        );
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let frame = close(Some(4000), &"ü".repeat(100));
        assert_eq!(frame.len(), 2 + 2 + 122);
        assert!(std::str::from_utf8(&frame[4..]).is_ok());
        assert!(matches!(read(&frame), tungstenite::Message::Close(Some(_))));
    }

    #[test]
    fn codes_that_never_are_on_the_wire_are_not_sendable() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
            assert!(!code::is_sendable(code), "{code}");
        }
        for code in [1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999] {
            assert!(code::is_sendable(code), "{code}");
        }
    }
}
