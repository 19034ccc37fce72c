//! The transports, and lists of them.

use crate::amount::Misread;
use crate::kind::Kind;

/// How a held connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Transport {
    /// WebSocket (RFC 6455).
    WebSocket,
    /// Server-sent events (WHATWG HTML, "event streams").
    Sse,
    /// An endless HTTP answer of one JSON value a line.
    Stream,
    /// A request that is answered when there is something to say.
    LongPoll,
}

/// What a fault in a list of transports says was expected.
pub(crate) const A_TRANSPORT: &str = "one of websocket, sse, stream, long_poll";

impl Transport {
    /// All transports, in the order in which one is chosen for a client that asks for none.
    pub const ALL: &'static [Transport] =
        &[Transport::LongPoll, Transport::Stream, Transport::Sse, Transport::WebSocket];

    /// The transport as it is written in annotations and in `?transport=`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Transport::WebSocket => "websocket",
            Transport::Sse => "sse",
            Transport::Stream => "stream",
            Transport::LongPoll => "long_poll",
        }
    }

    /// A list of this transport only.
    pub const fn alone(self) -> &'static [Transport] {
        match self {
            Transport::WebSocket => &[Transport::WebSocket],
            Transport::Sse => &[Transport::Sse],
            Transport::Stream => &[Transport::Stream],
            Transport::LongPoll => &[Transport::LongPoll],
        }
    }
}

/// As in `transports`: `"websocket"`.
#[cfg(feature = "serde")]
impl serde::Serialize for Transport {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Transport {
    /// Reads a transport's name.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn read(name: &str) -> Result<Transport, Misread> {
        if let Some(transport) = Transport::ALL.iter().copied().find(|transport| transport.as_str() == name) {
            return Ok(transport);
        }
        let why = match &*name.to_ascii_lowercase().replace(['-', '_', ' '], "") {
            "websocket" | "websockets" | "ws" | "wss" => "write websocket",
            "sse" | "eventsource" | "serversentevents" => "write sse",
            "stream" | "streaming" | "ndjson" | "chunked" => "write stream",
            "longpoll" | "longpolling" | "poll" | "polling" => "write long_poll",
            _ => "",
        };
        Err(Misread::new(A_TRANSPORT, format!("`{name}`"), why))
    }
}

/// A list of transports. As text they have commas between them.
#[derive(Debug)]
pub struct Transports;

impl Kind for Transports {
    type Value = &'static [Transport];
    const EXPECTED: &'static str = "transports such as [websocket, sse]";

    /// Leaks the list, since settings are constants everywhere else: for the start only.
    fn read(text: &str) -> Result<&'static [Transport], Misread> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let transports = names.map(Transport::read).collect::<Result<Vec<_>, _>>()?;
        Ok(Box::leak(transports.into_boxed_slice()))
    }

    fn spell(value: &&'static [Transport]) -> String {
        value.iter().map(Transport::as_str).collect::<Vec<_>>().join(",")
    }
}
