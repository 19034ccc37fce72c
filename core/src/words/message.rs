//! What is sent to peers and received from them.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::hold_id::HoldId;
use crate::sync::foreign;

/// One message, text or binary. Cloning it shares the bytes.
///
/// ```
/// use abeyance::Message;
///
/// let message = Message::from("hello").named("greeting");
/// assert_eq!(message.as_text(), Some("hello"));
/// assert_eq!(message.name(), Some("greeting"));
/// ```
///
/// Bytes of the application's own ([`Bytes::from_owner`]) are dropped with their last message, on any thread, and with no
/// lock of the server held: their destructor may take a lock of the application, or call the `Hub`. What the
/// server drops to make room for something newer has a thread of its own for that. A panic of a destructor is logged, and
/// goes no further.
#[derive(Clone)]
pub struct Message {
    bytes: Bytes,
    kind: Kind,
    /// The bytes may be the application's own, with a destructor that is user code.
    is_foreign: bool,
    name: Option<Arc<str>>,
    /// The one hold that does not get it: it travels with the message, since who reads it may do so much later.
    not_for: Option<HoldId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// Text that is one JSON value: a stream sends it as it is, a long poll as `application/json`.
    Json,
    Binary,
}

impl Message {
    /// A text message that copies nothing.
    pub const fn from_static(text: &'static str) -> Self {
        Message {
            bytes: Bytes::from_static(text.as_bytes()),
            kind: Kind::Text,
            is_foreign: false,
            name: None,
            not_for: None,
        }
    }

    /// A text message that holds `value` as JSON.
    ///
    /// # Errors
    /// When `value` cannot be written as JSON: a map with keys that are not strings, or a failing `Serialize`.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Message::ours(serde_json::to_vec(value)?.into(), Kind::Json))
    }

    /// Gives the message a name: the `event:` of server-sent events. Other transports do not carry it.
    ///
    /// Line breaks in a name would break the event's framing and are dropped.
    #[must_use]
    pub fn named(mut self, name: impl AsRef<str>) -> Self {
        let name = name.as_ref();
        self.name = Some(if name.contains(['\r', '\n']) {
            name.replace(['\r', '\n'], "").into()
        } else {
            name.into()
        });
        self
    }

    /// The text, if this is a text message.
    pub fn as_text(&self) -> Option<&str> {
        match self.kind {
            Kind::Text | Kind::Json => std::str::from_utf8(&self.bytes).ok(),
            Kind::Binary => None,
        }
    }

    /// The bytes, of a text message too.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, of a text message too, without a copy.
    pub fn into_bytes(mut self) -> Bytes {
        std::mem::take(&mut self.bytes)
    }

    /// The name given with [`named`](Message::named).
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether this is a binary message.
    pub fn is_binary(&self) -> bool {
        self.kind == Kind::Binary
    }

    /// How many bytes it holds, without any framing.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it holds no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The same for all but this hold.
    pub fn but_for(mut self, hold: HoldId) -> Self {
        self.not_for = Some(hold);
        self
    }

    /// Whether this hold gets it.
    pub fn is_for(&self, hold: HoldId) -> bool {
        self.not_for != Some(hold)
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Of bytes that have no other owner.
    fn ours(bytes: Bytes, kind: Kind) -> Self {
        Message { bytes, kind, is_foreign: false, name: None, not_for: None }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        if self.is_foreign {
            let bytes = std::mem::take(&mut self.bytes);
            let length = bytes.len();
            foreign::let_go_of(bytes, length);
        }
    }
}

/// Equal is what is sent, and not whose bytes these are.
impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.kind == other.kind && self.name == other.name
    }
}

impl Eq for Message {}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = match self.kind {
            Kind::Text => f.debug_tuple("Text"),
            Kind::Json => f.debug_tuple("Json"),
            Kind::Binary => f.debug_tuple("Binary"),
        };
        match self.as_text() {
            Some(text) => tuple.field(&text),
            None => tuple.field(&self.bytes),
        };
        tuple.finish()
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Message::ours(Bytes::copy_from_slice(text.as_bytes()), Kind::Text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Message::ours(text.into(), Kind::Text)
    }
}

impl From<&String> for Message {
    fn from(text: &String) -> Self {
        Message::from(text.as_str())
    }
}

impl From<Cow<'_, str>> for Message {
    fn from(text: Cow<'_, str>) -> Self {
        Message::from(text.into_owned())
    }
}

impl From<Arc<str>> for Message {
    fn from(text: Arc<str>) -> Self {
        Message::from(&*text)
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Message { bytes, kind: Kind::Binary, is_foreign: true, name: None, not_for: None }
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Message::ours(bytes.into(), Kind::Binary)
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Self {
        Message::ours(Bytes::copy_from_slice(bytes), Kind::Binary)
    }
}

impl<const N: usize> From<&[u8; N]> for Message {
    fn from(bytes: &[u8; N]) -> Self {
        Message::from(&bytes[..])
    }
}
