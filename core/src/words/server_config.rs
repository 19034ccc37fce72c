//! What holds for the whole server: limits, deadlines and whom it trusts.

use std::time::Duration;

use ipnet::IpNet;

use super::allowed_origins::AllowedOrigins;
use super::retention::Rule;
use abeyance_settings::endpoint::WhenFull;

/// The server-wide settings, resolved.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where to listen, as `host:port`.
    pub listen: String,
    /// How many holds there may be at once; the descriptor limit less 64 where nothing was said.
    pub max_suspended: usize,
    pub max_per_peer: Option<usize>,
    /// How many connections there may be, held or not; the descriptor limit less 32 where nothing was said.
    pub max_connections: usize,
    /// How many requests may be read or answered at once.
    pub max_requests: usize,
    /// How many holds of one key there may be, over all endpoints.
    pub max_per_key: Option<usize>,
    /// How many connections of one address there may be that hold nothing; a quarter of all where nothing was said, and
    /// then not of this machine.
    pub max_unheld_per_peer: Option<usize>,
    /// How many new connections one address may open a second.
    pub max_connects_per_peer: Option<usize>,
    pub when_full: WhenFull,
    /// How long a shutdown may take.
    pub drain: Duration,
    /// From the first moment of a connection (or the first byte of a later request) to the end of the request's head.
    pub head_timeout: Duration,
    pub function_timeout: Duration,
    pub hook_timeout: Duration,
    /// How long a write may make no progress.
    pub write_timeout: Duration,
    /// How long writing an ending and waiting for the peer's FIN may take.
    pub close_timeout: Duration,
    /// How long a connection may rest between two requests.
    pub keep_alive: Duration,
    /// How many bytes may wait for all peers together.
    pub max_buffered: usize,
    /// How many bytes all topics together may keep of their past.
    pub max_retained: usize,
    /// How many topics one hold may have joined at once.
    pub max_topics: usize,
    /// How many bytes the head of a request may have.
    pub max_head: usize,
    /// How many functions of one endpoint may run at once without a place to come.
    pub max_admitting: usize,
    /// How much may be scheduled at once.
    pub max_scheduled: usize,
    /// How many ends are remembered.
    pub last_ends: usize,
    /// Which topics keep how much of their past.
    pub topics: Vec<Rule>,
    /// Peers whose `X-Forwarded-For` and `X-Forwarded-Host` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins that may connect although they are not the server's own.
    pub allowed_origins: AllowedOrigins,
    /// Fields that pages of these origins may send, beside those that are always allowed.
    pub allowed_headers: Vec<String>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            listen: String::from("127.0.0.1:8080"),
            max_suspended: usize::MAX,
            max_per_peer: None,
            max_connections: usize::MAX,
            max_requests: 16 * 1024,
            max_per_key: None,
            max_unheld_per_peer: None,
            max_connects_per_peer: None,
            when_full: WhenFull::Reject,
            drain: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            function_timeout: Duration::from_secs(10),
            hook_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            keep_alive: Duration::from_secs(75),
            max_buffered: 256 << 20,
            max_retained: 64 << 20,
            max_topics: 128,
            max_head: 16 << 10,
            max_admitting: 64,
            max_scheduled: 65_536,
            last_ends: 10_000,
            topics: Vec::new(),
            trusted_proxies: Vec::new(),
            allowed_origins: AllowedOrigins::default(),
            allowed_headers: Vec::new(),
        }
    }
}
