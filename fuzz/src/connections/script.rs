//! How a peer behaves, in words: those it does not know are passed over.

use std::time::Duration;

use abeyance::Transport;

/// How a peer behaves.
pub(super) struct Script {
    /// What it asked for first, if it is to be held.
    pub(super) held: Option<Transport>,
    /// The request for that; the bytes come behind it.
    pub(super) request: String,
    /// The bytes do not come with the request, but when it is answered.
    pub(super) is_later: bool,
    /// The lengths of the pieces in which it sends.
    pub(super) lengths: Vec<u8>,
    /// How long it waits between two.
    pub(super) pause: Duration,
    /// It reads nothing.
    pub(super) is_deaf: bool,
    pub(super) close: Close,
    /// How another client is held beside it, for which it may speak.
    pub(super) beside: Option<Transport>,
    /// That one leaves soon.
    pub(super) is_brief: bool,
}

/// What it does when it has sent all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Close {
    /// It stays, and reads on.
    Not,
    /// It says that it sends no more, and reads on.
    Half,
    Reset,
    Vanish,
}

impl Script {
    pub(super) fn read(words: &str) -> Script {
        let mut script = Script {
            held: None,
            request: String::new(),
            is_later: false,
            lengths: Vec::new(),
            pause: Duration::ZERO,
            is_deaf: false,
            close: Close::Not,
            beside: None,
            is_brief: false,
        };
        for word in words.split_ascii_whitespace() {
            match word {
                "later" => script.is_later = true,
                "slow" => script.pause = Duration::from_millis(50),
                "deaf" => script.is_deaf = true,
                "close" => script.close = Close::Half,
                "reset" => script.close = Close::Reset,
                "vanish" => script.close = Close::Vanish,
                "brief" => script.is_brief = true,
                word => match (transport(word), word.strip_prefix("beside_").and_then(transport)) {
                    (Some(transport), _) => script.held = Some(transport),
                    (None, Some(transport)) => script.beside = Some(transport),
                    (None, None) => script.lengths.extend(word.parse::<u8>()),
                },
            }
        }
        if script.lengths.is_empty() {
            script.lengths.push(0);
        }
        script.request = script.held.map(|transport| request(transport, "here")).unwrap_or_default();
        script
    }
}

fn transport(word: &str) -> Option<Transport> {
    Transport::ALL.iter().copied().find(|transport| transport.as_str() == word)
}

/// A good request to be held.
pub(super) fn request(transport: Transport, how: &str) -> String {
    let handshake = match transport {
        Transport::WebSocket => {
            "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        }
        _ => "",
    };
    format!("GET /hold/{how}?transport={} HTTP/1.1\r\nhost: a\r\n{handshake}\r\n", transport.as_str())
}
