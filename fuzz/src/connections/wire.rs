//! What a held peer was written, read by others: well-formed as far as it goes.

use std::io::{self, Read, Write};

use serde_json::Value;
use tungstenite::error::ProtocolError;
use tungstenite::protocol::{Role, WebSocket};

use super::answers::Answer;
use crate::event_stream::{Event, events};

pub(super) fn check(answer: &Answer) {
    match &*answer.content_type {
        _ if answer.code == 101 => frames(&answer.body),
        "text/event-stream" => {
            let events = told(answer);
            let first = events.first().map(|event| (&*event.kind, Some(&event.data)));
            assert!(first.is_none_or(|first| first == ("hold", answer.token.as_ref())), "{events:?}");
        }
        "application/x-ndjson" => drop(lines(answer)),
        _ => {}
    }
}

/// The events of a stream of them.
pub(super) fn told(answer: &Answer) -> Vec<Event> {
    // What is cut may be cut within a character.
    let end = answer.body.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    events(std::str::from_utf8(&answer.body[..end]).expect("an event stream is UTF-8"))
}

/// The values of a stream of them.
pub(super) fn lines(answer: &Answer) -> Vec<Value> {
    let lines = answer.body.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    let values = lines.filter(|line| *line != b"\n").map(serde_json::from_slice);
    values.collect::<Result<_, _>>().expect("a JSON value a line")
}

/// Frames as a foreign client reads them.
fn frames(rest: &[u8]) {
    let mut socket = WebSocket::from_raw_socket(Recorded(rest), Role::Client, None);
    loop {
        match socket.read() {
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::Io(_)) => return,
            Err(tungstenite::Error::Protocol(
                ProtocolError::ResetWithoutClosingHandshake | ProtocolError::ReceivedAfterClosing,
            )) => return,
            Err(error) => panic!("{error}: {rest:?}"),
        }
    }
}

struct Recorded<'a>(&'a [u8]);

impl Read for Recorded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Recorded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
