//! The names of the settings, and setting one from text as the environment gives it.

use super::{EndpointOptions, Transport, WhenEvicted, WhenFull, WhenSlow};
use crate::amount::{self, Misread};

/// The name of one setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::enum_variant_names, reason = "each has the name of its setting")]
pub enum EndpointKey {
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

impl EndpointKey {
    /// Every setting, in the order of the documentation.
    pub const ALL: [EndpointKey; 13] = [
        EndpointKey::Transports,
        EndpointKey::Timeout,
        EndpointKey::MaxIdle,
        EndpointKey::MaxLifetime,
        EndpointKey::Heartbeat,
        EndpointKey::MaxSuspended,
        EndpointKey::MaxPerPeer,
        EndpointKey::MaxPerKey,
        EndpointKey::WhenFull,
        EndpointKey::WhenEvicted,
        EndpointKey::SendBuffer,
        EndpointKey::WhenSlow,
        EndpointKey::MaxMessage,
    ];

    /// The key as it is written in annotations.
    pub const fn as_str(&self) -> &'static str {
        match self {
            EndpointKey::Transports => "transports",
            EndpointKey::Timeout => "timeout",
            EndpointKey::MaxIdle => "max_idle",
            EndpointKey::MaxLifetime => "max_lifetime",
            EndpointKey::Heartbeat => "heartbeat",
            EndpointKey::MaxSuspended => "max_suspended",
            EndpointKey::MaxPerPeer => "max_per_peer",
            EndpointKey::MaxPerKey => "max_per_key",
            EndpointKey::WhenFull => "when_full",
            EndpointKey::WhenEvicted => "when_evicted",
            EndpointKey::SendBuffer => "send_buffer",
            EndpointKey::WhenSlow => "when_slow",
            EndpointKey::MaxMessage => "max_message",
        }
    }

    /// The key of that name.
    pub fn named(name: &str) -> Option<EndpointKey> {
        EndpointKey::ALL.into_iter().find(|key| key.as_str() == name)
    }

    /// What a fault of this setting says was expected.
    pub const fn expected(&self) -> &'static str {
        match self {
            EndpointKey::Transports => "transports such as [websocket, sse]",
            EndpointKey::Timeout
            | EndpointKey::MaxIdle
            | EndpointKey::MaxLifetime
            | EndpointKey::Heartbeat => amount::A_CLOCK,
            EndpointKey::MaxSuspended | EndpointKey::MaxPerPeer | EndpointKey::MaxPerKey => amount::A_COUNT,
            EndpointKey::WhenFull => A_WHEN_FULL,
            EndpointKey::WhenEvicted => A_WHEN_EVICTED,
            EndpointKey::SendBuffer | EndpointKey::MaxMessage => amount::A_SIZE,
            EndpointKey::WhenSlow => A_WHEN_SLOW,
        }
    }
}

impl Transport {
    /// Reads a transport's name.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn read(name: &str) -> Result<Transport, Misread> {
        if let Some(transport) = Transport::ALL.iter().copied().find(|transport| transport.as_str() == name) {
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

impl EndpointOptions {
    /// Sets one setting from text, in the grammar of the annotations; transports are a list with commas.
    ///
    /// A list of transports is leaked, since settings are constants everywhere else: call this at start only.
    ///
    /// # Errors
    /// When the text is not a value of that setting; nothing is changed then.
    pub fn set(&mut self, key: EndpointKey, value: &str) -> Result<(), Misread> {
        match key {
            EndpointKey::Transports => {
                let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
                let transports = names.map(Transport::read).collect::<Result<Vec<_>, _>>()?;
                self.transports = Some(Box::leak(transports.into_boxed_slice()));
            }
            EndpointKey::Timeout => self.timeout = Some(amount::clock(value)?),
            EndpointKey::MaxIdle => self.max_idle = Some(amount::clock(value)?),
            EndpointKey::MaxLifetime => self.max_lifetime = Some(amount::clock(value)?),
            EndpointKey::Heartbeat => self.heartbeat = Some(amount::clock(value)?),
            EndpointKey::MaxSuspended => self.max_suspended = Some(amount::count(value)?),
            EndpointKey::MaxPerPeer => self.max_per_peer = Some(amount::count(value)?),
            EndpointKey::MaxPerKey => self.max_per_key = Some(amount::count(value)?),
            EndpointKey::WhenFull => self.when_full = Some(WhenFull::read(value)?),
            EndpointKey::WhenEvicted => self.when_evicted = Some(WhenEvicted::read(value)?),
            EndpointKey::SendBuffer => self.send_buffer = Some(amount::size(value)?),
            EndpointKey::WhenSlow => self.when_slow = Some(WhenSlow::read(value)?),
            EndpointKey::MaxMessage => self.max_message = Some(amount::size(value)?),
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
        let mut options = EndpointOptions::NONE;
        for key in EndpointKey::ALL {
            assert_eq!(EndpointKey::named(key.as_str()), Some(key));
            let value = match key {
                EndpointKey::Transports => "sse, websocket",
                EndpointKey::Timeout | EndpointKey::MaxLifetime => "1h",
                EndpointKey::MaxIdle => "none",
                EndpointKey::Heartbeat => "20s",
                EndpointKey::MaxSuspended | EndpointKey::MaxPerPeer | EndpointKey::MaxPerKey => "7",
                EndpointKey::WhenFull => "resume_oldest",
                EndpointKey::WhenEvicted => "stay_away",
                EndpointKey::SendBuffer | EndpointKey::MaxMessage => "64KiB",
                EndpointKey::WhenSlow => "drop_newest",
            };
            assert_eq!(options.set(key, value), Ok(()), "{}", key.as_str());
        }
        let hour = Some(Some(Duration::from_secs(3600)));
        let expected = EndpointOptions {
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
        assert_eq!(options, expected);
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
        let mut options = EndpointOptions::NONE;
        for (key, value, hint) in [
            (EndpointKey::Transports, "sse,ws", "write websocket"),
            (EndpointKey::Timeout, "30", "write \"30s\""),
            (EndpointKey::WhenFull, "evict", "\"resume_oldest\""),
            (EndpointKey::WhenEvicted, "stay-away", "\"come_back\" or \"stay_away\""),
            (EndpointKey::WhenSlow, "drop", "\"disconnect\", \"drop_oldest\" or \"drop_newest\""),
            (EndpointKey::WhenSlow, "Drop_Oldest", "\"drop_oldest\""),
            (EndpointKey::MaxPerKey, "0", "refuse everybody"),
        ] {
            let fault = options.set(key, value).unwrap_err().to_string();
            assert!(fault.contains(hint), "{fault}");
        }
        assert_eq!(options, EndpointOptions::NONE);
    }
}
