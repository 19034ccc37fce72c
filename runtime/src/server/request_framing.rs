//! Where in the bytes of a connection each request begins and ends. hyper gets the bytes of one request at a time, so
//! every head is judged from its first byte, even if it came together with another. Pure.

use super::chunks::Chunks;
use super::strict_crlf::{Broken, StrictCrlf};

/// How far a connection has come.
pub(super) enum RequestFraming {
    /// A head is arriving.
    Head(StrictCrlf),
    /// The head is whole, and hyper has not parsed it yet.
    Whole,
    /// So much of the body is still to come.
    Length(u64),
    /// The body comes in chunks.
    Chunks(Chunks),
    /// The request is whole. What comes belongs to the next one.
    Over,
    /// What comes is not HTTP any more.
    Upgraded,
}

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    Nothing,
    Length(u64),
    Chunks,
}

impl RequestFraming {
    pub(super) fn begin() -> Self {
        RequestFraming::Head(StrictCrlf::of_head())
    }

    /// hyper has read the head.
    pub(super) fn head_read(&mut self, follows: Follows) {
        *self = match follows {
            Follows::Nothing | Follows::Length(0) => RequestFraming::Over,
            Follows::Length(length) => RequestFraming::Length(length),
            Follows::Chunks => RequestFraming::Chunks(Chunks::begin()),
        };
    }

    /// The request was answered: if it is whole, the next begins.
    pub(super) fn begin_next(&mut self) {
        if let RequestFraming::Over = self {
            *self = RequestFraming::begin();
        }
    }

    /// How many of these bytes hyper may have now. The others belong to what comes after this request.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let (count, is_over) = match self {
            RequestFraming::Head(lines) => {
                let count = lines.take(bytes)?;
                if lines.is_over() {
                    *self = RequestFraming::Whole;
                }
                return Ok(count);
            }
            RequestFraming::Length(left) => {
                let count = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= count as u64;
                (count, *left == 0)
            }
            RequestFraming::Chunks(chunks) => (chunks.take(bytes)?, chunks.is_over()),
            RequestFraming::Whole | RequestFraming::Over => (0, false),
            RequestFraming::Upgraded => (bytes.len(), false),
        };
        if is_over {
            *self = RequestFraming::Over;
        }
        Ok(count)
    }

    /// Whether more than so many bytes of the request are to come. Of a body in chunks that is not known, and taken for
    /// true.
    pub(super) fn is_longer_than(&self, bytes: usize) -> bool {
        match self {
            RequestFraming::Length(left) => *left > bytes as u64,
            RequestFraming::Chunks(_) => true,
            RequestFraming::Head(_)
            | RequestFraming::Whole
            | RequestFraming::Over
            | RequestFraming::Upgraded => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    /// How many bytes hyper is given of those that come in such pieces, and whether the request is whole then.
    fn given(follows: Follows, bytes: &[u8], step: usize) -> Result<(usize, bool), Broken> {
        let mut framing = RequestFraming::begin();
        let (mut given, mut waiting): (usize, Vec<u8>) = (0, Vec::new());
        for piece in bytes.chunks(step) {
            waiting.extend_from_slice(piece);
            while !waiting.is_empty() {
                let count = framing.take(&waiting)?;
                if count == 0 {
                    match framing {
                        RequestFraming::Whole => framing.head_read(follows),
                        _ => break,
                    }
                }
                waiting.drain(..count);
                given += count;
            }
        }
        if let RequestFraming::Whole = framing {
            framing.head_read(follows);
        }
        Ok((given, matches!(framing, RequestFraming::Over)))
    }

    #[test]
    fn hyper_is_given_one_request_at_a_time() {
        for (follows, body) in [
            (Follows::Nothing, &b""[..]),
            (Follows::Length(0), b""),
            (Follows::Length(7), b"ab\ncd\re"),
            (Follows::Chunks, b"3\r\na\nb\r\n0\r\n\r\n"),
            (Follows::Chunks, b"0\r\n\r\n"),
            (Follows::Chunks, b"a ;x=y\r\n0123456789\r\n00\r\nx: y\r\n\r\n"),
            (Follows::Chunks, b"F;\"\"\r\n0123456789abcde\r\n0;z\r\n\r\n"),
        ] {
            let request = [HEAD, body].concat();
            for behind in [&b""[..], b"GET /\n\n", b"\n", HEAD] {
                for step in [1, 2, 3, 7, 1000] {
                    let bytes = [&request, behind].concat();
                    assert_eq!(
                        given(follows, &bytes, step),
                        Ok((request.len(), true)),
                        "{bytes:?} by {step}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_lines_after_the_last_chunk_end_as_those_of_a_head_do() {
        for trailers in [&b"x: y\n\r\n"[..], b"x: y\r\n\n", b"\n", b"x: a\rb\r\n\r\n"] {
            let bytes = [HEAD, b"0\r\n", trailers].concat();
            assert_eq!(given(Follows::Chunks, &bytes, 5), Err(Broken), "{trailers:?}");
        }
    }

    #[test]
    fn the_next_request_is_judged_from_its_first_byte() {
        let mut framing = RequestFraming::begin();
        assert_eq!(framing.take(HEAD), Ok(HEAD.len()));
        framing.head_read(Follows::Nothing);
        assert_eq!(framing.take(b"\r\nGET /\n"), Ok(0));
        framing.begin_next();
        assert_eq!(framing.take(b"\r\nGET /\n"), Err(Broken));
    }
}
