//! What the server says of itself at start: one line a handler, with the settings as they are in effect.

use crate::endpoint::record::Endpoint;
use crate::words::amount::{spell_clock, spell_size};
use crate::words::policy::Policy;
use crate::words::terms::{Terms, Transport};

pub(super) fn line(endpoint: &Endpoint, terms: &Terms, policy: &Policy) -> String {
    let transports: Vec<_> = terms.transports.iter().map(Transport::as_str).collect();
    let mut line = format!("{} [{}]", endpoint.path, transports.join(", "));
    let mut say = |name: &str, value: String| {
        line.push_str(&format!(" {name}={value}"));
    };
    for transport in terms.transports {
        // The same for all but long polls, which have a timeout by default.
        let is_told = *transport == Transport::LongPoll
            || terms.transports.iter().find(|other| **other != Transport::LongPoll) == Some(transport);
        if is_told {
            let of = if *transport == Transport::LongPoll && terms.transports.len() > 1 {
                "(long_poll)"
            } else {
                ""
            };
            say(&format!("timeout{of}"), spell_clock(terms.timeout(*transport)));
            say(&format!("heartbeat{of}"), spell_clock(terms.heartbeat(*transport)));
        }
    }
    say("max_idle", spell_clock(terms.max_idle));
    if terms.max_lifetime.is_some() {
        say("max_lifetime", spell_clock(terms.max_lifetime));
    }
    let max_suspended = terms.max_suspended.map_or(policy.max_suspended, |own| own.min(policy.max_suspended));
    say("max_suspended", max_suspended.to_string());
    for (name, limit) in [
        ("max_per_peer", terms.max_per_peer.into_iter().chain(policy.max_per_peer).min()),
        ("max_per_key", terms.max_per_key),
    ] {
        if let Some(limit) = limit {
            say(name, limit.to_string());
        }
    }
    say("when_full", terms.when_full.unwrap_or(policy.when_full).as_str().to_owned());
    say("backlog", spell_size(terms.backlog));
    say("max_message", spell_size(terms.max_message));
    format!("{line} ({} at {}:{})", endpoint.name, endpoint.file, endpoint.line)
}
