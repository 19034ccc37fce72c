//! Replay as clients see it: a client that comes back gets what it missed, once and in order, or is told that something of it
//! is gone.

mod answers; // where an ending says that its client stands
mod forged; // ids and tokens that are not what they should be
mod large; // what is larger than may wait
mod newcomers; // the past, for who was not there
mod racing; // coming back while others publish
mod resync; // what is gone, and what is not
mod returning; // coming back again and again
mod sockets; // over a real network

use std::time::Duration;

use abeyance::Retention;

/// Whole seconds.
const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Enough for everything that a test publishes.
const EVERYTHING: Retention = Retention::new().count(100_000).bytes(64 << 20).age(seconds(3600));

/// Messages of several publishers: each counts its own.
struct Numbers(Vec<usize>);

impl Numbers {
    /// The `number`th message of a publisher, with so many bytes behind it.
    fn text(publisher: usize, number: usize, more: usize) -> String {
        format!("{publisher}.{number}.{}", "x".repeat(more))
    }

    /// Fails unless each publisher's messages are there, all of them, once and in order.
    #[track_caller]
    fn assert_all<'a>(texts: impl IntoIterator<Item = &'a str>, counts: &[usize], told: &str) {
        let mut next = Numbers(vec![0; counts.len()]);
        for (place, text) in texts.into_iter().enumerate() {
            let mut parts = text.split('.');
            let mut number = || parts.next().and_then(|part| part.parse::<usize>().ok());
            let (Some(publisher), Some(number)) = (number(), number()) else { panic!("{text:?}; {told}") };
            assert_eq!(number, next.0[publisher], "message {place}, of publisher {publisher}; {told}");
            next.0[publisher] += 1;
        }
        assert_eq!(next.0, counts, "{told}");
    }
}
