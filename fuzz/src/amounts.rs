//! Durations, sizes and counts: what is read is what is written, and what is not read is told with a right form.

use std::time::Duration;

use abeyance_settings::amount::{self, LONGEST, Misread};

const MILLIS: [(&str, u128); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const BYTES: [(&str, u128); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// A text; its bytes are an amount, too.
pub(crate) fn amounts(data: &[u8]) {
    let text = &*String::from_utf8_lossy(data);
    let millis = sum(text, &MILLIS, true).filter(|millis| (1..=LONGEST.as_millis()).contains(millis));
    let duration = amount::duration(text);
    assert_eq!(duration.as_ref().ok().map(Duration::as_millis), millis, "{text:?}");
    if let Ok(duration) = duration {
        assert_eq!(amount::duration(&amount::spell_duration(duration)), Ok(duration));
    }
    assert_eq!(
        amount::clock(text).ok(),
        if text == "none" { Some(None) } else { duration.as_ref().ok().map(|&d| Some(d)) }
    );
    if let Ok(clock) = amount::clock(text) {
        assert_eq!(amount::clock(&amount::spell_clock(clock)), Ok(clock));
    }

    let bytes = sum(text, &BYTES, false).filter(|bytes| (1..=u128::from(u64::MAX)).contains(bytes));
    let size = amount::size(text);
    assert_eq!(size.as_ref().ok().map(|size| *size as u128), bytes, "{text:?}");
    if let Ok(size) = size {
        assert_eq!(amount::size(&amount::spell_size(size)), Ok(size));
    }

    let is_count = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let count = amount::count(text);
    assert_eq!(count.as_ref().ok().copied(), text.parse().ok().filter(|count| is_count && *count > 0));

    told(text, &duration, amount::duration);
    told(text, &amount::clock(text), amount::clock);
    told(text, &size, amount::size);
    told(text, &count, amount::count);

    let number = data.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
    if number > 0 {
        assert_eq!(amount::size(&amount::spell_size(number as usize)), Ok(number as usize));
        let duration = Duration::from_millis(number).min(LONGEST);
        assert_eq!(amount::duration(&amount::spell_duration(duration)), Ok(duration));
    }
}

/// A fault quotes what was written; if it says what to write instead, that is right, or nothing or too much.
fn told<T>(text: &str, read: &Result<T, Misread>, reader: impl Fn(&str) -> Result<T, Misread>) {
    let Err(misread) = read else { return };
    let told = misread.to_string();
    assert!(told.contains(&format!(", found {text:?}: ")), "{text:?}: {told}");
    let Some((_, hint)) = told.rsplit_once(": ").filter(|_| told.contains("write \"")) else { return };
    let Some(hint) = hint.rsplit_once("write \"").and_then(|(_, hint)| hint.strip_suffix('"')) else {
        return;
    };
    if let Err(again) = reader(hint) {
        let again = again.to_string();
        let next = ["zero", "the longest is", "more than this machine"];
        assert!(next.iter().any(|fault| again.contains(fault)), "{told}, and then: {again}");
    }
}

/// The same grammar once more: one or more of digits and a unit.
fn sum(text: &str, units: &[(&str, u128)], many: bool) -> Option<u128> {
    let mut rest = text;
    let mut sum = 0_u128;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|letter: char| !letter.is_ascii_digit())?);
        let (unit, after) =
            after.split_at(after.find(|letter: char| letter.is_ascii_digit()).unwrap_or(after.len()));
        // A single one beyond 64 bits is an overflow already.
        let number: u64 = number.parse().ok()?;
        let (_, scale) = units.iter().find(|(known, _)| *known == unit)?;
        sum += u128::from(number) * scale;
        rest = after;
        if !many && !rest.is_empty() {
            return None;
        }
    }
    (!text.is_empty()).then_some(sum)
}
