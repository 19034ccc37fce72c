//! What a topic keeps of its past: for clients that come back, and for newcomers.

use std::fmt;
use std::time::Duration;

use abeyance_settings::amount::{LONGEST, Misread};

/// How much of its past a topic keeps (`Server::topic`). The bound that is reached first counts: the
/// oldest messages go. A client that comes back and has missed one of those is told so.
///
/// Each topic has these bounds for itself. All topics together have `Server::max_retained`, where
/// the oldest message of all goes first: a busy topic with a large `bytes` can push out what quiet ones keep. What is
/// kept is in memory, and ends with the process.
///
/// ```
/// use abeyance::{Retention, Server};
///
/// let server = Server::new()
///     .topic("news", Retention::default())
///     .topic("rooms/*", Retention::new().count(20));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// How many messages.
    pub count: usize,
    /// How many bytes, 1 KiB at least, with what keeping a message costs beside its own (128 bytes each). A message that is larger goes to
    /// those who are there; neither it nor what came before is kept.
    pub bytes: usize,
    /// How long, in time that the server served: while it was stalled, nothing ages.
    pub age: Duration,
}

impl Default for Retention {
    /// As [`Retention::new`].
    fn default() -> Self {
        Retention::new()
    }
}

impl Retention {
    /// 1,000 messages, 1 MiB, 10 minutes.
    pub const fn new() -> Self {
        Retention { count: 1_000, bytes: 1 << 20, age: Duration::from_secs(600) }
    }

    /// At most so many messages. Zero is refused when the server starts.
    #[must_use]
    pub const fn count(mut self, count: usize) -> Self {
        self.count = count;
        self
    }

    /// At most so many bytes, 1 KiB at least; less is refused when the server starts.
    #[must_use]
    pub const fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// No message older than this. Zero is refused when the server starts.
    #[must_use]
    pub const fn age(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }
}

/// The least that can be kept, in bytes: one short message with what keeping it costs.
pub const LEAST_HISTORY: usize = 1 << 10;

/// Which topics keep something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// The topic of this name.
    Name(Box<str>),
    /// Every topic whose name begins so.
    Prefix(Box<str>),
}

/// Which topics keep how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub pattern: Pattern,
    pub keep: Retention,
}

impl Pattern {
    /// Reads a name, or a prefix that ends in `*`.
    ///
    /// # Errors
    /// When a `*` stands elsewhere, or there is nothing.
    pub fn read(text: &str) -> Result<Pattern, Misread> {
        let misread = |why| {
            Err(Misread::new(
                "the name of a topic, or a prefix such as \"rooms/*\"",
                format!("{text:?}"),
                why,
            ))
        };
        let (name, is_prefix) = match text.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (text, false),
        };
        if name.contains('*') {
            return misread("a `*` stands at the end only");
        }
        match is_prefix {
            true => Ok(Pattern::Prefix(name.into())),
            false if name.is_empty() => misread(""),
            false => Ok(Pattern::Name(name.into())),
        }
    }
}

/// As it was written.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Name(name) => f.write_str(name),
            Pattern::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

impl Retention {
    /// What cannot be meant: nothing that keeps nothing, and no age that never comes.
    pub fn fault(&self) -> Option<&'static str> {
        match self {
            Retention { count: 0, .. } => Some("`count` 0 keeps nothing"),
            Retention { bytes: ..LEAST_HISTORY, .. } => {
                Some("`bytes` must be at least 1KiB, or no message fits")
            }
            Retention { age, .. } if age.is_zero() => Some("`age` 0 keeps nothing"),
            Retention { age, .. } if *age > LONGEST => Some("`age` may be a year at most"),
            Retention { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_name_or_a_prefix() {
        assert_eq!(Pattern::read("news"), Ok(Pattern::Name("news".into())));
        assert_eq!(Pattern::read("rooms/*"), Ok(Pattern::Prefix("rooms/".into())));
        assert_eq!(Pattern::read("*"), Ok(Pattern::Prefix("".into())));
        for right in ["news", "rooms/*", "*"] {
            assert_eq!(Pattern::read(right).expect("a pattern").to_string(), right);
        }
        for wrong in ["", "a*b", "a**", "*a"] {
            assert!(Pattern::read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_keeps_nothing_is_a_fault() {
        let none = Duration::ZERO;
        assert!(Retention { count: 0, ..Retention::default() }.fault().is_some());
        assert!(Retention { bytes: LEAST_HISTORY - 1, ..Retention::default() }.fault().is_some());
        assert_eq!(Retention { bytes: LEAST_HISTORY, ..Retention::default() }.fault(), None);
        assert!(Retention { age: none, ..Retention::default() }.fault().is_some());
        assert!(Retention { age: LONGEST * 2, ..Retention::default() }.fault().is_some());
        assert_eq!(Retention::default().fault(), None);
    }
}
