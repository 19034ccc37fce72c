//! Where a body in chunks ends (RFC 9112 §7.1). hyper judges the chunks; only the trailers after the last are judged
//! here.

use super::strict_crlf::{Broken, StrictCrlf};

/// How far a body in chunks has come. Pure.
pub(super) struct Chunks(At);

enum At {
    /// In the size of a chunk.
    Size(u64),
    /// After the size, in the rest of its line.
    Rest(u64),
    /// Before the line's LF.
    SizeEnd(u64),
    Data(u64),
    DataEnd,
    Trailers(StrictCrlf),
    /// This is no chunk. hyper refuses it.
    Lost,
}

impl Chunks {
    pub(super) fn begin() -> Self {
        Chunks(At::Size(0))
    }

    /// Takes what belongs to the body, and tells how many bytes that was.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let mut taken = 0;
        while taken < bytes.len() && !self.is_over() {
            let rest = &bytes[taken..];
            let (count, next) = match &mut self.0 {
                At::Data(left) => {
                    let count = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    let left = *left - count as u64;
                    (count, if left == 0 { At::DataEnd } else { At::Data(left) })
                }
                At::Trailers(lines) => {
                    taken += lines.take(rest)?;
                    continue;
                }
                At::Lost => return Ok(bytes.len()),
                at => (1, at.after(rest[0])),
            };
            taken += count;
            self.0 = next;
        }
        Ok(taken)
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(&self.0, At::Trailers(lines) if lines.is_over())
    }
}

impl At {
    fn after(&self, byte: u8) -> At {
        match (self, byte) {
            (At::Size(size), b'\r') | (At::Rest(size), b'\r') => At::SizeEnd(*size),
            (At::Size(size), b';' | b' ' | b'\t') | (At::Rest(size), _) => At::Rest(*size),
            (At::Size(size), digit) => {
                let digit = char::from(digit).to_digit(16).map(u64::from);
                let size = digit.and_then(|digit| size.checked_mul(16)?.checked_add(digit));
                size.map_or(At::Lost, At::Size)
            }
            (At::SizeEnd(0), b'\n') => At::Trailers(StrictCrlf::of_trailers()),
            (At::SizeEnd(size), b'\n') => At::Data(*size),
            (At::DataEnd, b'\r') => At::DataEnd,
            (At::DataEnd, b'\n') => At::Size(0),
            _ => At::Lost,
        }
    }
}
