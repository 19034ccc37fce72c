//! The three servers that are compared.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::wire::Wire;

mod abeyance;
mod axum;
mod bare;

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A loop of `write`, and nothing else: what the kernel alone costs.
    Bare,
    /// `Hub::publish` to a topic that all joined.
    Abeyance,
    /// A `tokio::sync::broadcast` channel with one receiver for each connection.
    Axum,
}

/// A server that listens and publishes.
pub(crate) trait Server {
    fn local_addr(&self) -> SocketAddr;

    /// Publishes to all that are connected; gives the number of peers for which it was accepted.
    fn publish(&mut self, text: String) -> usize;
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Bare, Kind::Abeyance, Kind::Axum];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Kind::Bare => "bare",
            Kind::Abeyance => "abeyance",
            Kind::Axum => "axum",
        }
    }

    /// Starts a server for `peers` connections.
    pub(crate) fn start(self, wire: Wire, peers: usize) -> io::Result<Box<dyn Server>> {
        Ok(match self {
            Kind::Bare => Box::new(bare::Bare::start(wire, peers)?),
            Kind::Abeyance => Box::new(abeyance::Abeyance::start()?),
            Kind::Axum => Box::new(axum::Axum::start(wire)?),
        })
    }

    /// What ends that which the server says before the first message.
    pub(crate) fn preamble(self, wire: Wire) -> &'static [&'static [u8]] {
        match (self, wire) {
            // An event with the token by which the peer may speak.
            (Kind::Abeyance, Wire::Sse) => &[b"\r\n\r\n", b"\n\n\r\n"],
            _ => &[b"\r\n\r\n"],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == name);
        kind.ok_or_else(|| format!("expected \"bare\", \"abeyance\" or \"axum\", found {name:?}"))
    }
}
