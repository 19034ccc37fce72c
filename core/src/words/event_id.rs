//! The id of a kept message, which a client brings along when it comes back.

use std::fmt;

use super::message::Message;

/// A place in the sequence of all messages that one server keeps: a client that has it knows everything up to `offset`.
///
/// The epoch is drawn when a server starts; an id of another epoch says nothing about this server's sequence. On the
/// wire it is `epoch-offset`, each of twelve hexadecimal digits: of a fixed length, so that one which was cut short is
/// none, and does not pass for an earlier one.
///
/// A newcomer that gets the past of some topics first has not got everything up to there: of others it gets what is
/// published from its coming on. Until it is through with the past its ids say both, `epoch.offset.came`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventId {
    pub epoch: u64,
    pub offset: u64,
    /// Where the sequence was when the client came, if that is behind `offset`; else the same.
    pub came: u64,
}

/// Where a client stands in the sequence, as it is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// What it shall come back with. `None` where nothing is kept, or where it shall come back as it came.
    pub id: Option<EventId>,
    /// Whether something it has not got is gone: it must learn by other means what is now (*resync*).
    pub is_lost: bool,
}

/// A message, and its place in the sequence if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    pub message: Message,
    pub id: Option<EventId>,
}

/// A text that is no id of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoEventId;

/// How many hexadecimal digits each part has: 48 bits, which last nine years at a million messages a second.
const DIGITS: usize = 12;

impl EventId {
    /// The bits of an epoch that are written.
    pub const EPOCH: u64 = (1 << (4 * DIGITS)) - 1;

    /// Of who has everything up to `offset`.
    pub fn new(epoch: u64, offset: u64) -> EventId {
        EventId::midway(epoch, offset, offset)
    }

    /// Of who came at `came`, and has of the past what stands up to `offset`.
    pub fn midway(epoch: u64, offset: u64, came: u64) -> EventId {
        EventId { epoch, offset, came: came.max(offset) }
    }

    /// # Errors
    /// When the text is not exactly as [`Display`](fmt::Display) writes it.
    pub fn read(text: &str) -> Result<EventId, NoEventId> {
        if let Some((epoch, offset)) = text.split_once('-') {
            return Ok(EventId::new(part(epoch)?, part(offset)?));
        }
        let (epoch, rest) = text.split_once('.').ok_or(NoEventId)?;
        let (offset, came) = rest.split_once('.').ok_or(NoEventId)?;
        let id = EventId { epoch: part(epoch)?, offset: part(offset)?, came: part(came)? };
        if id.came > id.offset { Ok(id) } else { Err(NoEventId) }
    }
}

fn part(text: &str) -> Result<u64, NoEventId> {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != DIGITS || !text.bytes().all(is_hex) {
        return Err(NoEventId);
    }
    u64::from_str_radix(text, 16).map_err(|_| NoEventId)
}

impl From<Message> for Numbered {
    fn from(message: Message) -> Self {
        Numbered { message, id: None }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EventId { epoch, offset, came } = self;
        match came > offset {
            true => write!(f, "{epoch:0DIGITS$x}.{offset:0DIGITS$x}.{came:0DIGITS$x}"),
            false => write!(f, "{epoch:0DIGITS$x}-{offset:0DIGITS$x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_mangled_id_is_none() {
        for (id, text) in [
            (EventId::new(0x12ab, 0xfed), "0000000012ab-000000000fed"),
            (EventId::midway(0x12ab, 0xfed, 0xfed), "0000000012ab-000000000fed"),
            (EventId::midway(0x12ab, 0xfed, 0xfee), "0000000012ab.000000000fed.000000000fee"),
        ] {
            assert_eq!(id.to_string(), text);
            assert_eq!(EventId::read(text), Ok(id));
            for at in 0..text.len() {
                assert_eq!(EventId::read(&text[..at]), Err(NoEventId), "cut at {at}");
                assert_eq!(EventId::read(&text[at + 1..]), Err(NoEventId), "begun at {at}");
            }
        }
        for wrong in [
            "",
            "-",
            "0000000012AB-000000000fed",
            "+000000012ab-000000000fed",
            "0000000012ab-000000000fed ",
            "0000000012ab-0000000000fed",
            "0000000012ab 000000000fed",
            "0000000012ab.000000000fed",
            "0000000012ab.000000000fed.000000000fed",
            "0000000012ab-000000000fed-000000000fee",
            "0000000012ab.000000000fed-000000000fee",
            "0000000012ab.000000000fed.000000000fee.",
            "é00000000012-000000000fed",
        ] {
            assert_eq!(EventId::read(wrong), Err(NoEventId), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn an_id_is_read_as_it_was_written(
            epoch in 0..=EventId::EPOCH,
            offset in 0..=EventId::EPOCH,
            came in 0..=EventId::EPOCH,
        ) {
            let id = EventId::midway(epoch, offset, came);
            prop_assert_eq!(EventId::read(&id.to_string()), Ok(id));
        }
    }
}
