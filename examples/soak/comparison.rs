//! Compares the ends that the server reports with those that its clients saw.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use abeyance::Transport;
use tokio::time::Instant;

use super::client_log::{Seen, SeenEnd};

/// One call of an end hook.
#[derive(Clone, Debug)]
pub(super) struct EndCall {
    pub(super) connection: u64,
    pub(super) transport: Transport,
    pub(super) cause: &'static str,
    pub(super) at: Instant,
}

/// The differences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    /// How many holds there were of clients that report what they saw.
    pub(super) witnessed: usize,
    /// How many of them the drain ended.
    pub(super) drained: usize,
    /// How many of these had left before they could see it.
    pub(super) left: usize,
    /// Ends that the server and a client report differently.
    pub(super) contradictions: Vec<String>,
    /// Endings that the server reports as written, and that a client which read to the end did not get.
    pub(super) missed: Vec<String>,
}

/// What a client that reads to the end must see.
enum Expected {
    /// This ending.
    Told(String),
    /// The end of the connection without an ending.
    Cut,
    /// A poll's message, or a resync.
    Answer,
    /// This ending if there was room for it, or none.
    Perhaps(String),
    /// Nothing: the client left.
    Gone,
}

/// Compares the two reports.
pub(super) fn compare(entries: &[EndCall], seen: &[Seen]) -> Comparison {
    let mut comparison = Comparison::default();
    let mut ends = HashMap::with_capacity(entries.len());
    for entry in entries {
        match ends.entry(entry.connection) {
            Slot::Vacant(slot) => drop(slot.insert(entry)),
            Slot::Occupied(_) => {
                comparison.contradictions.push(format!("connection {}: two end hooks", entry.connection))
            }
        }
    }
    for Seen { connection, transport, end_seen } in seen {
        let who = format!("connection {connection} ({})", transport.as_str());
        let Some(entry) = ends.get(connection) else {
            // A client whose request was not held cannot have been told of an end.
            if let SeenEnd::Told(words) = end_seen {
                comparison
                    .contradictions
                    .push(format!("{who} was told {words:?}, and no end hook was called"));
            } else if *end_seen == SeenEnd::Open {
                comparison.contradictions.push(format!("{who} was left open, and no end hook was called"));
            }
            continue;
        };
        comparison.witnessed += 1;
        if entry.transport != *transport {
            comparison.contradictions.push(format!("{who} was held by {}", entry.transport.as_str()));
            continue;
        }
        let is_drained = entry.cause == "drained";
        comparison.drained += usize::from(is_drained);
        comparison.left += usize::from(is_drained && *end_seen == SeenEnd::Left);
        match (expected(*transport, entry.cause), end_seen) {
            // The client may have left while the ending was on its way.
            (_, SeenEnd::Left) => {}
            (Expected::Told(due) | Expected::Perhaps(due), SeenEnd::Told(words)) if due == *words => {}
            (Expected::Answer, SeenEnd::Told(words)) if ["200", "204, resync"].contains(&&**words) => {}
            (Expected::Perhaps(_) | Expected::Cut, SeenEnd::Cut) => {}
            (Expected::Answer, SeenEnd::Cut) => {
                comparison.missed.push(format!("{who} was cut before its answer"))
            }
            (Expected::Told(due), SeenEnd::Cut) => {
                comparison
                    .missed
                    .push(format!("{who} ended as {}, and was cut without {due:?}", entry.cause));
            }
            (_, end_seen) => {
                comparison
                    .contradictions
                    .push(format!("{who} ended as {}, and its client saw: {end_seen}", entry.cause));
            }
        }
    }
    comparison
}

/// The ending of each transport for each cause, as a client reads it (`ending.rs`).
fn expected(transport: Transport, cause: &str) -> Expected {
    use Transport::{LongPoll, Sse, Stream, WebSocket};
    let told = |words: &str| Expected::Told(words.to_owned());
    match (transport, cause) {
        (_, "closed" | "gone" | "reset") => Expected::Gone,
        // Its kernel took nothing for so long: it can have seen no ending.
        (_, "unreachable") => Expected::Cut,
        (WebSocket, "timeout" | "lifetime" | "released") => Expected::Told(format!("1000 {cause}")),
        (WebSocket, "evicted") => told("1013 evicted, later"),
        (WebSocket, "drained") => told("1001 drained, later"),
        (WebSocket, "shutdown") => told("1001 shutdown"),
        (WebSocket, "kicked") => told("1008 odd"),
        (WebSocket, "failed") => told("1011 failed"),
        (WebSocket, "idle") => Expected::Perhaps("1001 idle".into()),
        (WebSocket, _) => Expected::Perhaps(format!("1008 {cause}")),
        (LongPoll, "answered") => Expected::Answer,
        (LongPoll, "timeout" | "lifetime" | "released") => told("204"),
        (LongPoll, "evicted" | "drained" | "shutdown") => Expected::Told(format!("503 {cause}, later")),
        (LongPoll, "kicked") => told("410 odd"),
        (LongPoll, "failed") => told("500 failed"),
        (LongPoll, "idle") => Expected::Perhaps("408 idle".into()),
        (Sse, "timeout" | "lifetime" | "released") => told(cause),
        (Sse, "evicted" | "drained") => Expected::Told(format!("{cause}, later")),
        (Sse, "kicked") => told("odd"),
        (Stream, "timeout" | "lifetime" | "released" | "evicted" | "drained" | "kicked") => {
            told("in good order")
        }
        _ => Expected::Cut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn outcome(cause: &'static str, transport: Transport, end_seen: SeenEnd) -> Comparison {
        let entry = EndCall { connection: 1, transport, cause, at: Instant::now() };
        compare(&[entry], &[Seen { connection: 1, transport, end_seen }])
    }

    fn told(words: &str) -> SeenEnd {
        SeenEnd::Told(words.into())
    }

    #[tokio::test]
    async fn clients_that_saw_what_the_server_reports_are_no_difference() {
        for (cause, transport, end_seen) in [
            ("drained", Transport::WebSocket, told("1001 drained, later")),
            ("drained", Transport::Sse, told("drained, later")),
            ("drained", Transport::Stream, told("in good order")),
            ("drained", Transport::LongPoll, told("503 drained, later")),
            ("drained", Transport::LongPoll, SeenEnd::Left),
            ("answered", Transport::LongPoll, told("200")),
            ("answered", Transport::LongPoll, told("204, resync")),
            ("slow", Transport::WebSocket, SeenEnd::Cut),
            ("slow", Transport::WebSocket, told("1008 slow")),
            ("failed", Transport::Sse, SeenEnd::Cut),
            ("gone", Transport::Sse, SeenEnd::Left),
        ] {
            let comparison = outcome(cause, transport, end_seen.clone()).await;
            assert!(
                comparison.contradictions.is_empty() && comparison.missed.is_empty(),
                "{cause}, {end_seen}: {comparison:?}"
            );
            assert_eq!(comparison.witnessed, 1);
        }
    }

    #[tokio::test]
    async fn each_difference_between_the_two_sides_is_reported() {
        for (cause, transport, end_seen) in [
            ("drained", Transport::WebSocket, told("1001 shutdown")),
            ("drained", Transport::WebSocket, told("1001 drained")),
            ("timeout", Transport::Sse, told("drained, later")),
            ("gone", Transport::Sse, told("timeout")),
            ("gone", Transport::Stream, SeenEnd::Cut),
            ("failed", Transport::Stream, told("in good order")),
            ("drained", Transport::Stream, SeenEnd::Open),
            ("answered", Transport::LongPoll, SeenEnd::Refused),
            ("answered", Transport::LongPoll, told("204")),
        ] {
            let comparison = outcome(cause, transport, end_seen.clone()).await;
            assert_eq!(
                (comparison.contradictions.len(), comparison.missed.len()),
                (1, 0),
                "{cause}, {end_seen}: {comparison:?}"
            );
        }
        for (transport, due) in [(Transport::WebSocket, "1001 drained"), (Transport::Stream, "in good order")]
        {
            let comparison = outcome("drained", transport, SeenEnd::Cut).await;
            assert!(
                comparison.missed[0].contains(due) && comparison.contradictions.is_empty(),
                "{comparison:?}"
            );
        }
    }

    #[tokio::test]
    async fn ends_without_a_hook_and_with_two_are_reported() {
        let entry = EndCall { connection: 1, transport: Transport::Sse, cause: "gone", at: Instant::now() };
        assert!(compare(&[entry.clone(), entry], &[]).contradictions[0].contains("two end hooks"));
        let seen = |end_seen| [Seen { connection: 9, transport: Transport::Sse, end_seen }];
        assert!(compare(&[], &seen(told("timeout"))).contradictions[0].contains("no end hook"));
        assert!(compare(&[], &seen(SeenEnd::Open)).contradictions[0].contains("left open"));
        assert_eq!(compare(&[], &seen(SeenEnd::Refused)), Comparison::default());
        let entry =
            EndCall { connection: 9, transport: Transport::Stream, cause: "gone", at: Instant::now() };
        assert!(compare(&[entry], &seen(SeenEnd::Left)).contradictions[0].contains("held by stream"));
    }
}
