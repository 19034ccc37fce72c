//! The server's settings as they are written, in code or in the environment; `None` where nothing was.

use std::time::Duration;

use ipnet::IpNet;

use abeyance_core::words::allowed_origins::{self, AllowedOrigins, OriginCheck};
use abeyance_core::words::retention::{LEAST_HISTORY, Pattern, Retention, Rule};
use abeyance_core::words::server_config::ServerConfig;
use abeyance_settings::amount::{self, Misread, spell_size};
use abeyance_settings::endpoint::{LEAST_SEND_BUFFER, WhenFull};

/// How many descriptors are left for what is not held: the listener, newcomers, the application's own files.
pub(crate) const RESERVE: usize = 64;

/// How many descriptors are never given to connections: the listener, those that are sent away, the application's own
/// files.
pub(crate) const SPARE: usize = 32;

/// However few descriptors there are, so many connections are tried.
const LEAST_CONNECTIONS: usize = 16;

/// The memory for the ends to be remembered is taken at once.
const MOST_ENDS: usize = 1_000_000;

/// The least that hyper may be told.
const LEAST_HEAD: usize = 8 << 10;

/// The name of one setting of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerKey {
    Listen,
    MaxSuspended,
    MaxConnections,
    MaxRequests,
    MaxPerPeer,
    MaxPerKey,
    MaxUnheldPerPeer,
    MaxConnectsPerPeer,
    WhenFull,
    Drain,
    HeadTimeout,
    FunctionTimeout,
    HookTimeout,
    WriteTimeout,
    CloseTimeout,
    KeepAlive,
    MaxBuffered,
    MaxRetained,
    MaxTopics,
    MaxHead,
    MaxAdmitting,
    MaxScheduled,
    LastEnds,
    TrustedProxies,
    AllowedOrigins,
    AllowedHeaders,
}

/// What was written.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerOptions {
    pub(crate) listen: Option<String>,
    pub(crate) max_suspended: Option<usize>,
    pub(crate) max_connections: Option<usize>,
    pub(crate) max_requests: Option<usize>,
    pub(crate) max_per_peer: Option<usize>,
    pub(crate) max_per_key: Option<usize>,
    pub(crate) max_unheld_per_peer: Option<usize>,
    pub(crate) max_connects_per_peer: Option<usize>,
    pub(crate) when_full: Option<WhenFull>,
    pub(crate) drain: Option<Duration>,
    pub(crate) head_timeout: Option<Duration>,
    pub(crate) function_timeout: Option<Duration>,
    pub(crate) hook_timeout: Option<Duration>,
    pub(crate) write_timeout: Option<Duration>,
    pub(crate) close_timeout: Option<Duration>,
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) max_buffered: Option<usize>,
    pub(crate) max_retained: Option<usize>,
    pub(crate) max_topics: Option<usize>,
    pub(crate) max_head: Option<usize>,
    pub(crate) max_admitting: Option<usize>,
    pub(crate) max_scheduled: Option<usize>,
    pub(crate) last_ends: Option<usize>,
    /// In code only: what a topic keeps is part of what the program means.
    pub(crate) topics: Option<Vec<Rule>>,
    pub(crate) trusted_proxies: Option<Vec<IpNet>>,
    pub(crate) allowed_origins: Option<Vec<String>>,
    /// In code only.
    pub(crate) origins_if: Option<OriginCheck>,
    pub(crate) allowed_headers: Option<Vec<String>>,
}

impl ServerKey {
    pub(crate) const ALL: [ServerKey; 26] = [
        ServerKey::Listen,
        ServerKey::MaxSuspended,
        ServerKey::MaxConnections,
        ServerKey::MaxRequests,
        ServerKey::MaxPerPeer,
        ServerKey::MaxPerKey,
        ServerKey::MaxUnheldPerPeer,
        ServerKey::MaxConnectsPerPeer,
        ServerKey::WhenFull,
        ServerKey::Drain,
        ServerKey::HeadTimeout,
        ServerKey::FunctionTimeout,
        ServerKey::HookTimeout,
        ServerKey::WriteTimeout,
        ServerKey::CloseTimeout,
        ServerKey::KeepAlive,
        ServerKey::MaxBuffered,
        ServerKey::MaxRetained,
        ServerKey::MaxTopics,
        ServerKey::MaxHead,
        ServerKey::MaxAdmitting,
        ServerKey::MaxScheduled,
        ServerKey::LastEnds,
        ServerKey::TrustedProxies,
        ServerKey::AllowedOrigins,
        ServerKey::AllowedHeaders,
    ];

    /// The setting as it is written in code.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            ServerKey::Listen => "listen",
            ServerKey::MaxSuspended => "max_suspended",
            ServerKey::MaxConnections => "max_connections",
            ServerKey::MaxRequests => "max_requests",
            ServerKey::MaxPerPeer => "max_per_peer",
            ServerKey::MaxPerKey => "max_per_key",
            ServerKey::MaxUnheldPerPeer => "max_unheld_per_peer",
            ServerKey::MaxConnectsPerPeer => "max_connects_per_peer",
            ServerKey::WhenFull => "when_full",
            ServerKey::Drain => "drain",
            ServerKey::HeadTimeout => "head_timeout",
            ServerKey::FunctionTimeout => "function_timeout",
            ServerKey::HookTimeout => "hook_timeout",
            ServerKey::WriteTimeout => "write_timeout",
            ServerKey::CloseTimeout => "close_timeout",
            ServerKey::KeepAlive => "keep_alive",
            ServerKey::MaxBuffered => "max_buffered",
            ServerKey::MaxRetained => "max_retained",
            ServerKey::MaxTopics => "max_topics",
            ServerKey::MaxHead => "max_head",
            ServerKey::MaxAdmitting => "max_admitting",
            ServerKey::MaxScheduled => "max_scheduled",
            ServerKey::LastEnds => "last_ends",
            ServerKey::TrustedProxies => "trusted_proxies",
            ServerKey::AllowedOrigins => "allowed_origins",
            ServerKey::AllowedHeaders => "allowed_headers",
        }
    }
}

impl ServerOptions {
    /// Sets one setting from text; lists have commas.
    pub(crate) fn set(&mut self, setting: ServerKey, value: &str) -> Result<(), Misread> {
        match setting {
            ServerKey::Listen => self.listen = Some(address(value)?),
            ServerKey::MaxSuspended => self.max_suspended = Some(amount::count(value)?),
            ServerKey::MaxConnections => self.max_connections = Some(amount::count(value)?),
            ServerKey::MaxRequests => self.max_requests = Some(amount::count(value)?),
            ServerKey::MaxPerPeer => self.max_per_peer = Some(amount::count(value)?),
            ServerKey::MaxPerKey => self.max_per_key = Some(amount::count(value)?),
            ServerKey::MaxUnheldPerPeer => self.max_unheld_per_peer = Some(amount::count(value)?),
            ServerKey::MaxConnectsPerPeer => self.max_connects_per_peer = Some(amount::count(value)?),
            ServerKey::WhenFull => self.when_full = Some(WhenFull::read(value)?),
            ServerKey::Drain => self.drain = Some(amount::duration(value)?),
            ServerKey::HeadTimeout => self.head_timeout = Some(amount::duration(value)?),
            ServerKey::FunctionTimeout => self.function_timeout = Some(amount::duration(value)?),
            ServerKey::HookTimeout => self.hook_timeout = Some(amount::duration(value)?),
            ServerKey::WriteTimeout => self.write_timeout = Some(amount::duration(value)?),
            ServerKey::CloseTimeout => self.close_timeout = Some(amount::duration(value)?),
            ServerKey::KeepAlive => self.keep_alive = Some(amount::duration(value)?),
            ServerKey::MaxBuffered => self.max_buffered = Some(max_buffered(value)?),
            ServerKey::MaxRetained => self.max_retained = Some(max_retained(value)?),
            ServerKey::MaxTopics => self.max_topics = Some(topics(value)?),
            ServerKey::MaxHead => self.max_head = Some(head(value)?),
            ServerKey::MaxAdmitting => self.max_admitting = Some(amount::count(value)?),
            ServerKey::MaxScheduled => self.max_scheduled = Some(whole(value)?),
            ServerKey::LastEnds => self.last_ends = Some(whole(value)?),
            ServerKey::TrustedProxies => self.trusted_proxies = Some(list(value, network)?),
            ServerKey::AllowedOrigins => self.allowed_origins = Some(list(value, origin)?),
            ServerKey::AllowedHeaders => self.allowed_headers = Some(list(value, field)?),
        }
        Ok(())
    }

    /// Has the topics of this pattern keep so much.
    ///
    /// # Errors
    /// What is wrong with the pattern or with what is to be kept.
    pub(crate) fn keep(&mut self, pattern: &str, keep: Retention) -> Result<(), String> {
        let pattern = Pattern::read(pattern).map_err(|fault| fault.to_string())?;
        let topics = self.topics.get_or_insert_default();
        if topics.iter().any(|rule| rule.pattern == pattern) {
            return Err(String::from("this pattern is given twice"));
        }
        // Remembered even if it is wrong, so that giving it twice is told as well.
        topics.push(Rule { pattern, keep });
        keep.fault().map_or(Ok(()), |fault| Err(fault.to_owned()))
    }

    /// These wishes, and those of `fallback` where these say nothing.
    pub(crate) fn or(self, fallback: ServerOptions) -> ServerOptions {
        ServerOptions {
            listen: self.listen.or(fallback.listen),
            max_suspended: self.max_suspended.or(fallback.max_suspended),
            max_connections: self.max_connections.or(fallback.max_connections),
            max_requests: self.max_requests.or(fallback.max_requests),
            max_per_peer: self.max_per_peer.or(fallback.max_per_peer),
            max_per_key: self.max_per_key.or(fallback.max_per_key),
            max_unheld_per_peer: self.max_unheld_per_peer.or(fallback.max_unheld_per_peer),
            max_connects_per_peer: self.max_connects_per_peer.or(fallback.max_connects_per_peer),
            when_full: self.when_full.or(fallback.when_full),
            drain: self.drain.or(fallback.drain),
            head_timeout: self.head_timeout.or(fallback.head_timeout),
            function_timeout: self.function_timeout.or(fallback.function_timeout),
            hook_timeout: self.hook_timeout.or(fallback.hook_timeout),
            write_timeout: self.write_timeout.or(fallback.write_timeout),
            close_timeout: self.close_timeout.or(fallback.close_timeout),
            keep_alive: self.keep_alive.or(fallback.keep_alive),
            max_buffered: self.max_buffered.or(fallback.max_buffered),
            max_retained: self.max_retained.or(fallback.max_retained),
            max_topics: self.max_topics.or(fallback.max_topics),
            max_head: self.max_head.or(fallback.max_head),
            max_admitting: self.max_admitting.or(fallback.max_admitting),
            max_scheduled: self.max_scheduled.or(fallback.max_scheduled),
            last_ends: self.last_ends.or(fallback.last_ends),
            topics: self.topics.or(fallback.topics),
            trusted_proxies: self.trusted_proxies.or(fallback.trusted_proxies),
            allowed_origins: self.allowed_origins.or(fallback.allowed_origins),
            origins_if: self.origins_if.or(fallback.origins_if),
            allowed_headers: self.allowed_headers.or(fallback.allowed_headers),
        }
    }

    /// The policy, with the defaults where nothing was written; and what is wrong with it.
    pub(crate) fn resolve(self, descriptors: usize) -> (ServerConfig, Vec<String>) {
        let preset = ServerConfig::default();
        let fitting = descriptors.saturating_sub(SPARE).max(LEAST_CONNECTIONS);
        let connections = self.max_connections.map_or(fitting, |wished| wished.min(fitting));
        // Some places are left for those that are not held; of few, half.
        let left = (RESERVE - SPARE).min(connections / 2);
        let holds = descriptors.saturating_sub(RESERVE).min(connections - left).max(1);
        let config = ServerConfig {
            listen: self.listen.unwrap_or(preset.listen),
            max_suspended: self.max_suspended.unwrap_or(holds),
            max_connections: connections,
            max_requests: self.max_requests.unwrap_or(preset.max_requests.min(connections)),
            max_per_peer: self.max_per_peer.or(preset.max_per_peer),
            max_per_key: self.max_per_key.or(preset.max_per_key),
            max_unheld_per_peer: self.max_unheld_per_peer.or(preset.max_unheld_per_peer),
            max_connects_per_peer: self.max_connects_per_peer.or(preset.max_connects_per_peer),
            when_full: self.when_full.unwrap_or(preset.when_full),
            drain: self.drain.unwrap_or(preset.drain),
            head_timeout: self.head_timeout.unwrap_or(preset.head_timeout),
            function_timeout: self.function_timeout.unwrap_or(preset.function_timeout),
            hook_timeout: self.hook_timeout.unwrap_or(preset.hook_timeout),
            write_timeout: self.write_timeout.unwrap_or(preset.write_timeout),
            close_timeout: self.close_timeout.unwrap_or(preset.close_timeout),
            keep_alive: self.keep_alive.unwrap_or(preset.keep_alive),
            max_buffered: self.max_buffered.unwrap_or(preset.max_buffered),
            max_retained: self.max_retained.unwrap_or(preset.max_retained),
            max_topics: self.max_topics.unwrap_or(preset.max_topics),
            max_head: self.max_head.unwrap_or(preset.max_head),
            max_admitting: self.max_admitting.unwrap_or(preset.max_admitting),
            max_scheduled: self.max_scheduled.unwrap_or(preset.max_scheduled),
            last_ends: self.last_ends.unwrap_or(preset.last_ends),
            topics: self.topics.unwrap_or(preset.topics),
            trusted_proxies: self.trusted_proxies.unwrap_or(preset.trusted_proxies),
            allowed_origins: AllowedOrigins {
                named: self.allowed_origins.unwrap_or_default(),
                judge: self.origins_if,
            },
            allowed_headers: self.allowed_headers.unwrap_or(preset.allowed_headers),
        };
        let faults = faults(&config);
        (config, faults)
    }
}

/// What code can write and text cannot.
fn faults(config: &ServerConfig) -> Vec<String> {
    let counts = [
        (ServerKey::MaxSuspended, Some(config.max_suspended)),
        (ServerKey::MaxConnections, Some(config.max_connections)),
        (ServerKey::MaxRequests, Some(config.max_requests)),
        (ServerKey::MaxAdmitting, Some(config.max_admitting)),
        (ServerKey::MaxPerPeer, config.max_per_peer),
        (ServerKey::MaxPerKey, config.max_per_key),
        (ServerKey::MaxUnheldPerPeer, config.max_unheld_per_peer),
        (ServerKey::MaxConnectsPerPeer, config.max_connects_per_peer),
    ];
    let counts = counts.into_iter().filter(|(_, count)| *count == Some(0));
    let counts =
        counts.map(|(setting, _)| format!("`Server::{}(0)` would refuse everybody", setting.as_str()));
    // Only the drain may be zero: it then cuts at once. As for the longest: deadlines are added to the time.
    let spans = [
        (ServerKey::Drain, config.drain.max(Duration::from_millis(1))),
        (ServerKey::HeadTimeout, config.head_timeout),
        (ServerKey::FunctionTimeout, config.function_timeout),
        (ServerKey::HookTimeout, config.hook_timeout),
        (ServerKey::WriteTimeout, config.write_timeout),
        (ServerKey::CloseTimeout, config.close_timeout),
        (ServerKey::KeepAlive, config.keep_alive),
    ];
    let spans = spans.into_iter().filter(|(_, span)| span.is_zero() || *span > amount::LONGEST);
    let spans = spans.map(|(setting, span)| {
        format!("`Server::{}({span:?})`: expected {}, at most a year", setting.as_str(), amount::A_DURATION)
    });
    let bounds = [
        (config.max_buffered < LEAST_SEND_BUFFER).then(|| {
            let (max_buffered, least) = (spell_size(config.max_buffered), spell_size(LEAST_SEND_BUFFER));
            format!(
                "`Server::max_buffered({max_buffered})` must be at least {least}, the least `send_buffer`"
            )
        }),
        (config.max_retained < LEAST_HISTORY).then(|| {
            let (max_retained, least) = (spell_size(config.max_retained), spell_size(LEAST_HISTORY));
            format!("`Server::max_retained({max_retained})` must be at least {least}, or no message is kept")
        }),
        (config.last_ends > MOST_ENDS).then(|| {
            format!(
                "`Server::last_ends({})`: expected at most {MOST_ENDS}, which take 88 MB",
                config.last_ends
            )
        }),
        (config.max_head < LEAST_HEAD).then(|| {
            let (head, least) = (spell_size(config.max_head), spell_size(LEAST_HEAD));
            format!("`Server::max_head({head})` must be at least {least}, which common clients need")
        }),
        (config.max_topics == 0)
            .then(|| String::from("`Server::max_topics(0)` would let nobody join a topic")),
    ];
    counts.chain(spans).chain(bounds.into_iter().flatten()).collect()
}

fn max_buffered(text: &str) -> Result<usize, Misread> {
    match amount::size(text)? {
        few if few < LEAST_SEND_BUFFER => {
            let why = format!("at least {:?}, the least `send_buffer`", spell_size(LEAST_SEND_BUFFER));
            Err(Misread::new(amount::A_SIZE, format!("{text:?}"), why))
        }
        bytes => Ok(bytes),
    }
}

fn max_retained(text: &str) -> Result<usize, Misread> {
    match amount::size(text)? {
        few if few < LEAST_HISTORY => {
            let why = format!("at least {:?}, or no message is kept", spell_size(LEAST_HISTORY));
            Err(Misread::new(amount::A_SIZE, format!("{text:?}"), why))
        }
        bytes => Ok(bytes),
    }
}

fn head(text: &str) -> Result<usize, Misread> {
    match amount::size(text)? {
        few if few < LEAST_HEAD => {
            let why = format!("at least {:?}, which common clients need", spell_size(LEAST_HEAD));
            Err(Misread::new(amount::A_SIZE, format!("{text:?}"), why))
        }
        bytes => Ok(bytes),
    }
}

/// A count that may be zero.
fn whole(text: &str) -> Result<usize, Misread> {
    match text.parse() {
        Ok(0_usize) => Ok(0),
        _ => amount::count(text),
    }
}

fn topics(text: &str) -> Result<usize, Misread> {
    match text.parse() {
        // `count` would say that zero refuses everybody, which is so where holds are counted.
        Ok(0_usize) => {
            Err(Misread::new(amount::A_COUNT, format!("{text:?}"), "zero would let nobody join a topic"))
        }
        _ => amount::count(text),
    }
}

fn list<T>(value: &str, read: impl Fn(&str) -> Result<T, Misread>) -> Result<Vec<T>, Misread> {
    value.split(',').map(str::trim).filter(|word| !word.is_empty()).map(read).collect()
}

fn address(text: &str) -> Result<String, Misread> {
    let port =
        text.rsplit_once(':').filter(|(service, _)| !service.is_empty()).map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(_)) => Ok(text.to_owned()),
        _ => Err(Misread::new(
            "an address such as \"127.0.0.1:8080\" or \"[::]:8080\"",
            format!("{text:?}"),
            "",
        )),
    }
}

/// Reads an address, or a network in CIDR notation.
pub(crate) fn network(text: &str) -> Result<IpNet, Misread> {
    let network = text.parse::<IpNet>().ok();
    network.or_else(|| text.parse().ok().map(|address: std::net::IpAddr| IpNet::from(address))).ok_or_else(
        || {
            Misread::new(
                "an address or a network such as \"10.0.0.7\" or \"10.0.0.0/8\"",
                format!("{text:?}"),
                "",
            )
        },
    )
}

/// Reads an origin; gives it as browsers write it.
pub(crate) fn origin(text: &str) -> Result<String, Misread> {
    allowed_origins::read(text).map_err(|why| {
        Misread::new("an origin such as \"https://example.com\", \"null\" or \"*\"", format!("{text:?}"), why)
    })
}

/// Reads the name of a field of a request's head.
pub(crate) fn field(text: &str) -> Result<String, Misread> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    match !text.is_empty() && text != "*" && text.bytes().all(is_letter) {
        true => Ok(text.to_owned()),
        false => Err(Misread::new("the name of a header such as \"X-CSRF-Token\"", format!("{text:?}"), "")),
    }
}
