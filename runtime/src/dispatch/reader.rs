//! What a held peer's bytes mean, and how many of them are taken in.

use bytes::Bytes;

use crate::mechanisms::wire::Form;
use crate::mechanisms::wire::assembler::{Assembler, Incoming};
use crate::mechanisms::wire::fault::Fault;

/// The reading side of one hold. Between two messages it owns no memory.
pub(super) enum Reader {
    /// Frames; the assembler lives only while something is unfinished.
    Frames(Option<Box<Assembler>>),
    /// Bytes that must not come any more: the request is being answered. Counted, and dropped.
    Strays(usize),
    /// The beginning of the next request on this connection, which is served after the answer.
    Next(Vec<u8>),
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
    pub(super) fn new(form: Form) -> Self {
        match form {
            Form::WebSocket => Reader::Frames(None),
            Form::Sse { .. } | Form::Stream { .. } => Reader::Strays(0),
            Form::LongPoll => Reader::Next(Vec::new()),
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
                *count += bytes.len();
                if *count > STRAYS { Read::Fault(TOO_MANY) } else { Read::More }
            }
            Reader::Next(kept) => {
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

    /// The beginning of the connection's next request.
    pub(super) fn into_unread(self) -> Bytes {
        match self {
            Reader::Next(kept) => kept.into(),
            Reader::Frames(_) | Reader::Strays(_) => Bytes::new(),
        }
    }
}

const TOO_MANY: Fault = Fault::Protocol("bytes that nobody asked for");
