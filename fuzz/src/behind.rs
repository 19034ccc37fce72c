//! What comes behind a request that is held: kept, counted or understood, however it is cut.

use bytes::Bytes;

use crate::frames::{Understood, understand};
use crate::pieces::pieces;
use abeyance_core::mechanisms::allowance::Allowance;
use abeyance_core::mechanisms::wire::Form;
use abeyance_core::mechanisms::wire::assembler::Incoming;
use abeyance_core::mechanisms::wire::fault::Fault;
use abeyance_core::request::reader::{Exchange, Read, Reader};
use abeyance_core::words::tick::Tick;
use abeyance_settings::terms::Settings;

/// How many bytes may come that nobody asked for.
const STRAYS: usize = 64 * 1024;

/// The first byte chooses the form, the second the pieces, the third how often the rest comes.
pub(crate) fn behind(data: &[u8]) {
    let [form, cut, times, rest @ ..] = data else { return };
    let stream = rest.repeat(usize::from(*times) % 64 * 8 + 1);
    let form = match form % 4 {
        0 => Form::WebSocket,
        1 => Form::Sse { chunked: true },
        2 => Form::Stream { chunked: false },
        _ => Form::LongPoll,
    };
    let lengths = [*cut, cut.wrapping_mul(7)];
    let (read, unread) = read(form, &stream, &lengths);
    match form {
        Form::WebSocket => {
            // The reader throws its assembler away between two messages, which nobody must notice.
            assert_eq!(read, bounded(understand(pieces(&stream, &lengths), LIMIT).0));
            assert_eq!(unread, "");
        }
        Form::Sse { .. } | Form::Stream { .. } => {
            assert_eq!((read.0.len(), unread.len()), (0, 0));
            assert_eq!(read.1.is_some(), stream.len() > STRAYS);
        }
        Form::LongPoll => {
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
    match idle.nth(Allowance::AT_ONCE as usize) {
        Some(at) => {
            items.truncate(at);
            (items, Some(Fault::Flood))
        }
        None => (items, fault),
    }
}

const LIMIT: usize = 1024;

fn read(form: Form, stream: &[u8], lengths: &[u8]) -> (Understood, Bytes) {
    let exchange = Exchange { version_11: true, keep_alive: true, is_batch: false, rest: None };
    let mut reader = Reader::new(form, exchange);
    let terms = Settings { max_message: Some(LIMIT), ..Settings::NONE }.resolve();
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
