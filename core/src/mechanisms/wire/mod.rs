//! Messages to bytes and bytes to messages, one file a form.

use std::cell::OnceCell;

use bytes::Bytes;

use crate::words::event_id::{EventId, Numbered};
use crate::words::message::Message;
use abeyance_settings::endpoint::Transport;

pub mod assembler;
pub mod chunk;
pub mod ending;
pub mod ending_bytes;
pub mod head;
pub mod long_poll;
mod mask;
mod partial_message;
pub mod protocol_fault;
pub mod sse;
pub mod stream;
pub mod websocket;

/// How one held connection is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WireForm {
    WebSocket,
    Sse {
        /// Whether the answer's body is chunked (HTTP/1.1) or ends with the connection (HTTP/1.0).
        chunked: bool,
    },
    Stream {
        /// As for SSE.
        chunked: bool,
    },
    LongPoll,
}

/// One message on its way to many peers: encoded when a form is first asked for, then shared.
pub struct Encoded<'a> {
    message: &'a Message,
    id: Option<EventId>,
    forms: [OnceCell<Bytes>; 5],
}

impl WireForm {
    pub fn transport(self) -> Transport {
        match self {
            WireForm::WebSocket => Transport::WebSocket,
            WireForm::Sse { .. } => Transport::Sse,
            WireForm::Stream { .. } => Transport::Stream,
            WireForm::LongPoll => Transport::LongPoll,
        }
    }
}

impl<'a> Encoded<'a> {
    pub fn message(&self) -> &'a Message {
        self.message
    }

    pub fn new(message: &'a Message) -> Self {
        Encoded::numbered(message, None)
    }

    /// A message of a topic that keeps a history has an id, which its SSE form carries.
    pub fn numbered(message: &'a Message, id: Option<EventId>) -> Self {
        Encoded { message, id, forms: Default::default() }
    }

    pub fn to_numbered(&self) -> Numbered {
        Numbered { message: self.message.clone(), id: self.id }
    }

    /// The bytes to write. For a long poll the message's own: its head is made with its answer ([`long_poll`]).
    pub fn form(&self, form: WireForm) -> Bytes {
        let (slot, chunked) = match form {
            WireForm::WebSocket => (0, false),
            WireForm::Sse { chunked } => (1 + usize::from(chunked), chunked),
            WireForm::Stream { chunked } => (3 + usize::from(chunked), chunked),
            WireForm::LongPoll => return self.message.bytes().clone(),
        };
        let encode = || match form {
            WireForm::Sse { .. } => chunk::body(sse::message(self.message, self.id), chunked),
            WireForm::Stream { .. } => chunk::body(stream::line(self.message), chunked),
            WireForm::WebSocket | WireForm::LongPoll => websocket::message(self.message),
        };
        self.forms[slot].get_or_init(encode).clone()
    }
}

/// What keeps a silent connection alive, or shows that it no longer is. A long poll can say nothing before its
/// answer, so TCP keepalive probes stand in.
pub fn heartbeat(form: WireForm) -> Option<Bytes> {
    match form {
        WireForm::WebSocket => Some(websocket::PING),
        WireForm::Sse { chunked: false } => Some(sse::HEARTBEAT),
        WireForm::Sse { chunked: true } => Some(sse::HEARTBEAT_CHUNK),
        WireForm::Stream { chunked: false } => Some(stream::HEARTBEAT),
        WireForm::Stream { chunked: true } => Some(stream::HEARTBEAT_CHUNK),
        WireForm::LongPoll => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: [WireForm; 5] = [
        WireForm::WebSocket,
        WireForm::Sse { chunked: false },
        WireForm::Sse { chunked: true },
        WireForm::Stream { chunked: false },
        WireForm::Stream { chunked: true },
    ];

    #[test]
    fn a_message_is_encoded_once_per_form_and_then_shared() {
        let message = Message::from("hello");
        let encoded = Encoded::new(&message);
        for form in WRITTEN {
            assert_eq!(encoded.form(form).as_ptr(), encoded.form(form).as_ptr(), "{form:?}");
        }
        assert_eq!(encoded.form(WireForm::LongPoll).as_ptr(), message.bytes().as_ptr());
    }

    #[test]
    fn each_form_has_its_own_bytes() {
        let message = Message::from("hello");
        let encoded = Encoded::numbered(&message, Some(EventId::new(7, 1)));
        let written = WRITTEN.map(|form| String::from_utf8_lossy(&encoded.form(form)).into_owned());
        assert_eq!(
            written[1..],
            [
                "id: 000000000007-000000000001\ndata: hello\n\n",
                "2b\r\nid: 000000000007-000000000001\ndata: hello\n\n\r\n",
                "\"hello\"\n",
                "8\r\n\"hello\"\n\r\n"
            ]
        );
        assert_eq!(&encoded.form(WireForm::WebSocket)[..], b"\x81\x05hello");
    }

    #[test]
    fn a_chunked_heartbeat_is_the_plain_one_in_a_chunk() {
        for (plain, chunked) in [
            (WireForm::Sse { chunked: false }, WireForm::Sse { chunked: true }),
            (WireForm::Stream { chunked: false }, WireForm::Stream { chunked: true }),
        ] {
            let plain = heartbeat(plain).unwrap();
            assert_eq!(heartbeat(chunked).unwrap(), chunk::body(plain.to_vec(), true));
        }
        assert_eq!(heartbeat(WireForm::LongPoll), None);
    }
}
