//! The small grammar of durations (`"1h30m"`) and sizes (`"64KiB"`).
//!
//! The macros crate reads this same file. Our own because humantime reads `"1M"` as a month and others as a minute.

use std::fmt;
use std::time::Duration;

/// Why a written value was not understood: what was expected, what was found, and a right form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misread {
    expected: &'static str,
    found: String,
    why: String,
}

/// The longest duration that can be written; longer ones are slips of the pen.
pub const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What a fault of a duration says was expected.
pub const A_DURATION: &str = "a duration such as \"30s\" or \"1h30m\"";
/// What a fault of a clock says was expected.
pub const A_CLOCK: &str = "a duration such as \"30s\" or \"1h30m\", or \"none\"";
/// What a fault of a size says was expected.
pub const A_SIZE: &str = "a size such as \"64KiB\" or \"1MiB\"";
/// What a fault of a count says was expected.
pub const A_COUNT: &str = "a count such as 1000";

const DURATION_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const SIZE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Units of other grammars, as written with small letters, and ours.
const OTHER_DURATION_UNITS: [(&str, &[&str]); 5] = [
    ("ms", &["msec", "msecs", "milli", "millis", "millisecond", "milliseconds"]),
    ("s", &["sec", "secs", "second", "seconds"]),
    ("m", &["min", "mins", "minute", "minutes"]),
    ("h", &["hr", "hrs", "hour", "hours"]),
    ("d", &["day", "days"]),
];
const OTHER_SIZE_UNITS: [(&str, &[&str]); 4] = [
    ("B", &["b", "byte", "bytes"]),
    ("KiB", &["k", "kb", "kib", "ki"]),
    ("MiB", &["m", "mb", "mib", "mi"]),
    ("GiB", &["g", "gb", "gib", "gi"]),
];

/// Reads a duration: one or more of an integer and `ms`, `s`, `m`, `h` or `d`, without spaces.
///
/// # Errors
/// Anything else; zero; more than [`LONGEST`].
pub fn duration(text: &str) -> Result<Duration, Misread> {
    let misread = |why: String| Misread::new(A_DURATION, quoted(text), why);
    let millis = total(text, &DURATION_UNITS, true).map_err(|slip| {
        misread(slip.tell(&DURATION_UNITS, &OTHER_DURATION_UNITS, "s").unwrap_or_else(too_long))
    })?;
    match Duration::from_millis(millis) {
        Duration::ZERO => Err(misread(String::from(NO_TIME))),
        long if long > LONGEST => Err(misread(too_long())),
        duration => Ok(duration),
    }
}

/// Reads a duration or the word `none`.
///
/// # Errors
/// As [`duration`].
pub fn clock(text: &str) -> Result<Option<Duration>, Misread> {
    match text {
        "none" => Ok(None),
        _ if text.eq_ignore_ascii_case("none") || text.eq_ignore_ascii_case("never") || text == "off" => {
            Err(Misread::new(A_CLOCK, quoted(text), "for no limit write \"none\""))
        }
        _ => duration(text).map(Some).map_err(|misread| Misread { expected: A_CLOCK, ..misread }),
    }
}

/// Reads a size in bytes: an integer and `B`, `KiB`, `MiB` or `GiB`, without spaces.
///
/// # Errors
/// Anything else; zero; more than this machine can address.
pub fn size(text: &str) -> Result<usize, Misread> {
    let misread = |why: String| Misread::new(A_SIZE, quoted(text), why);
    let too_large = || String::from("more than this machine can address");
    let bytes = total(text, &SIZE_UNITS, false).map_err(|slip| {
        misread(slip.tell(&SIZE_UNITS, &OTHER_SIZE_UNITS, "KiB").unwrap_or_else(too_large))
    })?;
    match usize::try_from(bytes) {
        Ok(0) => Err(misread(String::from(NOTHING))),
        Ok(bytes) => Ok(bytes),
        Err(_) => Err(misread(too_large())),
    }
}

/// What a size of zero is told.
const NOTHING: &str = "zero bytes hold nothing";

/// Why a count of zero is refused.
pub(crate) const REFUSES_ALL: &str = "zero would refuse everybody";

/// Why a duration of zero is refused.
pub(crate) const NO_TIME: &str = "zero is no time at all";

/// Reads a count: an integer of at least one.
///
/// # Errors
/// Anything else.
pub fn count(text: &str) -> Result<usize, Misread> {
    let misread = |why: &str| Misread::new(A_COUNT, quoted(text), why);
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(misread("write digits only"));
    }
    match text.parse() {
        Ok(0) => Err(misread(REFUSES_ALL)),
        Ok(count) => Ok(count),
        Err(_) => Err(misread("more than this machine can count")),
    }
}

/// The duration as one would write it: `1h30m`.
pub fn spell_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match (millis, duration.is_zero()) {
        (0, true) => String::from("0s"),
        // Only code can say that, and would not know it again as zero.
        (0, false) => format!("{duration:?}"),
        _ => spell(millis),
    }
}

/// The duration as one would write it, or `none`.
pub fn spell_clock(clock: Option<Duration>) -> String {
    clock.map_or_else(|| String::from("none"), spell_duration)
}

/// The size as one would write it where it is whole (`64KiB`), else in bytes (`1000B`).
pub fn spell_size(bytes: usize) -> String {
    spell_bytes(bytes as u64)
}

fn spell_bytes(bytes: u64) -> String {
    let (unit, scale) = SIZE_UNITS
        .into_iter()
        .find(|(_, scale)| bytes > 0 && bytes.is_multiple_of(*scale))
        .unwrap_or(("B", 1));
    format!("{}{unit}", bytes / scale)
}

impl Misread {
    pub fn new(expected: &'static str, found: impl Into<String>, why: impl Into<String>) -> Self {
        Misread { expected, found: found.into(), why: why.into() }
    }

    /// Quotes what was found as it was written, where that is not the text that was read.
    pub fn found(self, found: impl Into<String>) -> Self {
        Misread { found: found.into(), ..self }
    }
}

impl fmt::Display for Misread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Misread { expected, found, why } = self;
        write!(f, "expected {expected}, found {found}")?;
        if why.is_empty() { Ok(()) } else { write!(f, ": {why}") }
    }
}

impl std::error::Error for Misread {}

/// Where reading stopped.
enum Slip {
    Empty,
    NoNumber,
    Fraction,
    NoUnit(u64),
    Unit { before: String, number: u64, unit: String },
    More,
    Overflow,
}

impl Slip {
    /// The slip as a hint with a right form; `None` for an overflow, of which only the caller knows what it means.
    fn tell(self, units: &[(&str, u64)], others: &[(&str, &[&str])], usual: &str) -> Option<String> {
        let known = || units.iter().rev().map(|(unit, _)| *unit).collect::<Vec<_>>().join(", ");
        Some(match self {
            // A bare number of bytes is bytes; of a duration, most others read seconds.
            Slip::NoUnit(0) if units == SIZE_UNITS => String::from(NOTHING),
            Slip::NoUnit(number) if units == SIZE_UNITS => {
                format!("the unit is missing: write {:?}", spell_bytes(number))
            }
            Slip::Overflow => return None,
            Slip::Empty => String::from("it is empty"),
            Slip::NoNumber => format!("write integers, each with its unit ({}), without spaces", known()),
            Slip::Fraction => {
                String::from("fractions are not read: write the smaller unit, as in \"1500ms\" or \"512KiB\"")
            }
            Slip::NoUnit(number) => format!("the unit is missing: write \"{number}{usual}\""),
            Slip::More => String::from("write one number and one unit"),
            Slip::Unit { unit, .. } if unit == "M" && usual == "s" => {
                String::from("months are not read, and minutes are \"m\"")
            }
            Slip::Unit { before, number, unit } => {
                let small = unit.to_ascii_lowercase();
                let ours = others
                    .iter()
                    .find(|(ours, others)| others.contains(&&*small) || ours.eq_ignore_ascii_case(&unit));
                match ours {
                    Some((ours, _)) => {
                        format!("the unit \"{unit}\" is not read: write \"{before}{number}{ours}\"")
                    }
                    None => format!("the unit \"{unit}\" is not one of {}", known()),
                }
            }
        })
    }
}

fn total(text: &str, units: &[(&str, u64)], many: bool) -> Result<u64, Slip> {
    let mut rest = text;
    let mut total = 0_u64;
    if rest.is_empty() {
        return Err(Slip::Empty);
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Err(Slip::NoNumber);
        }
        if !many && rest.len() < text.len() {
            return Err(Slip::More);
        }
        let before = &text[..text.len() - rest.len()];
        let number: u64 = rest[..digits].parse().map_err(|_| Slip::Overflow)?;
        let after = &rest[digits..];
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        if unit.starts_with(['.', ',']) && !next.is_empty() {
            return Err(Slip::Fraction);
        }
        if unit.trim().is_empty() {
            return Err(Slip::NoUnit(number));
        }
        let Some((_, scale)) = units.iter().find(|(known, _)| *known == unit) else {
            return Err(Slip::Unit { before: before.to_owned(), number, unit: unit.trim().to_owned() });
        };
        total = number.checked_mul(*scale).and_then(|part| total.checked_add(part)).ok_or(Slip::Overflow)?;
        rest = next;
    }
    Ok(total)
}

/// Why a duration is refused that is longer than [`LONGEST`].
pub(crate) fn too_long() -> String {
    String::from("the longest is \"365d\"")
}

fn spell(mut millis: u64) -> String {
    let mut text = String::new();
    for (unit, scale) in DURATION_UNITS {
        if millis >= scale {
            text.push_str(&format!("{}{unit}", millis / scale));
            millis %= scale;
        }
    }
    text
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        duration(text).unwrap_err().to_string()
    }

    #[test]
    fn durations_are_sums_of_integers_with_units() {
        for (text, millis) in
            [("1ms", 1), ("30s", 30_000), ("5m", 300_000), ("1h30m", 5_400_000), ("1d1s1ms", 86_401_001)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(spell_duration(Duration::from_millis(millis)), text);
        }
        assert_eq!(duration("365d"), Ok(LONGEST));
        assert_eq!(clock("none"), Ok(None));
        assert_eq!(clock("2h"), Ok(Some(Duration::from_secs(7200))));
    }

    #[test]
    fn a_wrong_duration_is_quoted_and_put_right() {
        for (text, hint) in [
            ("30", "write \"30s\""),
            ("5 mins", "write \"5m\""),
            ("1h30mins", "write \"1h30m\""),
            ("5M", "minutes are \"m\""),
            ("5S", "write \"5s\""),
            ("1.5h", "fractions"),
            ("1 h", "write \"1h\""),
            ("-1s", "integers"),
            ("2 months", "not one of ms, s, m, h, d"),
            ("", "empty"),
            ("s", "integers"),
            (" 5s", "integers"),
            ("0s", "zero"),
            ("0h0m", "zero"),
            ("366d", "\"365d\""),
            ("99999999999999999999s", "\"365d\""),
            ("18446744073709551615d", "\"365d\""),
            ("5µs", "not one of"),
            ("1h30", "write \"30s\""),
        ] {
            let fault = why(text);
            assert!(fault.starts_with("expected a duration such as \"30s\""), "{fault}");
            assert!(fault.contains(&format!("found {text:?}")), "{fault}");
            assert!(fault.contains(hint), "{text}: {fault}");
        }
        assert!(clock("Never").unwrap_err().to_string().contains("write \"none\""));
        assert!(clock("5").unwrap_err().to_string().contains("or \"none\", found"));
    }

    #[test]
    fn sizes_are_one_integer_with_a_binary_unit() {
        for (text, bytes) in [("1B", 1), ("32KiB", 32 << 10), ("1MiB", 1 << 20), ("2GiB", 2 << 30)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
            assert_eq!(spell_size(bytes), text);
        }
        assert_eq!(spell_size(1000), "1000B");
        assert_eq!(spell_size(0), "0B");
    }

    #[test]
    fn a_wrong_size_is_quoted_and_put_right() {
        for (text, hint) in [
            ("64", "write \"64B\""),
            ("65536", "write \"64KiB\""),
            ("1000000", "write \"1000000B\""),
            ("64kb", "write \"64KiB\""),
            ("1 MB", "write \"1MiB\""),
            ("1gib", "write \"1GiB\""),
            ("1MiB512KiB", "one number and one unit"),
            ("0KiB", "zero"),
            ("0", "zero"),
            ("1.5MiB", "fractions"),
            ("99999999999GiB", "address"),
            ("3 apples", "not one of B, KiB, MiB, GiB"),
        ] {
            let fault = size(text).unwrap_err().to_string();
            assert!(fault.contains(&format!("found {text:?}")), "{fault}");
            assert!(fault.contains(hint), "{text}: {fault}");
        }
    }

    #[test]
    fn counts_are_digits_and_at_least_one() {
        assert_eq!(count("1000"), Ok(1000));
        for text in ["0", "", "-1", "+1", "1e3", "99999999999999999999999"] {
            assert!(
                count(text).unwrap_err().to_string().starts_with("expected a count such as 1000"),
                "{text}"
            );
        }
    }
}
