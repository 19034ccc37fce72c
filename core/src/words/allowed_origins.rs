//! Which pages of other sites may connect, as it was set up.

use std::fmt;
use std::sync::Arc;

use crate::sync::foreign::Foreign;

/// The pages of other sites that may connect.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowedOrigins<'a> {
    /// In lower case. [`ANY`] stands for all of them, without cookies.
    pub named: &'a [String],
    /// The application's own judgement.
    pub judge: Option<&'a OriginCheck>,
}

/// Says whether an origin may connect.
#[derive(Clone)]
pub struct OriginCheck(Foreign<Arc<Judging>>);

type Judging = dyn Fn(&str) -> bool + Send + Sync;

impl OriginCheck {
    pub fn new(judging: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        let judging: Arc<Judging> = Arc::new(judging);
        OriginCheck(Foreign::new(judging))
    }
}

/// How an origin is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// By its name, or by the application's judgement: it may send cookies.
    Named,
    /// As any other: what its browser adds of its own accord does not count.
    Any,
}

/// Every origin.
pub const ANY: &str = "*";

impl AllowedOrigins<'_> {
    /// How this origin is let in; `None` if it is not. May run code of the application's.
    pub fn leave(&self, origin: &str) -> Option<Leave> {
        let is_named = || self.named.iter().any(|named| named != ANY && named.eq_ignore_ascii_case(origin));
        if is_named() || self.judge.as_ref().is_some_and(|judge| (judge.0)(origin)) {
            return Some(Leave::Named);
        }
        self.named.iter().any(|named| named == ANY).then_some(Leave::Any)
    }
}

/// Reads an origin, and gives it in lower case; the error is why it is none.
pub fn read(text: &str) -> Result<String, &'static str> {
    let lower = text.to_ascii_lowercase();
    if lower == ANY || lower == "null" {
        return Ok(lower);
    }
    let (scheme, host) = lower.split_once("://").ok_or("")?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    match host {
        _ if !is_scheme || !host.bytes().all(|byte| byte.is_ascii_graphic()) => Err(""),
        _ if host.contains(['/', '?', '#', '@']) => Err("an origin has no path"),
        _ if host.contains('*') => Err("patterns are not supported; see `Server::allow_origins_if`"),
        // Of other schemes not each has hosts.
        "" if matches!(scheme, "http" | "https") => Err(""),
        _ => Ok(lower),
    }
}

impl fmt::Debug for OriginCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a function")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_of_every_scheme_can_be_written() {
        for (text, read_as) in [
            ("https://Example.com:8443", Some("https://example.com:8443")),
            ("capacitor://localhost", Some("capacitor://localhost")),
            ("chrome-extension://abcdefgh", Some("chrome-extension://abcdefgh")),
            ("file://", Some("file://")),
            ("null", Some("null")),
            ("*", Some("*")),
            ("https://", None),
            ("https://a.example/", None),
            ("https://*.example", None),
            ("a.example", None),
            ("1a://b", None),
            ("https://a b", None),
            ("", None),
        ] {
            assert_eq!(read(text).ok().as_deref(), read_as, "{text:?}");
        }
    }

    #[test]
    fn a_name_and_a_judgement_count_more_than_any() {
        let named = vec![String::from("null"), String::from(ANY)];
        let judge = OriginCheck::new(|origin| origin.ends_with(".friend.example"));
        let origins = AllowedOrigins { named: &named, judge: Some(&judge) };
        assert_eq!(origins.leave("NULL"), Some(Leave::Named));
        assert_eq!(origins.leave("https://a.friend.example"), Some(Leave::Named));
        assert_eq!(origins.leave("https://b.example"), Some(Leave::Any));
        assert_eq!(origins.leave("*"), Some(Leave::Any));
        assert_eq!(AllowedOrigins::default().leave("null"), None);
    }
}
