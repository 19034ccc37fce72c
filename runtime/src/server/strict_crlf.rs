//! Whether the lines of a head end as they must, with CR and LF. hyper takes a bare LF as well, and a proxy in front of
//! this server may not: a request could hide in the header of another.

/// What came is not as it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// How far the lines of a head, or the trailers of a body, were read. Pure.
pub(super) struct StrictCrlf {
    /// The byte before.
    last: u8,
    is_line_empty: bool,
    /// A blank line would be the end.
    has_begun: bool,
    is_over: bool,
}

impl StrictCrlf {
    /// Those of a head. Blank lines may stand before it (RFC 9112 §2.2).
    pub(super) fn of_head() -> Self {
        StrictCrlf { last: b'\n', is_line_empty: true, has_begun: false, is_over: false }
    }

    /// Those after the last chunk; there may be none.
    pub(super) fn of_trailers() -> Self {
        StrictCrlf { has_begun: true, ..StrictCrlf::of_head() }
    }

    /// Takes what belongs to these lines, and tells how many bytes that was.
    ///
    /// # Errors
    /// A line ends in a way it must not.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        for (at, &byte) in bytes.iter().enumerate() {
            if self.is_over {
                return Ok(at);
            }
            match (self.last, byte) {
                (b'\r', b'\n') => {
                    self.is_over = self.is_line_empty && self.has_begun;
                    self.is_line_empty = true;
                }
                (_, b'\n') | (b'\r', _) => return Err(Broken),
                (_, b'\r') => {}
                _ => {
                    self.is_line_empty = false;
                    self.has_begun = true;
                }
            }
            self.last = byte;
        }
        Ok(bytes.len())
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes are taken; the same, no matter where the text is cut in two.
    fn taken(text: &str) -> Option<usize> {
        let whole = StrictCrlf::of_head().take(text.as_bytes()).ok();
        for cut in 0..text.len() {
            let (before, after) = text.as_bytes().split_at(cut);
            let mut lines = StrictCrlf::of_head();
            let torn = lines.take(before).and_then(|first| Ok(first + lines.take(after)?));
            assert_eq!(torn.ok(), whole, "{text:?} at {cut}");
        }
        whole
    }

    #[test]
    fn every_line_of_a_head_ends_with_both_bytes() {
        for (text, is_right) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
            ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
            ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", false),
            ("\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", false),
            ("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", false),
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n", false),
            ("GET / HTTP/1.1\r\nHost: a\r\n\n", false),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: y\n\nGET /b HTTP/1.1\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nX: a\rb\r\n\r\n", false),
            ("GET / HTTP/1.1\r\r\n\r\n", false),
        ] {
            assert_eq!(taken(text), is_right.then_some(text.len()), "{text:?}");
        }
    }

    #[test]
    fn what_comes_after_a_head_is_not_taken() {
        let head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(taken(&format!("{head}body\nof\rany\0kind")), Some(head.len()));
    }
}
