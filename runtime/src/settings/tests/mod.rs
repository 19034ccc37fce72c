//! The table of the server's settings: its defaults, its ranges, and what follows the limit of open files.

mod reference;

use std::time::Duration;

use super::fit::Excess;
use super::*;
use abeyance_settings::kind::Kind;
use abeyance_settings::table::Description;

#[test]
fn the_default_that_readers_see_is_the_one_in_effect() {
    let defaults = ServerConfig::default();
    let told: Vec<_> = defaults.report().into_iter().flat_map(|(_, values)| values).collect();
    let mut prose = Vec::new();
    for key in ServerKey::ALL {
        let Description { default, .. } = key.describe();
        match default.strip_prefix('`').and_then(|text| text.strip_suffix('`')) {
            Some(text) => {
                let name = key.as_str();
                assert!(told.contains(&format!("{name}={text}")), "{name} is told to be {text}");
                // And it can be written so.
                assert_eq!(ServerOptions::default().set(*key, text), Ok(()), "{name}");
            }
            None => prose.push(key.as_str()),
        }
    }
    let found_otherwise = [
        "max_suspended",
        "max_per_peer",
        "max_per_key",
        "max_connections",
        "max_unheld_per_peer",
        "max_connects_per_peer",
        "max_requests",
        "trusted_proxies",
        "allowed_origins",
        "allowed_headers",
    ];
    assert_eq!(prose, found_otherwise);
}

#[test]
fn a_range_is_the_same_in_code_and_in_text() {
    let faulty = ServerOptions {
        max_suspended: Some(0),
        max_topics: Some(0),
        max_head: Some(4 << 10),
        max_buffered: Some((32 << 10) - 1),
        max_retained: Some(0),
        last_ends: Some(1_000_001),
        keep_alive: Some(Duration::ZERO),
        drain: Some(Duration::MAX),
        ..ServerOptions::NONE
    };
    let faults = faulty.faults();
    assert_eq!(faults.len(), 8, "{faults:?}");
    for (key, text, hint) in [
        (ServerKey::MaxSuspended, "0", "zero would refuse everybody"),
        (ServerKey::MaxTopics, "0", "at least \"1\", or no topic could be joined"),
        (ServerKey::MaxHead, "4KiB", "at least \"8KiB\", which common clients need"),
        (ServerKey::MaxBuffered, "31KiB", "at least \"32KiB\", the least `send_buffer`"),
        (ServerKey::MaxRetained, "1B", "at least \"1KiB\", or no message is kept"),
        (ServerKey::LastEnds, "1000001", "at most \"1000000\", which take 88 MB"),
        (ServerKey::KeepAlive, "0s", "zero is no time at all"),
        (ServerKey::Drain, "366d", "the longest is \"365d\""),
    ] {
        let mut options = ServerOptions::default();
        let in_text = options.set(key, text).unwrap_err().to_string();
        assert!(in_text.contains(hint), "{in_text}");
        let in_code = faults.iter().find(|(of, _)| *of == key).map(|(_, fault)| fault.to_string());
        let in_code = in_code.unwrap_or_default();
        assert!(in_code.contains(hint), "{in_code}");
        assert!(options.faults().is_empty(), "a faulty text changes nothing");
    }
}

#[test]
fn code_may_say_what_is_at_the_edge() {
    let edge = ServerOptions {
        max_buffered: Some(32 << 10),
        max_retained: Some(1 << 10),
        max_head: Some(8 << 10),
        max_topics: Some(1),
        max_scheduled: Some(0),
        last_ends: Some(0),
        drain: Some(Duration::ZERO),
        keep_alive: Some(Duration::from_nanos(1)),
        hook_timeout: Some(Duration::from_secs(365 * 24 * 60 * 60)),
        ..ServerOptions::NONE
    };
    assert_eq!(edge.faults(), []);
}

#[test]
fn bounds_that_are_not_set_follow_the_limit_of_open_files() {
    let bounds = |descriptors| {
        let mut config = ServerConfig::default();
        assert_eq!(config.fit(descriptors), []);
        (config.max_connections, config.max_requests, config.max_suspended)
    };
    assert_eq!(bounds(200), (168, 168, 136));
    assert_eq!(bounds(1_024), (992, 992, 960));
    assert_eq!(bounds(1_000_000), (999_968, 16_384, 999_936));
    for few in [0, 1, 32, 64, 65, 80] {
        let (connections, requests, holds) = bounds(few);
        assert!(holds >= 1 && holds < connections && requests == connections, "{few}");
    }
    let mut config = ServerConfig { max_connections: 100, ..ServerConfig::default() };
    assert_eq!(config.fit(1_024), []);
    assert_eq!((config.max_connections, config.max_requests, config.max_suspended), (100, 100, 68));
}

#[test]
fn a_bound_that_does_not_fit_is_lowered_and_told() {
    let mut config =
        ServerConfig { max_suspended: 100_000, max_connections: 2_000, ..ServerConfig::default() };
    let told = [
        Excess { key: ServerKey::MaxConnections, written: 2_000, fitting: 992 },
        Excess { key: ServerKey::MaxSuspended, written: 100_000, fitting: 960 },
    ];
    assert_eq!(config.fit(1_024), told);
    assert_eq!((config.max_connections, config.max_suspended), (992, 960));
    // Where they were set so, the holds may have all connections.
    let mut config = ServerConfig { max_suspended: 100, max_connections: 100, ..ServerConfig::default() };
    assert_eq!(config.fit(1_024), []);
    assert_eq!(config.max_suspended, 100);
}

#[test]
fn lists_are_spelled_as_they_are_read() {
    for text in ["10.0.0.0/8,::1/128", "192.0.2.7/32"] {
        assert_eq!(Networks::spell(&Networks::read(text).expect("networks")), text);
    }
    let origins = Origins::read("https://Example.com, null").expect("origins");
    assert_eq!(Origins::spell(&origins), "https://example.com,null");
    assert!(Headers::read("X CSRF").is_err() && Address::read(":80").is_err());
}
