//! What a client brings along when it comes back: an id is exactly what was once written.

use abeyance_core::words::event_id::EventId;

/// A text; its bytes are a place in the sequence, too.
pub(crate) fn event_ids(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let read = EventId::read(&text);
    assert_eq!(read.is_ok(), is_id(&text), "{text:?}");
    if let Ok(id) = read {
        assert_eq!(id.to_string(), text);
    }

    let mut numbers = data.chunks(8).map(|bytes| {
        let number = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        number & EventId::EPOCH
    });
    let mut number = || numbers.next().unwrap_or_default();
    let id = EventId::midway(number(), number(), number());
    assert_eq!(EventId::read(&id.to_string()), Ok(id));
}

/// The same grammar once more.
fn is_id(text: &str) -> bool {
    let parts: Vec<&str> = text.split(['-', '.']).collect();
    let separators: String = text.chars().filter(|letter| "-.".contains(*letter)).collect();
    let is_part =
        |part: &&str| part.len() == 12 && part.chars().all(|letter| "0123456789abcdef".contains(letter));
    parts.iter().all(is_part)
        && match separators.as_str() {
            "-" => true,
            ".." => parts[2] > parts[1],
            _ => false,
        }
}
