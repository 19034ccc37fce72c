//! A chunked body of server-sent events, parsed as an `EventSource` does, from bytes that may be cut anywhere.
//!
//! Follows "interpreting an event stream" (WHATWG HTML), but strictly: what our server has no reason to write fails the
//! test. An id counts once its block is whole, so a client that was cut within a block sends the id before.

use std::collections::VecDeque;
use std::time::Duration;

/// A parser of one body.
#[derive(Debug, Default)]
pub struct EventReader {
    chunk: Chunk,
    line: Vec<u8>,
    block: Event,
    has_data: bool,
    events: VecDeque<Event>,
    /// The id that the client would send when it reconnects.
    pub last_event_id: Option<String>,
    /// How long the client waits before that, if the server said so.
    pub retry: Option<Duration>,
}

/// One event, as a page sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its name; empty for a plain message.
    pub kind: String,
    /// Its data.
    pub data: String,
    /// The id in its own block.
    pub id: Option<String>,
}

/// The position in the chunked framing.
#[derive(Debug, Default)]
enum Chunk {
    /// In the line of a size.
    #[default]
    Begin,
    Size(usize),
    /// Within the data, so many bytes before its end.
    Data(usize),
    /// Behind the data or the last size: so many bytes of line breaks.
    End {
        bytes: usize,
        is_last: bool,
    },
    Over,
}

impl EventReader {
    /// Takes bytes of the body.
    ///
    /// # Panics
    /// When they are malformed.
    pub fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let next = match self.chunk {
                Chunk::Begin => Chunk::Size(digit(byte)),
                Chunk::Size(size) if byte == b'\r' => Chunk::Size(size),
                Chunk::Size(0) if byte == b'\n' => Chunk::End { bytes: 2, is_last: true },
                Chunk::Size(size) if byte == b'\n' => Chunk::Data(size),
                Chunk::Size(size) => Chunk::Size(size * 16 + digit(byte)),
                Chunk::Data(left) => {
                    self.byte(byte);
                    if left == 1 { Chunk::End { bytes: 2, is_last: false } } else { Chunk::Data(left - 1) }
                }
                Chunk::End { bytes, is_last } => {
                    assert_eq!(byte, if bytes == 2 { b'\r' } else { b'\n' }, "the end of a chunk");
                    match (bytes, is_last) {
                        (2, _) => Chunk::End { bytes: 1, is_last },
                        (_, true) => Chunk::Over,
                        (_, false) => Chunk::Begin,
                    }
                }
                Chunk::Over => panic!("{byte:#x} behind the last chunk"),
            };
            self.chunk = next;
        }
    }

    /// The next event that is whole.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether the last chunk was read.
    pub fn is_over(&self) -> bool {
        matches!(self.chunk, Chunk::Over)
    }

    /// Whether the position is between two events.
    pub fn is_between(&self) -> bool {
        self.line.is_empty() && self.block == Event::default()
    }

    fn byte(&mut self, byte: u8) {
        assert_ne!(byte, b'\r', "a line of ours ends with LF alone");
        if byte != b'\n' {
            self.line.push(byte);
            return;
        }
        let line = String::from_utf8(std::mem::take(&mut self.line)).expect("text");
        if line.is_empty() {
            return self.dispatch();
        }
        match line.split_once(": ") {
            Some(("event", kind)) => self.block.kind = kind.to_owned(),
            Some(("id", id)) => self.block.id = Some(id.to_owned()),
            Some(("data", text)) => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.block.data.push('\n');
                }
                self.block.data.push_str(text);
            }
            Some(("retry", millis)) => {
                self.retry = Some(Duration::from_millis(millis.parse().expect("milliseconds")));
            }
            _ => assert!(line.starts_with(':'), "{line:?}"),
        }
    }

    fn dispatch(&mut self) {
        let event = std::mem::take(&mut self.block);
        if event.id.is_some() {
            self.last_event_id.clone_from(&event.id);
        }
        if std::mem::take(&mut self.has_data) {
            self.events.push_back(event);
        }
    }
}

fn digit(byte: u8) -> usize {
    char::from(byte).to_digit(16).unwrap_or_else(|| panic!("{byte:#x} in the size of a chunk")) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_counts_when_its_block_is_whole_wherever_the_stream_is_cut() {
        let body =
            b"c\r\nid: 1\ndata: \r\n2\r\na\n\r\n1\r\n\n\r\n17\r\nid: 2\nevent: b\ndata: \n\n\r\n0\r\n\r\n";
        for cut in 0..body.len() {
            let mut reader = EventReader::default();
            // As one piece and byte by byte.
            reader.feed(&body[..cut / 2]);
            body[cut / 2..cut].iter().for_each(|byte| reader.feed(&[*byte]));
            let events: Vec<_> = std::iter::from_fn(|| reader.next_event()).collect();
            assert_eq!(reader.last_event_id.as_deref(), events.last().and_then(|event| event.id.as_deref()));
        }
    }
}
