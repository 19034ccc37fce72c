//! What well-behaved clients saw of their ends, written down for whoever compares it with what the server says.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use abeyance::Transport;

/// How a visit ended, for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// The server ended what it held, in the words of the transport: a close frame, the last event and chunk, an answer.
    Told(String),
    /// The connection ended without such words.
    Cut,
    /// The client left by itself.
    Left,
    /// The server answered that it would not hold this one.
    Refused,
    /// The server was over, and the connection was not.
    Open,
}

/// One visit, as its client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) visit: u64,
    pub(super) transport: Transport,
    pub(super) sight: Sight,
}

/// All that the clients have seen.
#[derive(Default)]
pub(super) struct Diary {
    seen: Mutex<Vec<Seen>>,
    /// How many visits are not over.
    present: AtomicUsize,
    /// The server has said that it is over.
    is_last: AtomicBool,
}

/// The page of one visit. What is not written on it when it is dropped was still open.
pub(super) struct Page<'a> {
    diary: &'a Diary,
    visit: u64,
    transport: Transport,
    sight: Sight,
}

impl Diary {
    /// One more visit.
    pub(super) fn begin(&self, visit: u64, transport: Transport) -> Page<'_> {
        self.present.fetch_add(1, SeqCst);
        Page { diary: self, visit, transport, sight: Sight::Open }
    }

    /// From now on nobody leaves: who is still connected waits in vain.
    pub(super) fn close(&self) {
        self.is_last.store(true, SeqCst);
    }

    pub(super) fn is_finished(&self) -> bool {
        self.present.load(SeqCst) == 0
    }

    /// Tells all to the process of the server.
    pub(super) fn tell(&self, longest_stop: Duration) {
        println!("{}", longest_stop.as_micros());
        for seen in &*self.seen.lock().unwrap_or_else(PoisonError::into_inner) {
            println!("{seen}");
        }
    }
}

impl Page<'_> {
    pub(super) fn write(mut self, sight: Sight) {
        let is_late = sight == Sight::Left && self.diary.is_last.load(SeqCst);
        self.sight = if is_late { Sight::Open } else { sight };
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        let seen = Seen { visit: self.visit, transport: self.transport, sight: self.sight.clone() };
        self.diary.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        self.diary.present.fetch_sub(1, SeqCst);
    }
}

/// Reads what was told: how long the clients stood still at most, and what they saw.
pub(super) fn read(told: &str) -> Option<(Duration, Vec<Seen>)> {
    let mut lines = told.lines();
    let stop = Duration::from_micros(lines.next()?.parse().ok()?);
    Some((stop, lines.map(Seen::read).collect::<Option<_>>()?))
}

impl Seen {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.splitn(3, ' ');
        let (visit, transport, sight) = (words.next()?, words.next()?, words.next()?);
        let sight = match sight {
            "cut" => Sight::Cut,
            "left" => Sight::Left,
            "refused" => Sight::Refused,
            "open" => Sight::Open,
            told => Sight::Told(told.strip_prefix("told ")?.to_owned()),
        };
        let transport = super::visit::TRANSPORTS.into_iter().find(|known| known.as_str() == transport)?;
        Some(Seen { visit: visit.parse().ok()?, transport, sight })
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.visit, self.transport.as_str(), self.sight)
    }
}

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // One line each, whatever a server says.
            Sight::Told(words) => write!(f, "told {}", words.replace(['\r', '\n'], " ")),
            Sight::Cut => f.write_str("cut"),
            Sight::Left => f.write_str("left"),
            Sight::Refused => f.write_str("refused"),
            Sight::Open => f.write_str("open"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read_again() {
        let sights = [
            Sight::Told("1001 drained, later".into()),
            Sight::Told(String::new()),
            Sight::Cut,
            Sight::Left,
            Sight::Refused,
            Sight::Open,
        ];
        for sight in sights {
            let seen = Seen { visit: 7, transport: Transport::LongPoll, sight };
            let told = format!("1500\n{seen}\n");
            assert_eq!(read(&told), Some((Duration::from_micros(1_500), vec![seen])), "{told}");
        }
        assert_eq!(read(""), None, "clients that died have seen nothing");
    }

    #[test]
    fn who_leaves_when_the_server_is_over_was_forgotten() {
        let diary = Diary::default();
        diary.begin(1, Transport::Sse).write(Sight::Left);
        let late = diary.begin(2, Transport::Sse);
        let dropped = diary.begin(3, Transport::Sse);
        diary.close();
        late.write(Sight::Left);
        assert!(!diary.is_finished());
        drop(dropped);
        assert!(diary.is_finished());
        let seen = diary.seen.lock().expect("nobody panicked");
        assert_eq!(
            seen.iter().map(|seen| &seen.sight).collect::<Vec<_>>(),
            [&Sight::Left, &Sight::Open, &Sight::Open]
        );
    }
}
