//! What a held peer's bytes mean, and how many of them are taken in.

use bytes::Bytes;
use http::HeaderMap;

use crate::mechanisms::wire::Form;
use crate::mechanisms::wire::assembler::{Assembler, Incoming};
use crate::mechanisms::wire::fault::Fault;

/// The reading side of one hold. Between two messages it owns no memory.
pub(super) enum Reader {
    /// Frames; the assembler lives only while something is unfinished.
    Frames(Option<Box<Assembler>>),
    /// Bytes that must not come any more: the request is being answered. Counted, and dropped.
    Strays(u32),
    /// A long poll: nothing was answered, and the connection's next request may begin already.
    Poll(Exchange),
}

/// What must be remembered of a long poll's request until it is answered.
pub(super) struct Exchange {
    pub(super) version_11: bool,
    pub(super) keep_alive: bool,
    /// Whether the client takes all that waits, as lines.
    pub(super) is_batch: bool,
    /// What most long polls have not.
    pub(super) rest: Option<Box<Rest>>,
}

#[derive(Default)]
pub(super) struct Rest {
    /// The application's headers for the answer.
    pub(super) headers: HeaderMap,
    /// The beginning of the connection's next request, which is served after the answer.
    pub(super) unread: Vec<u8>,
}

/// What came of some bytes.
pub(super) enum Read {
    /// Nothing whole yet.
    More,
    Item(Incoming),
    /// The peer broke the rules; a WebSocket is told how.
    Fault(Fault),
}

/// How many bytes may come that nobody asked for.
const STRAYS: usize = 64 * 1024;

impl Reader {
    pub(super) fn new(form: Form, exchange: Exchange) -> Self {
        match form {
            Form::WebSocket => Reader::Frames(None),
            Form::Sse { .. } | Form::Stream { .. } => Reader::Strays(0),
            Form::LongPoll => Reader::Poll(exchange),
        }
    }

    /// Takes in what came.
    pub(super) fn feed(&mut self, bytes: &[u8], max_message: usize) -> Read {
        match self {
            Reader::Frames(assembler) => {
                assembler.get_or_insert_with(|| Box::new(Assembler::new(max_message))).feed(bytes);
                self.next()
            }
            Reader::Strays(count) => {
                *count = count.saturating_add(bytes.len() as u32);
                if *count as usize > STRAYS { Read::Fault(TOO_MANY) } else { Read::More }
            }
            Reader::Poll(exchange) => {
                let kept = &mut exchange.rest.get_or_insert_default().unread;
                if kept.len() + bytes.len() > STRAYS {
                    return Read::Fault(TOO_MANY);
                }
                kept.extend_from_slice(bytes);
                Read::More
            }
        }
    }

    /// The next item of what was taken in before.
    pub(super) fn next(&mut self) -> Read {
        let Reader::Frames(slot) = self else { return Read::More };
        let Some(assembler) = slot else { return Read::More };
        match assembler.poll() {
            Ok(Some(item)) => Read::Item(item),
            Ok(None) => {
                if assembler.is_idle() {
                    *slot = None;
                }
                Read::More
            }
            Err(fault) => Read::Fault(fault),
        }
    }

    /// Takes the beginning of the connection's next request.
    pub(super) fn take_unread(&mut self) -> Bytes {
        match self {
            Reader::Poll(Exchange { rest: Some(rest), .. }) => std::mem::take(&mut rest.unread).into(),
            _ => Bytes::new(),
        }
    }
}

const TOO_MANY: Fault = Fault::Protocol("bytes that nobody asked for");
