//! What a peer heard, read by others: well-formed as far as it goes.

use std::io::{self, Read, Write};

use abeyance::Transport;
use tokio_tungstenite::tungstenite;
use tungstenite::error::ProtocolError;
use tungstenite::protocol::{Role, WebSocket};

use super::script::Script;
use crate::event_stream::events;

/// Reads the first answer, which is that of the hold if there is one.
pub(super) fn check(script: &Script, heard: &[u8]) {
    if heard.is_empty() {
        return;
    }
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    let end = match response.parse(heard) {
        Ok(httparse::Status::Complete(end)) => end,
        // It was cut in the middle.
        Ok(httparse::Status::Partial) => return,
        Err(error) => panic!("{error}: {:?}", String::from_utf8_lossy(heard)),
    };
    let rest = &heard[end..];
    match (script.held, response.code) {
        (Some(Transport::WebSocket), Some(101)) => frames(rest),
        (Some(Transport::Sse), Some(200)) => {
            let text = String::from_utf8(body(rest)).expect("an event stream is UTF-8");
            let events = events(&text);
            assert!(events.first().is_none_or(|event| event.kind == "hold"), "{events:?}");
        }
        (Some(Transport::Stream), Some(200)) => {
            let body = body(rest);
            let whole = body.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
            for line in whole.filter(|line| *line != b"\n") {
                serde_json::from_slice::<serde_json::Value>(line).expect("a JSON value a line");
            }
        }
        (Some(Transport::LongPoll), Some(200)) => assert!(rest.starts_with(b"welcome"), "{rest:?}"),
        (Some(_), status) => panic!("{status:?} for a good request"),
        (None, status) => assert!(status.is_some_and(|status| (100..=599).contains(&status))),
    }
}

/// What stands in chunks, as far as they are whole.
fn body(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let httparse::Status::Complete((start, size)) = httparse::parse_chunk_size(rest).expect("a chunk") {
        let Some((payload, end)) = rest[start..].split_at_checked(size as usize) else { break };
        let Some(next) = end.strip_prefix(b"\r\n") else {
            assert!(end.len() < 2, "a chunk longer than it says");
            break;
        };
        body.extend_from_slice(payload);
        if size == 0 {
            assert_eq!(next, b"", "behind the last chunk");
            break;
        }
        rest = next;
    }
    body
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
