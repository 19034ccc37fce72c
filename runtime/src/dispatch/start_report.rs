//! What the server says of itself at start, with the settings as they are in effect: one line a handler, one of bounds
//! over all of them, and one of the topics that keep something.

use std::borrow::Cow;

use crate::endpoint::record::Endpoint;
use crate::settings::ServerConfig;
use abeyance_core::words::retention::{Retention, Rule};
use abeyance_settings::amount::{spell_clock, spell_duration, spell_size};
use abeyance_settings::endpoint::{EndpointConfig, Transport, WhenFull};

/// The line of one handler.
pub(super) fn handler(
    endpoint: &Endpoint,
    endpoint_config: &EndpointConfig,
    server_config: &ServerConfig,
) -> String {
    let transports: Vec<_> = endpoint_config.transports.iter().map(Transport::as_str).collect();
    let mut told = clocks(endpoint_config);
    told.extend(limits(endpoint_config, server_config));
    told.extend([
        ("send_buffer".into(), spell_size(endpoint_config.send_buffer)),
        ("when_slow".into(), endpoint_config.when_slow.as_str().to_owned()),
        ("max_message".into(), spell_size(endpoint_config.max_message)),
    ]);
    let told: Vec<_> = told.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let Endpoint { path, name, file, line, .. } = endpoint;
    format!("{path} [{}] {} ({name} at {file}:{line})", transports.join(", "), told.join(" "))
}

/// Names and values, in the order of the line.
type Told = Vec<(Cow<'static, str>, String)>;

/// The clocks. They are the same for all transports but long polls, which have a timeout by default.
fn clocks(endpoint_config: &EndpointConfig) -> Told {
    let transports = endpoint_config.transports;
    let is_poll = |transport: &&Transport| **transport == Transport::LongPoll;
    let other = transports.iter().find(|transport| !is_poll(transport));
    let poll = transports.iter().find(is_poll);
    let suffix = if other.is_some() { "(long_poll)" } else { "" };
    let mut told = Told::new();
    for (transport, suffix) in [(other, ""), (poll, suffix)] {
        let Some(transport) = transport else { continue };
        told.push((format!("timeout{suffix}").into(), spell_clock(endpoint_config.timeout(*transport))));
        told.push((format!("heartbeat{suffix}").into(), spell_clock(endpoint_config.heartbeat(*transport))));
    }
    told.push(("max_idle".into(), spell_clock(endpoint_config.max_idle)));
    if endpoint_config.max_lifetime.is_some() {
        told.push(("max_lifetime".into(), spell_clock(endpoint_config.max_lifetime)));
    }
    told
}

/// The limits that are in effect for the endpoint's holds: the tighter of its own and the server's.
fn limits(endpoint_config: &EndpointConfig, server_config: &ServerConfig) -> Told {
    let tighter = |own: Option<usize>, all: Option<usize>| own.into_iter().chain(all).min();
    let limits = [
        ("max_suspended", tighter(endpoint_config.max_suspended, Some(server_config.max_suspended))),
        ("max_per_peer", tighter(endpoint_config.max_per_peer, server_config.max_per_peer)),
        ("max_per_key", tighter(endpoint_config.max_per_key, server_config.max_per_key)),
    ];
    let mut told: Told =
        limits.into_iter().filter_map(|(name, limit)| Some((name.into(), limit?.to_string()))).collect();
    let when_full = endpoint_config.when_full.unwrap_or(server_config.when_full);
    told.push(("when_full".into(), when_full.as_str().to_owned()));
    if when_full == WhenFull::ResumeOldest {
        told.push(("when_evicted".into(), endpoint_config.when_evicted.as_str().to_owned()));
    }
    told
}

/// The server's settings, a line for each section of their table, and which topics keep something.
pub(super) fn server(server_config: &ServerConfig) -> Vec<String> {
    // Where it listens is told first of all, with the port that it got.
    let sections = server_config.report().into_iter().filter(|(section, _)| *section != "Listener");
    let sections = sections.filter(|(_, values)| !values.is_empty());
    let mut lines: Vec<_> = sections
        .map(|(section, values)| format!("{}: {}", section.to_lowercase(), values.join(" ")))
        .collect();
    let kept = server_config.topics.iter().map(|Rule { pattern, keep }| {
        let Retention { count, bytes, age, .. } = *keep;
        format!("{pattern} [count={count} bytes={} age={}]", spell_size(bytes), spell_duration(age))
    });
    let kept: Vec<_> = kept.collect();
    if !kept.is_empty() {
        lines.push(format!("topics: {}", kept.join(", ")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

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
    fn all_settings_of_the_server_are_told_by_section() {
        let mut server_config = ServerConfig { max_per_peer: Some(9), ..ServerConfig::default() };
        server_config.fit(1_024);
        let told = [
            "holds: max_suspended=960 max_per_peer=9 when_full=reject max_admitting=64 max_topics=128",
            "connections: max_connections=992 max_requests=992 max_head=16KiB",
            "timeouts: head_timeout=10s function_timeout=10s hook_timeout=30s write_timeout=10s close_timeout=5s \
             keep_alive=1m15s drain=10s",
            "memory: max_buffered=256MiB max_retained=64MiB max_scheduled=65536 last_ends=10000",
        ];
        assert_eq!(server(&server_config), told);
        server_config.trusted_proxies = vec!["10.0.0.0/8".parse().expect("a network")];
        server_config.allowed_origins = vec![String::from("https://a.example"), String::from("null")];
        let trust = "trust: trusted_proxies=10.0.0.0/8 allowed_origins=https://a.example,null";
        assert_eq!(server(&server_config)[4..], [trust]);
    }

    #[test]
    fn topics_are_told_where_some_keep_something() {
        let few = Retention::new().count(20).bytes(64 << 10).age(Duration::from_secs(90));
        let rule = |pattern, keep| Rule { pattern: Pattern::read(pattern).expect("a pattern"), keep };
        let topics = vec![rule("news", Retention::default()), rule("rooms/*", few)];
        let server_config = ServerConfig { topics, ..ServerConfig::default() };
        let told = "topics: news [count=1000 bytes=1MiB age=10m], rooms/* [count=20 bytes=64KiB age=1m30s]";
        assert_eq!(server(&server_config).last().map(String::as_str), Some(told));
    }
}
