//! The last ends, to look up what became of a connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use abeyance_core::mechanisms::ring::Ring;
use abeyance_core::sync::Mutex;
use abeyance_core::words::cause::{CAUSES, Disconnect, End};
use abeyance_core::words::hold_id::HoldId;
use abeyance_core::words::serialize;
use abeyance_settings::endpoint::Transport;

use super::Keeper;
use super::ended::Ended;
use super::hold::Hold;
use super::hub::Hub;

/// The last ends: 88 B each, allocated for all of them when the first hold ends. Its lock is a leaf: only copying is
/// done under it.
pub(super) struct EndLog(Mutex<Ring<Entry>>);

/// One end as it is stored. Fields without a bound (paths, reasons) are left out.
#[derive(Clone, Copy, Debug)]
struct Entry {
    id: HoldId,
    /// When it was, in real milliseconds since the server was made.
    at: u64,
    /// In milliseconds.
    held_for: u64,
    messages_in: u64,
    messages_out: u64,
    bytes_in: u64,
    bytes_out: u64,
    ip: IpAddr,
    port: u16,
    code: Option<u16>,
    endpoint: u32,
    transport: Transport,
    /// As [`End::index`].
    cause: u8,
    is_delivered: bool,
}

/// One hold that has ended, as [`Hub::last_ends`] remembers it. Serialized, durations are numbers of seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EndRecord {
    /// Its id.
    pub id: HoldId,
    /// Its endpoint, as the path in the annotation: `/rooms/{room}`.
    pub endpoint: &'static str,
    /// The transport.
    pub transport: Transport,
    /// The peer's address; behind a trusted proxy, the one the proxy named, with port 0.
    pub peer: SocketAddr,
    /// Why it ended, as [`End::as_str`](crate::End::as_str).
    pub cause: &'static str,
    /// The WebSocket close code that the peer gave ([`Closed`](crate::Disconnect::Closed)), or the application
    /// ([`Kicked`](crate::Disconnect::Kicked)), if any.
    pub code: Option<u16>,
    /// How long ago its wire was finished. Real time, which goes on while the server is stalled; as it was when
    /// [`Hub::last_ends`] was called.
    #[serde(serialize_with = "serialize::seconds")]
    pub ago: Duration,
    /// From the beginning of the hold to the end of its wire, without what stalls of the server took.
    #[serde(serialize_with = "serialize::seconds")]
    pub held_for: Duration,
    /// How many messages of the peer `on_message` was called with.
    pub messages_in: u64,
    /// How many messages were handed to the peer's connection.
    pub messages_out: u64,
    /// How many bytes the peer sent, framing and the bodies of its `POST`s included, the request's head not.
    pub bytes_in: u64,
    /// How many bytes were handed to the peer's connection, framing and head included.
    pub bytes_out: u64,
    /// Whether the kernel took the whole ending for the peer; `false` where the cause has none, as for a peer that is
    /// gone.
    pub is_delivered: bool,
}

impl EndLog {
    pub(super) const fn new() -> Self {
        EndLog(Mutex::new(Ring::new(0)))
    }

    /// Sets how many ends are kept.
    pub(super) fn keep(&self, ends: usize) {
        *self.0.lock() = Ring::new(ends);
    }
}

impl Hub {
    /// The last ends, the newest first, for instance to look up the connection of a complaint. There are 10,000
    /// unless [`Server::last_ends`](crate::Server::last_ends) says otherwise.
    ///
    /// It is a copy, made when this is called: about 1 MB and a tenth of a millisecond. To remember them costs the
    /// server 0.9 MB, taken once.
    ///
    /// ```
    /// use abeyance::Hub;
    ///
    /// fn print_slow(hub: &Hub) {
    ///     for end in hub.last_ends().filter(|end| end.cause == "slow").take(20) {
    ///         println!("{} at {}, {:.0?} ago, took {} B", end.peer, end.endpoint, end.ago, end.bytes_out);
    ///     }
    /// }
    /// ```
    pub fn last_ends(&self) -> impl Iterator<Item = EndRecord> + use<> {
        let keeper = self.keeper().clone();
        let mut entries = Vec::with_capacity(keeper.end_log.0.lock().len());
        keeper.end_log.0.lock().copy_to(&mut entries);
        let now = keeper.time().real();
        entries.into_iter().rev().map(move |entry| entry.tell(&keeper, now))
    }
}

impl Keeper {
    /// Adds an end to the log.
    pub(crate) fn remember(&self, hold: &Hold, ended: &Ended, end: &End) {
        let peer = ended.peer();
        let entry = Entry {
            id: ended.id(),
            at: self.time.real(),
            held_for: ended.held_for().as_millis() as u64,
            messages_in: ended.messages_in(),
            messages_out: ended.messages_out(),
            bytes_in: ended.bytes_in(),
            bytes_out: ended.bytes_out(),
            ip: peer.ip(),
            port: peer.port(),
            code: match end {
                End::Disconnect(Disconnect::Closed { code, .. } | Disconnect::Kicked { code, .. }) => *code,
                _ => None,
            },
            endpoint: hold.config.endpoint,
            transport: ended.transport(),
            cause: end.index() as u8,
            is_delivered: ended.is_delivered(),
        };
        self.end_log.0.lock().push(entry);
    }
}

impl Entry {
    fn tell(&self, keeper: &Arc<Keeper>, now: u64) -> EndRecord {
        EndRecord {
            id: self.id,
            endpoint: keeper.plans().get(self.endpoint as usize).map_or("", |plan| plan.path),
            transport: self.transport,
            peer: SocketAddr::new(self.ip, self.port),
            cause: CAUSES[usize::from(self.cause)],
            code: self.code,
            ago: Duration::from_millis(now.saturating_sub(self.at)),
            held_for: Duration::from_millis(self.held_for),
            messages_in: self.messages_in,
            messages_out: self.messages_out,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            is_delivered: self.is_delivered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ends_take_as_much_as_is_said() {
        assert_eq!(size_of::<Entry>(), 88);
        assert!(size_of::<Entry>() * crate::settings::ServerConfig::default().last_ends <= 1_000_000);
    }
}
