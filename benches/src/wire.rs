//! What is published, and how it looks on the wire: alike from all servers.

use std::fmt;
use std::str::FromStr;

/// How peers are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    WebSocket,
    Sse,
}

/// Messages that are published back to back. They are numbered through, so that no two are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) first: u64,
    pub(crate) count: u64,
    /// The bytes of each text.
    pub(crate) size: usize,
}

impl Wire {
    pub(crate) const BOTH: [Wire; 2] = [Wire::WebSocket, Wire::Sse];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Wire::WebSocket => "WebSocket",
            Wire::Sse => "SSE",
        }
    }

    /// What a peer asks with.
    pub(crate) fn request(self) -> &'static [u8] {
        match self {
            // The key is that of RFC 6455 §1.3.
            Wire::WebSocket => {
                b"GET /news HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            }
            Wire::Sse => b"GET /news HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n",
        }
    }

    /// The bytes of one message: a frame, or an event in a chunk.
    pub(crate) fn frame(self, text: &str) -> Vec<u8> {
        let length = u16::try_from(text.len()).expect("texts here are short");
        let mut bytes = Vec::with_capacity(text.len() + 16);
        match self {
            Wire::WebSocket => {
                bytes.push(0x81);
                match length {
                    0..126 => bytes.push(length as u8),
                    _ => {
                        bytes.push(126);
                        bytes.extend(length.to_be_bytes());
                    }
                }
                bytes.extend(text.as_bytes());
            }
            Wire::Sse => {
                let event = "data: ".len() + text.len() + "\n\n".len();
                bytes.extend(format!("{event:X}\r\ndata: {text}\n\n\r\n").into_bytes());
            }
        }
        bytes
    }
}

impl Batch {
    /// A number's digits; no text is shorter.
    pub(crate) const LEAST: usize = 12;

    /// The texts, in order.
    pub(crate) fn texts(self) -> impl Iterator<Item = String> {
        (self.first..self.first + self.count).map(move |number| {
            let mut text = String::with_capacity(self.size);
            text.push_str(&format!("{number:0width$}", width = Self::LEAST));
            text.extend(std::iter::repeat_n('.', self.size - text.len()));
            text
        })
    }

    /// What every peer is to get, and nothing else.
    pub(crate) fn bytes(self, wire: Wire) -> Vec<u8> {
        self.texts().flat_map(|text| wire.frame(&text)).collect()
    }
}

impl FromStr for Wire {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let wire = Wire::BOTH.into_iter().find(|wire| wire.as_str().eq_ignore_ascii_case(name));
        wire.ok_or_else(|| format!("expected \"websocket\" or \"sse\", found {name:?}"))
    }
}

/// As it is told to a child process.
impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.first, self.count, self.size)
    }
}

impl FromStr for Batch {
    type Err = String;

    fn from_str(told: &str) -> Result<Self, String> {
        let numbers: Result<Vec<u64>, _> = told.split_whitespace().map(str::parse).collect();
        match numbers.as_deref() {
            Ok(&[first, count, size]) => Ok(Batch { first, count, size: size as usize }),
            _ => Err(format!("no batch: {told:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_their_size_and_are_numbered_through() {
        let texts: Vec<_> = Batch { first: 9, count: 2, size: 64 }.texts().collect();
        assert!(texts.iter().all(|text| text.len() == 64));
        assert!(texts[0].starts_with("000000000009."));
        assert!(texts[1].starts_with("000000000010."));
    }

    #[test]
    fn a_batch_is_told_as_it_is() {
        let batch = Batch { first: 7, count: 50, size: 1024 };
        assert_eq!(batch.to_string().parse(), Ok(batch));
    }
}
