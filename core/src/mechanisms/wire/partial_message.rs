//! A WebSocket message of which more frames are to come (RFC 6455 §5.4).

use std::str::from_utf8;

use super::protocol_fault::ProtocolFault;
use crate::words::message::Message;

/// What arrived of one message.
#[derive(Debug)]
pub(super) struct Draft {
    is_text: bool,
    pub(super) payload: Vec<u8>,
    /// How many bytes of the payload are known to be UTF-8.
    valid: usize,
    /// How many of its parts were crumbs.
    crumbs: usize,
}

/// A part of a message with less than that is a crumb. Clients that send in parts cut at what a segment holds, or more.
const CRUMB: usize = 125;

/// So many bytes of a message are worth a crumb of it: a client that sends in parts of that size, and there are such clients,
/// sends no more of them than it must, however large the message is.
const WORTH: usize = 64;

impl Draft {
    pub(super) fn new(is_text: bool) -> Self {
        Draft { is_text, payload: Vec::new(), valid: 0, crumbs: 0 }
    }

    /// Judges a frame by its header, before anything of it is kept.
    pub(super) fn expect(&self, length: u64, max_message: usize) -> Result<(), ProtocolFault> {
        match length > max_message.saturating_sub(self.payload.len()) as u64 {
            true => Err(ProtocolFault::TooLarge),
            false => Ok(()),
        }
    }

    /// Fails as soon as no continuation could make a text UTF-8 (§8.1); the end may cut a character in two.
    pub(super) fn check(&mut self) -> Result<(), ProtocolFault> {
        if self.is_text {
            match from_utf8(&self.payload[self.valid..]) {
                Ok(rest) => self.valid += rest.len(),
                Err(error) if error.error_len().is_none() => self.valid += error.valid_up_to(),
                Err(_) => return Err(ProtocolFault::NotUtf8),
            }
        }
        Ok(())
    }

    /// Whether a part of this length, now whole, is one crumb more than what there is of the message is worth.
    pub(super) fn is_crumb(&mut self, length: usize) -> bool {
        if length >= CRUMB {
            return false;
        }
        self.crumbs += 1;
        self.crumbs > self.payload.len() / WORTH
    }

    /// The message, all of it being there.
    pub(super) fn finish(mut self) -> Result<Message, ProtocolFault> {
        self.payload.shrink_to_fit();
        Ok(if self.is_text {
            String::from_utf8(self.payload).map_err(|_| ProtocolFault::NotUtf8)?.into()
        } else {
            self.payload.into()
        })
    }
}
