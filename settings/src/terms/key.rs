//! The names of the settings, and setting one from text as the environment gives it.

use super::{Settings, Transport, WhenEvicted, WhenFull, WhenSlow};
use crate::amount::{self, Misread};

/// The name of one setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::enum_variant_names, reason = "each has the name of its setting")]
pub enum Key {
    Transports,
    Timeout,
    MaxIdle,
    MaxLifetime,
    Heartbeat,
    MaxSuspended,
    MaxPerPeer,
    MaxPerKey,
    WhenFull,
    WhenEvicted,
    SendBuffer,
    WhenSlow,
    MaxMessage,
}

/// What a fault of `when_full` says was expected.
const A_WHEN_FULL: &str = "\"reject\" or \"resume_oldest\"";
/// What a fault of `when_evicted` says was expected.
const A_WHEN_EVICTED: &str = "\"come_back\" or \"stay_away\"";
/// What a fault of `when_slow` says was expected.
const A_WHEN_SLOW: &str = "\"disconnect\", \"drop_oldest\" or \"drop_newest\"";
/// What a fault in a list of transports says was expected.
pub(crate) const A_TRANSPORT: &str = "one of websocket, sse, stream, long_poll";

impl Key {
    /// Every setting, in the order of the documentation.
    pub const ALL: [Key; 13] = [
        Key::Transports,
        Key::Timeout,
        Key::MaxIdle,
        Key::MaxLifetime,
        Key::Heartbeat,
        Key::MaxSuspended,
        Key::MaxPerPeer,
        Key::MaxPerKey,
        Key::WhenFull,
        Key::WhenEvicted,
        Key::SendBuffer,
        Key::WhenSlow,
        Key::MaxMessage,
    ];

    /// The key as it is written in annotations.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Key::Transports => "transports",
            Key::Timeout => "timeout",
            Key::MaxIdle => "max_idle",
            Key::MaxLifetime => "max_lifetime",
            Key::Heartbeat => "heartbeat",
            Key::MaxSuspended => "max_suspended",
            Key::MaxPerPeer => "max_per_peer",
            Key::MaxPerKey => "max_per_key",
            Key::WhenFull => "when_full",
            Key::WhenEvicted => "when_evicted",
            Key::SendBuffer => "send_buffer",
            Key::WhenSlow => "when_slow",
            Key::MaxMessage => "max_message",
        }
    }

    /// The key of that name.
    pub fn named(name: &str) -> Option<Key> {
        Key::ALL.into_iter().find(|key| key.as_str() == name)
    }

    /// What a fault of this setting says was expected.
    pub const fn expected(&self) -> &'static str {
        match self {
            Key::Transports => "transports such as [websocket, sse]",
            Key::Timeout | Key::MaxIdle | Key::MaxLifetime | Key::Heartbeat => amount::A_CLOCK,
            Key::MaxSuspended | Key::MaxPerPeer | Key::MaxPerKey => amount::A_COUNT,
            Key::WhenFull => A_WHEN_FULL,
            Key::WhenEvicted => A_WHEN_EVICTED,
            Key::SendBuffer | Key::MaxMessage => amount::A_SIZE,
            Key::WhenSlow => A_WHEN_SLOW,
        }
    }
}

impl Transport {
    /// Reads a transport's name.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn read(name: &str) -> Result<Transport, Misread> {
        if let Some(transport) = Transport::ALL.into_iter().find(|transport| transport.as_str() == name) {
            return Ok(transport);
        }
        let why = match &*name.to_ascii_lowercase().replace(['-', '_', ' '], "") {
            "websocket" | "websockets" | "ws" | "wss" => "write websocket",
            "sse" | "eventsource" | "serversentevents" => "write sse",
            "stream" | "streaming" | "ndjson" | "chunked" => "write stream",
            "longpoll" | "longpolling" | "poll" | "polling" => "write long_poll",
            _ => "",
        };
        Err(Misread::new(A_TRANSPORT, format!("`{name}`"), why))
    }
}

impl WhenFull {
    /// Reads a rule's name.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn read(name: &str) -> Result<WhenFull, Misread> {
        match name {
            "reject" => Ok(WhenFull::Reject),
            "resume_oldest" => Ok(WhenFull::ResumeOldest),
            _ => Err(Misread::new(A_WHEN_FULL, format!("{name:?}"), "")),
        }
    }
}

impl WhenEvicted {
    /// Reads a rule's name.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn read(name: &str) -> Result<WhenEvicted, Misread> {
        match name {
            "come_back" => Ok(WhenEvicted::ComeBack),
            "stay_away" => Ok(WhenEvicted::StayAway),
            _ => Err(Misread::new(A_WHEN_EVICTED, format!("{name:?}"), "")),
        }
    }
}

impl WhenSlow {
    /// Reads a rule's name.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn read(name: &str) -> Result<WhenSlow, Misread> {
        match name {
            "disconnect" => Ok(WhenSlow::Disconnect),
            "drop_oldest" => Ok(WhenSlow::DropOldest),
            "drop_newest" => Ok(WhenSlow::DropNewest),
            _ => Err(Misread::new(A_WHEN_SLOW, format!("{name:?}"), "")),
        }
    }
}

impl Settings {
    /// Sets one setting from text, in the grammar of the annotations; transports are a list with commas.
    ///
    /// A list of transports is leaked, since settings are constants everywhere else: call this at start only.
    ///
    /// # Errors
    /// When the text is not a value of that setting; nothing is changed then.
    pub fn set(&mut self, key: Key, value: &str) -> Result<(), Misread> {
        match key {
            Key::Transports => {
                let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
                let transports = names.map(Transport::read).collect::<Result<Vec<_>, _>>()?;
                self.transports = Some(Box::leak(transports.into_boxed_slice()));
            }
            Key::Timeout => self.timeout = Some(amount::clock(value)?),
            Key::MaxIdle => self.max_idle = Some(amount::clock(value)?),
            Key::MaxLifetime => self.max_lifetime = Some(amount::clock(value)?),
            Key::Heartbeat => self.heartbeat = Some(amount::clock(value)?),
            Key::MaxSuspended => self.max_suspended = Some(amount::count(value)?),
            Key::MaxPerPeer => self.max_per_peer = Some(amount::count(value)?),
            Key::MaxPerKey => self.max_per_key = Some(amount::count(value)?),
            Key::WhenFull => self.when_full = Some(WhenFull::read(value)?),
            Key::WhenEvicted => self.when_evicted = Some(WhenEvicted::read(value)?),
            Key::SendBuffer => self.send_buffer = Some(amount::size(value)?),
            Key::WhenSlow => self.when_slow = Some(WhenSlow::read(value)?),
            Key::MaxMessage => self.max_message = Some(amount::size(value)?),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_key_can_be_set_from_text() {
        let mut settings = Settings::NONE;
        for key in Key::ALL {
            assert_eq!(Key::named(key.as_str()), Some(key));
            let value = match key {
                Key::Transports => "sse, websocket",
                Key::Timeout | Key::MaxLifetime => "1h",
                Key::MaxIdle => "none",
                Key::Heartbeat => "20s",
                Key::MaxSuspended | Key::MaxPerPeer | Key::MaxPerKey => "7",
                Key::WhenFull => "resume_oldest",
                Key::WhenEvicted => "stay_away",
                Key::SendBuffer | Key::MaxMessage => "64KiB",
                Key::WhenSlow => "drop_newest",
            };
            assert_eq!(settings.set(key, value), Ok(()), "{}", key.as_str());
        }
        let hour = Some(Some(Duration::from_secs(3600)));
        let expected = Settings {
            transports: Some(&[Transport::Sse, Transport::WebSocket]),
            timeout: hour,
            max_idle: Some(None),
            max_lifetime: hour,
            heartbeat: Some(Some(Duration::from_secs(20))),
            max_suspended: Some(7),
            max_per_peer: Some(7),
            max_per_key: Some(7),
            when_full: Some(WhenFull::ResumeOldest),
            when_evicted: Some(WhenEvicted::StayAway),
            send_buffer: Some(65_536),
            when_slow: Some(WhenSlow::DropNewest),
            max_message: Some(65_536),
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn every_rule_is_read_as_it_is_written() {
        for rule in [WhenSlow::Disconnect, WhenSlow::DropOldest, WhenSlow::DropNewest] {
            assert_eq!(WhenSlow::read(rule.as_str()), Ok(rule));
        }
        for rule in [WhenFull::Reject, WhenFull::ResumeOldest] {
            assert_eq!(WhenFull::read(rule.as_str()), Ok(rule));
        }
        for rule in [WhenEvicted::ComeBack, WhenEvicted::StayAway] {
            assert_eq!(WhenEvicted::read(rule.as_str()), Ok(rule));
        }
    }

    #[test]
    fn a_wrong_text_changes_nothing_and_says_what_is_right() {
        let mut settings = Settings::NONE;
        for (key, value, hint) in [
            (Key::Transports, "sse,ws", "write websocket"),
            (Key::Timeout, "30", "write \"30s\""),
            (Key::WhenFull, "evict", "\"resume_oldest\""),
            (Key::WhenEvicted, "stay-away", "\"come_back\" or \"stay_away\""),
            (Key::WhenSlow, "drop", "\"disconnect\", \"drop_oldest\" or \"drop_newest\""),
            (Key::WhenSlow, "Drop_Oldest", "\"drop_oldest\""),
            (Key::MaxPerKey, "0", "refuse everybody"),
        ] {
            let fault = settings.set(key, value).unwrap_err().to_string();
            assert!(fault.contains(hint), "{fault}");
        }
        assert_eq!(settings, Settings::NONE);
    }
}
