//! What the server says of itself at start, with the settings as they are in effect: one line a handler, one of bounds
//! over all of them, and one of the topics that keep something.

use crate::endpoint::record::Endpoint;
use abeyance_core::words::retention::{Retention, Rule};
use abeyance_core::words::server_config::ServerConfig;
use abeyance_settings::amount::{spell_clock, spell_duration, spell_size};
use abeyance_settings::endpoint::{EndpointConfig, Transport, WhenFull};

/// The line of one handler.
pub(super) fn handler(
    endpoint: &Endpoint,
    endpoint_config: &EndpointConfig,
    server_config: &ServerConfig,
) -> String {
    let transports: Vec<_> = endpoint_config.transports.iter().map(Transport::as_str).collect();
    let mut line = format!("{} [{}]", endpoint.path, transports.join(", "));
    let mut say = |name: &str, value: String| {
        line.push_str(&format!(" {name}={value}"));
    };
    for transport in endpoint_config.transports {
        // The same for all but long polls, which have a timeout by default.
        let is_told = *transport == Transport::LongPoll
            || endpoint_config.transports.iter().find(|other| **other != Transport::LongPoll)
                == Some(transport);
        if is_told {
            let of = if *transport == Transport::LongPoll && endpoint_config.transports.len() > 1 {
                "(long_poll)"
            } else {
                ""
            };
            say(&format!("timeout{of}"), spell_clock(endpoint_config.timeout(*transport)));
            say(&format!("heartbeat{of}"), spell_clock(endpoint_config.heartbeat(*transport)));
        }
    }
    say("max_idle", spell_clock(endpoint_config.max_idle));
    if endpoint_config.max_lifetime.is_some() {
        say("max_lifetime", spell_clock(endpoint_config.max_lifetime));
    }
    let max_suspended = endpoint_config
        .max_suspended
        .map_or(server_config.max_suspended, |own| own.min(server_config.max_suspended));
    say("max_suspended", max_suspended.to_string());
    for (name, limit) in [
        ("max_per_peer", endpoint_config.max_per_peer.into_iter().chain(server_config.max_per_peer).min()),
        ("max_per_key", endpoint_config.max_per_key.into_iter().chain(server_config.max_per_key).min()),
    ] {
        if let Some(limit) = limit {
            say(name, limit.to_string());
        }
    }
    let when_full = endpoint_config.when_full.unwrap_or(server_config.when_full);
    say("when_full", when_full.as_str().to_owned());
    if when_full == WhenFull::ResumeOldest {
        say("when_evicted", endpoint_config.when_evicted.as_str().to_owned());
    }
    say("send_buffer", spell_size(endpoint_config.send_buffer));
    say("when_slow", endpoint_config.when_slow.as_str().to_owned());
    say("max_message", spell_size(endpoint_config.max_message));
    format!("{line} ({} at {}:{})", endpoint.name, endpoint.file, endpoint.line)
}

/// What bounds all handlers together, and which topics keep something.
pub(super) fn server(server_config: &ServerConfig) -> Vec<String> {
    let (memory, head) = (spell_size(server_config.max_buffered), spell_size(server_config.max_head));
    let ServerConfig { max_topics, max_admitting, max_scheduled, last_ends, .. } = server_config;
    let bounds = format!(
        "server: memory={memory} max_topics={max_topics} max_head={head} max_admitting={max_admitting} \
         max_scheduled={max_scheduled} last_ends={last_ends}"
    );
    let spans = [
        ("drain", server_config.drain),
        ("head_timeout", server_config.head_timeout),
        ("function_timeout", server_config.function_timeout),
        ("hook_timeout", server_config.hook_timeout),
        ("write_timeout", server_config.write_timeout),
        ("close_timeout", server_config.close_timeout),
        ("keep_alive", server_config.keep_alive),
    ];
    let spans = spans.map(|(name, span)| format!("{name}={}", spell_duration(span))).join(" ");
    let kept = server_config.topics.iter().map(|Rule { pattern, keep }| {
        let Retention { count, bytes, age, .. } = *keep;
        format!("{pattern} count={count} bytes={} age={}", spell_size(bytes), spell_duration(age))
    });
    let kept: Vec<_> = kept.collect();
    let topics = (!kept.is_empty())
        .then(|| format!("topics: history={} [{}]", spell_size(server_config.max_retained), kept.join(", ")));
    [bounds, format!("deadlines: {spans}")].into_iter().chain(topics).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const REST: &str = "max_head=16KiB max_admitting=64 max_scheduled=65536 last_ends=10000";

    const DEADLINES: &str = "deadlines: drain=10s head_timeout=10s function_timeout=10s hook_timeout=30s \
                             write_timeout=10s close_timeout=5s keep_alive=1m15s";
    use crate::endpoint::record::tests::endpoint;
    use abeyance_core::words::retention::Pattern;
    use abeyance_settings::endpoint::{EndpointOptions, WhenSlow};

    #[test]
    fn the_line_of_a_handler_tells_what_is_in_effect() {
        let settings = EndpointOptions {
            transports: Some(&[Transport::WebSocket, Transport::LongPoll]),
            send_buffer: Some(1 << 20),
            when_slow: Some(WhenSlow::DropOldest),
            max_suspended: Some(7),
            max_per_peer: Some(5),
            ..EndpointOptions::NONE
        };
        let server_config = ServerConfig { max_suspended: 6, ..ServerConfig::default() };
        assert_eq!(
            handler(&endpoint("enter", "/rooms", 28), &settings.resolve(), &server_config),
            "/rooms [websocket, long_poll] timeout=none heartbeat=25s timeout(long_poll)=30s \
             heartbeat(long_poll)=10s max_idle=5m max_suspended=6 max_per_peer=5 when_full=reject send_buffer=1MiB \
             when_slow=drop_oldest max_message=64KiB (enter at src/main.rs:28)"
        );
    }

    #[test]
    fn topics_are_told_only_where_some_keep_something() {
        assert_eq!(
            server(&ServerConfig::default()),
            [format!("server: memory=256MiB max_topics=128 {REST}").as_str(), DEADLINES]
        );
        let few = Retention::new().count(20).bytes(64 << 10).age(Duration::from_secs(90));
        let rule = |pattern, keep| Rule { pattern: Pattern::read(pattern).expect("a pattern"), keep };
        let topics = vec![rule("news", Retention::default()), rule("rooms/*", few)];
        let server_config = ServerConfig {
            topics,
            max_buffered: 1 << 20,
            max_retained: 3 << 20,
            max_topics: 5,
            ..ServerConfig::default()
        };
        let told = [
            &format!("server: memory=1MiB max_topics=5 {REST}"),
            DEADLINES,
            "topics: history=3MiB [news count=1000 bytes=1MiB age=10m, rooms/* count=20 bytes=64KiB age=1m30s]",
        ];
        assert_eq!(server(&server_config), told);
    }
}
