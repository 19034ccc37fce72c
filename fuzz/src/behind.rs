//! What comes behind a request that is held: kept, counted or understood, however it is cut.

use bytes::Bytes;

use crate::frames::{Understood, understand};
use crate::pieces::pieces;
use abeyance_core::mechanisms::frame_quota::FrameQuota;
use abeyance_core::mechanisms::wire::WireForm;
use abeyance_core::mechanisms::wire::assembler::Incoming;
use abeyance_core::mechanisms::wire::protocol_fault::ProtocolFault;
use abeyance_core::request::reader::{PollExchange, Read, Reader};
use abeyance_core::words::tick::Tick;
use abeyance_settings::endpoint::EndpointOptions;

/// How many unasked bytes may come.
const STRAYS: usize = 64 * 1024;

/// The first byte chooses the form, the second the pieces, the third how often the rest comes.
pub(crate) fn behind(data: &[u8]) {
    let [form, cut, times, rest @ ..] = data else { return };
    let stream = rest.repeat(usize::from(*times) % 64 * 8 + 1);
    let form = match form % 4 {
        0 => WireForm::WebSocket,
        1 => WireForm::Sse { chunked: true },
        2 => WireForm::Stream { chunked: false },
        _ => WireForm::LongPoll,
    };
    let lengths = [*cut, cut.wrapping_mul(7)];
    let (read, unread) = read(form, &stream, &lengths);
    match form {
        WireForm::WebSocket => {
            // The reader throws its assembler away between two messages, which must not be noticed.
            assert_eq!(read, bounded(understand(pieces(&stream, &lengths), LIMIT).0));
            assert_eq!(unread, "");
        }
        WireForm::Sse { .. } | WireForm::Stream { .. } => {
            assert_eq!((read.0.len(), unread.len()), (0, 0));
            assert_eq!(read.1.is_some(), stream.len() > STRAYS);
        }
        WireForm::LongPoll => {
            assert_eq!(read.0, []);
            match read.1 {
                None => assert_eq!(unread, stream, "the next request is as it came"),
                Some(_) => assert!(stream.len() > STRAYS && stream.starts_with(&unread)),
            }
            // One byte too many tells that there were too many.
            assert!(unread.len() <= STRAYS + 1);
        }
    }
}

/// What is left of it where a peer may say nothing only so often. Time stands, so none is given back.
fn bounded((mut items, fault): Understood) -> Understood {
    let says_nothing = |item: &Incoming| matches!(item, Incoming::Ping(_) | Incoming::Pong | Incoming::Crumb);
    let mut idle = items.iter().enumerate().filter(|(_, item)| says_nothing(item)).map(|(at, _)| at);
    match idle.nth(FrameQuota::AT_ONCE as usize) {
        Some(at) => {
            items.truncate(at);
            (items, Some(ProtocolFault::Flood))
        }
        None => (items, fault),
    }
}

const LIMIT: usize = 1024;

fn read(form: WireForm, stream: &[u8], lengths: &[u8]) -> (Understood, Bytes) {
    let exchange = PollExchange { version_11: true, keep_alive: true, is_batch: false, rest: None };
    let mut reader = Reader::new(form, exchange);
    let terms = EndpointOptions { max_message: Some(LIMIT), ..EndpointOptions::NONE }.resolve();
    let (mut items, mut fault) = (Vec::new(), None);
    'pieces: for piece in pieces(stream, lengths) {
        reader.feed(piece, &terms, Tick(0));
        loop {
            match reader.next_item() {
                Read::More => break,
                Read::Item(item) => items.push(item),
                Read::Fault(found) => {
                    fault = Some(found);
                    break 'pieces;
                }
            }
        }
    }
    let unread = reader.take_unread();
    assert_eq!(reader.take_unread(), "", "taken once");
    ((items, fault), unread)
}
