//! Whether the lines of a head end as they must, with CR and LF: hyper takes a bare LF as well, and a proxy in front of us
//! may not, so that one request could hide in another's header.

/// What was read of a head. Pure.
pub(super) struct Lines {
    /// The byte before; at the beginning, one after which anything may come.
    last: u8,
    is_line_empty: bool,
    /// A blank line would be the end.
    has_begun: bool,
    is_over: bool,
}

impl Lines {
    /// From the first byte of a head on. Blank lines may stand before it.
    pub(super) fn first() -> Self {
        Lines { last: b'\r', is_line_empty: true, has_begun: false, is_over: false }
    }

    /// From where nobody knows how much of the head has come before: hyper may have had the beginning together with
    /// the last request.
    pub(super) fn later() -> Self {
        Lines { has_begun: true, ..Lines::first() }
    }

    /// Takes what has come; `false` if a line ends in a way it must not. What comes behind the head is not looked at.
    pub(super) fn take(&mut self, bytes: &[u8]) -> bool {
        for &byte in bytes {
            if self.is_over {
                break;
            }
            match (self.last, byte) {
                (b'\r', b'\n') => {
                    self.is_over = self.is_line_empty && self.has_begun;
                    self.is_line_empty = true;
                }
                (_, b'\n') => return false,
                // Where the beginning is not known, neither is what was before.
                (b'\r', _) if !self.is_line_empty => return false,
                (_, b'\r') => {}
                _ => {
                    self.is_line_empty = false;
                    self.has_begun = true;
                }
            }
            self.last = byte;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it is taken, however it is torn.
    fn is_taken(mut lines: impl FnMut() -> Lines, text: &str) -> bool {
        let whole = lines().take(text.as_bytes());
        for cut in 0..text.len() {
            let (before, after) = text.as_bytes().split_at(cut);
            let mut lines = lines();
            assert_eq!(lines.take(before) && lines.take(after), whole, "{text:?} at {cut}");
        }
        whole
    }

    #[test]
    fn every_line_of_a_head_ends_with_both_bytes() {
        for (text, is_right) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
            ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\nof\rany\0kind", true),
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n", false),
            ("GET / HTTP/1.1\r\nHost: a\r\n\n", false),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: y\n\nGET /b HTTP/1.1\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nX: a\rb\r\n\r\n", false),
            ("GET / HTTP/1.1\r\r\n\r\n", false),
        ] {
            assert_eq!(is_taken(Lines::first, text), is_right, "{text:?}");
        }
    }

    #[test]
    fn a_head_that_began_before_ends_at_the_first_blank_line() {
        for (text, is_right) in [
            ("\r\nbody\nbody", true),
            ("\n\r\nbody\nbody", true),
            ("st: a\r\n\r\n\n", true),
            ("st: a\n\r\n", false),
        ] {
            assert_eq!(is_taken(Lines::later, text), is_right, "{text:?}");
        }
    }
}
