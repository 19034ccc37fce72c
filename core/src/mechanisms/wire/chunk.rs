//! The chunked transfer coding (RFC 9112 §7.1), as much of it as a held answer writes.

use bytes::Bytes;

/// What says that an answer is whole. Leaving it out tells the client that the answer was cut.
pub const LAST: Bytes = Bytes::from_static(b"0\r\n\r\n");

/// The payload as one chunk, or as it is where the end of the connection ends the answer.
pub fn body(payload: Vec<u8>, chunked: bool) -> Bytes {
    // A chunk of no bytes would be the last one.
    if !chunked || payload.is_empty() {
        return payload.into();
    }
    let size = format!("{:x}\r\n", payload.len());
    let mut chunk = Vec::with_capacity(size.len() + payload.len() + 2);
    chunk.extend_from_slice(size.as_bytes());
    chunk.extend_from_slice(&payload);
    chunk.extend_from_slice(b"\r\n");
    chunk.into()
}

/// The payload as the end of an answer: its chunk and the last one.
pub fn ending(payload: Vec<u8>, chunked: bool) -> Bytes {
    let body = body(payload, chunked);
    if chunked { [body, LAST].concat().into() } else { body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_says_its_size_in_hexadecimal() {
        assert_eq!(body(vec![b'x'; 26], true), format!("1a\r\n{}\r\n", "x".repeat(26)));
        assert_eq!(body(b"plain".to_vec(), false), "plain");
    }

    #[test]
    fn an_empty_payload_never_ends_the_answer_by_accident() {
        assert_eq!(body(Vec::new(), true), "");
        assert_eq!(ending(Vec::new(), true), "0\r\n\r\n");
        assert_eq!(ending(Vec::new(), false), "");
    }
}
