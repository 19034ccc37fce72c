//! What a WebSocket peer sends. In pieces it must mean what it means at once, and to tungstenite the same as to us.

use std::io::{self, Read, Write};

use tungstenite::error::ProtocolError;
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};

use crate::pieces::pieces;
use abeyance_core::mechanisms::wire::assembler::{Assembler, Incoming};
use abeyance_core::mechanisms::wire::protocol_fault::ProtocolFault;

/// What was understood, and whether it ended with a fault.
pub(crate) type Understood = (Vec<Incoming>, Option<ProtocolFault>);

const LIMITS: [usize; 8] = [64, 0, 1, 16, 125, 126, 300, 1 << 20];

/// The first byte chooses the limit of a message, the second the pieces; then come frames.
pub(crate) fn frames(data: &[u8]) {
    let [limit, cut, stream @ ..] = data else { return };
    let limit = LIMITS[usize::from(*limit) % LIMITS.len()];
    let (at_once, is_idle) = understand([stream], limit);
    for lengths in [&[1][..], &[*cut], &[*cut, 1, 2]] {
        let in_pieces = understand(pieces(stream, lengths), limit);
        assert_eq!(in_pieces, (at_once.clone(), is_idle), "in pieces of {lengths:?}");
    }
    let (mut items, fault) = at_once;
    // Parts are no item to others.
    items.retain(|item| *item != Incoming::Crumb);
    let (foreign, is_foreign_fault) = foreign(stream, limit);
    if foreign.last() == Some(&unsendable()) {
        // It puts that in the place of every code that it does not know. 1014 is in the registry of IANA.
        let told = &items[foreign.len() - 1..];
        let is_known = matches!(told, [Incoming::Close { code: Some(1002 | 1014), .. }]);
        assert!(is_known || told.is_empty() && fault.is_some(), "{told:?}, {fault:?}");
        return;
    }
    assert_eq!(items, foreign, "ours, theirs: {fault:?}");
    // We find at a frame's header what they find at its end. What a fault is called is each one's own affair.
    assert!(fault.is_some() || !is_foreign_fault, "{items:?}");
}

/// What an assembler makes of pieces; `true` if nothing is begun then.
pub(crate) fn understand<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limit: usize) -> (Understood, bool) {
    let mut assembler = Assembler::new(limit);
    let mut items = Vec::new();
    let mut fault = None;
    for piece in pieces {
        assembler.feed(piece);
        loop {
            match assembler.poll() {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(found) => {
                    assert_eq!(*fault.get_or_insert(found), found, "a fault stays");
                    break;
                }
            }
        }
    }
    let is_idle = assembler.is_idle();
    ((items, fault), is_idle)
}

/// What tungstenite makes of a stream, and whether it finds a fault.
fn foreign(stream: &[u8], limit: usize) -> (Vec<Incoming>, bool) {
    let config =
        WebSocketConfig::default().max_message_size(Some(limit)).max_frame_size(Some(limit.max(125)));
    let mut socket = WebSocket::from_raw_socket(Deaf(stream), Role::Server, Some(config));
    let mut items = Vec::new();
    loop {
        let item = match socket.read() {
            Ok(tungstenite::Message::Text(text)) => Incoming::Message(text.as_str().into()),
            Ok(tungstenite::Message::Binary(bytes)) => Incoming::Message(bytes.into()),
            Ok(tungstenite::Message::Ping(payload)) => Incoming::Ping(payload),
            Ok(tungstenite::Message::Pong(_)) => Incoming::Pong,
            Ok(tungstenite::Message::Close(said)) => {
                let (code, reason) =
                    said.map(|said| (said.code.into(), said.reason.as_str().to_owned())).unzip();
                items.push(Incoming::Close { code, reason: reason.unwrap_or_default() });
                return (items, false);
            }
            Ok(tungstenite::Message::Frame(_)) => unreachable!("read in whole messages"),
            // The stream is over.
            Err(tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                return (items, false);
            }
            Err(_) => return (items, true),
        };
        items.push(item);
    }
}

/// What tungstenite makes of a close frame with a code that must not be sent.
fn unsendable() -> Incoming {
    Incoming::Close { code: Some(1002), reason: String::from("Protocol violation") }
}

/// Gives the bytes, and takes all that is written.
struct Deaf<'a>(&'a [u8]);

impl Read for Deaf<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Deaf<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
