//! WebSocket frames, built by hand so that they can be invalid.

/// A frame as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its first byte: FIN, the reserved bits and the opcode.
    pub first: u8,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// A frame as a client must send it: masked, here with zeros.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = lengths(first, 0x80, payload.len());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// An unmasked frame, which a client must not send.
pub fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = lengths(first, 0, payload.len());
    bytes.extend_from_slice(payload);
    bytes
}

fn lengths(first: u8, mask: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..=125 => bytes.push(mask | length as u8),
        126..=0xffff => {
            bytes.push(mask | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(mask | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes
}

impl Frame {
    /// The code and the reason of a close frame; `None` of another frame, or a close without a code.
    pub fn close(&self) -> Option<(u16, &str)> {
        let (code, reason) = self.payload.split_first_chunk::<2>()?;
        (self.first == 0x88).then(|| (u16::from_be_bytes(*code), std::str::from_utf8(reason).unwrap_or("?")))
    }

    /// Takes the first whole frame off the front of `bytes`.
    pub fn take(bytes: &mut Vec<u8>) -> Option<Frame> {
        let length = usize::from(bytes.get(1)? & 0x7f);
        let (begin, length) = match length {
            126 => (4, u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?).into()),
            127 => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?) as usize),
            length => (2, length),
        };
        let payload = bytes.get(begin..begin + length)?.to_vec();
        let first = bytes[0];
        bytes.drain(..begin + length);
        Some(Frame { first, payload })
    }
}
