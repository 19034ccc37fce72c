//! The ends that well-behaved clients saw, to be compared with those that the server reports.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use abeyance::Transport;

/// How a connection ended, as its client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SeenEnd {
    /// The server ended the hold with the ending of its transport: a close frame, the last event and chunk, an answer.
    Told(String),
    /// The connection ended without an ending.
    Cut,
    /// The client left.
    Left,
    /// The server refused to hold the request.
    Refused,
    /// The connection was still open after the shutdown of the server.
    Open,
}

/// One connection, as its client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) connection: u64,
    pub(super) transport: Transport,
    pub(super) end_seen: SeenEnd,
}

/// What all clients have seen.
#[derive(Default)]
pub(super) struct ClientLog {
    seen: Mutex<Vec<Seen>>,
    /// How many connections are open.
    present: AtomicUsize,
    /// The server has shut down.
    is_last: AtomicBool,
}

/// The entry of one open connection. Dropped without `write`, it says that the connection was still open.
pub(super) struct OpenEntry<'a> {
    log: &'a ClientLog,
    connection: u64,
    transport: Transport,
    end_seen: SeenEnd,
}

impl ClientLog {
    /// Starts the entry of a connection.
    pub(super) fn begin(&self, connection: u64, transport: Transport) -> OpenEntry<'_> {
        self.present.fetch_add(1, SeqCst);
        OpenEntry { log: self, connection, transport, end_seen: SeenEnd::Open }
    }

    /// Says that the server has shut down: a client that leaves from now on was still connected.
    pub(super) fn close(&self) {
        self.is_last.store(true, SeqCst);
    }

    pub(super) fn is_finished(&self) -> bool {
        self.present.load(SeqCst) == 0
    }

    /// Prints all entries, for the process of the server.
    pub(super) fn print(&self, longest_stall: Duration) {
        println!("{}", longest_stall.as_micros());
        for seen in &*self.seen.lock().unwrap_or_else(PoisonError::into_inner) {
            println!("{seen}");
        }
    }
}

impl OpenEntry<'_> {
    pub(super) fn write(mut self, end_seen: SeenEnd) {
        let is_late = end_seen == SeenEnd::Left && self.log.is_last.load(SeqCst);
        self.end_seen = if is_late { SeenEnd::Open } else { end_seen };
    }
}

impl Drop for OpenEntry<'_> {
    fn drop(&mut self) {
        let seen =
            Seen { connection: self.connection, transport: self.transport, end_seen: self.end_seen.clone() };
        self.log.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        self.log.present.fetch_sub(1, SeqCst);
    }
}

/// Parses what `print` prints: the longest stall of the clients, and what they saw.
pub(super) fn read(told: &str) -> Option<(Duration, Vec<Seen>)> {
    let mut lines = told.lines();
    let stall = Duration::from_micros(lines.next()?.parse().ok()?);
    Some((stall, lines.map(Seen::read).collect::<Option<_>>()?))
}

impl Seen {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.splitn(3, ' ');
        let (connection, transport, end_seen) = (words.next()?, words.next()?, words.next()?);
        let end_seen = match end_seen {
            "cut" => SeenEnd::Cut,
            "left" => SeenEnd::Left,
            "refused" => SeenEnd::Refused,
            "open" => SeenEnd::Open,
            told => SeenEnd::Told(told.strip_prefix("told ")?.to_owned()),
        };
        let transport =
            super::connection::TRANSPORTS.into_iter().find(|known| known.as_str() == transport)?;
        Some(Seen { connection: connection.parse().ok()?, transport, end_seen })
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.connection, self.transport.as_str(), self.end_seen)
    }
}

impl fmt::Display for SeenEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // One line for each, even if a server sends line breaks.
            SeenEnd::Told(words) => write!(f, "told {}", words.replace(['\r', '\n'], " ")),
            SeenEnd::Cut => f.write_str("cut"),
            SeenEnd::Left => f.write_str("left"),
            SeenEnd::Refused => f.write_str("refused"),
            SeenEnd::Open => f.write_str("open"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_parsed() {
        let seen_ends = [
            SeenEnd::Told("1001 drained, later".into()),
            SeenEnd::Told(String::new()),
            SeenEnd::Cut,
            SeenEnd::Left,
            SeenEnd::Refused,
            SeenEnd::Open,
        ];
        for end_seen in seen_ends {
            let seen = Seen { connection: 7, transport: Transport::LongPoll, end_seen };
            let told = format!("1500\n{seen}\n");
            assert_eq!(read(&told), Some((Duration::from_micros(1_500), vec![seen])), "{told}");
        }
        assert_eq!(read(""), None, "clients that crashed have seen nothing");
    }

    #[test]
    fn a_client_that_leaves_after_the_shutdown_was_still_connected() {
        let log = ClientLog::default();
        log.begin(1, Transport::Sse).write(SeenEnd::Left);
        let late = log.begin(2, Transport::Sse);
        let dropped = log.begin(3, Transport::Sse);
        log.close();
        late.write(SeenEnd::Left);
        assert!(!log.is_finished());
        drop(dropped);
        assert!(log.is_finished());
        let seen = log.seen.lock().expect("no thread panicked");
        assert_eq!(
            seen.iter().map(|seen| &seen.end_seen).collect::<Vec<_>>(),
            [&SeenEnd::Left, &SeenEnd::Open, &SeenEnd::Open]
        );
    }
}
