//! What the server says of each end, and whether its clients saw the same.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use abeyance::Transport;
use tokio::time::Instant;

use super::diary::{Seen, Sight};

/// One end, as its hook was told.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) visit: u64,
    pub(super) transport: Transport,
    pub(super) cause: &'static str,
    pub(super) at: Instant,
}

/// What came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Compared {
    /// How many visits were held of clients that tell what they saw.
    pub(super) witnessed: usize,
    /// How many of them ended by the drain.
    pub(super) drained: usize,
    /// How many of these had left by themselves before they could see it.
    pub(super) left: usize,
    /// What one side says and the other does not.
    pub(super) lies: Vec<String>,
    /// Polite ends that the server says it wrote, and a client that read on did not get.
    pub(super) missed: Vec<String>,
}

/// What a client that reads to the end must see.
enum Due {
    /// These words.
    Told(String),
    /// An end without words.
    Cut,
    /// A poll's message, or the word that what it missed is gone.
    Answer,
    /// These words if they fitted, or none.
    Perhaps(String),
    /// Nothing: it left.
    Gone,
}

/// Compares what both sides say.
pub(super) fn compare(entries: &[Entry], seen: &[Seen]) -> Compared {
    let mut compared = Compared::default();
    let mut ends = HashMap::with_capacity(entries.len());
    for entry in entries {
        match ends.entry(entry.visit) {
            Slot::Vacant(slot) => drop(slot.insert(entry)),
            Slot::Occupied(_) => compared.lies.push(format!("visit {}: two end hooks", entry.visit)),
        }
    }
    for Seen { visit, transport, sight } in seen {
        let who = format!("visit {visit} ({})", transport.as_str());
        let Some(entry) = ends.get(visit) else {
            // A client whose request was not held cannot have been told of an end.
            if let Sight::Told(words) = sight {
                compared.lies.push(format!("{who} was told {words:?}, and no end hook was called"));
            } else if *sight == Sight::Open {
                compared.lies.push(format!("{who} was left open, and no end hook was called"));
            }
            continue;
        };
        compared.witnessed += 1;
        if entry.transport != *transport {
            compared.lies.push(format!("{who} was held by {}", entry.transport.as_str()));
            continue;
        }
        let is_drained = entry.cause == "drained";
        compared.drained += usize::from(is_drained);
        compared.left += usize::from(is_drained && *sight == Sight::Left);
        match (due(*transport, entry.cause), sight) {
            // It may have left while the end was on its way.
            (_, Sight::Left) => {}
            (Due::Told(due) | Due::Perhaps(due), Sight::Told(words)) if due == *words => {}
            (Due::Answer, Sight::Told(words)) if ["200", "204, resync"].contains(&&**words) => {}
            (Due::Perhaps(_) | Due::Cut, Sight::Cut) => {}
            (Due::Answer, Sight::Cut) => compared.missed.push(format!("{who} was cut before its answer")),
            (Due::Told(due), Sight::Cut) => {
                compared.missed.push(format!("{who} ended as {}, and was cut without {due:?}", entry.cause));
            }
            (_, sight) => {
                compared.lies.push(format!("{who} ended as {}, and its client saw: {sight}", entry.cause));
            }
        }
    }
    compared
}

/// The table of the ends on the wire, as a client reads it (`ending.rs`).
fn due(transport: Transport, cause: &str) -> Due {
    use Transport::{LongPoll, Sse, Stream, WebSocket};
    let told = |words: &str| Due::Told(words.to_owned());
    match (transport, cause) {
        (_, "closed" | "gone" | "reset") => Due::Gone,
        // Its kernel took nothing for so long: a process that stood still cannot tell.
        (_, "unreachable") => Due::Cut,
        (WebSocket, "timeout" | "lifetime" | "released") => Due::Told(format!("1000 {cause}")),
        (WebSocket, "evicted") => told("1013 evicted, later"),
        (WebSocket, "drained") => told("1001 drained, later"),
        (WebSocket, "shutdown") => told("1001 shutdown"),
        (WebSocket, "kicked") => told("1008 odd"),
        (WebSocket, "failed") => told("1011 failed"),
        (WebSocket, "idle") => Due::Perhaps("1001 idle".into()),
        (WebSocket, _) => Due::Perhaps(format!("1008 {cause}")),
        (LongPoll, "answered") => Due::Answer,
        (LongPoll, "timeout" | "lifetime" | "released") => told("204"),
        (LongPoll, "evicted" | "drained" | "shutdown") => Due::Told(format!("503 {cause}, later")),
        (LongPoll, "kicked") => told("410 odd"),
        (LongPoll, "failed") => told("500 failed"),
        (LongPoll, "idle") => Due::Perhaps("408 idle".into()),
        (Sse, "timeout" | "lifetime" | "released") => told(cause),
        (Sse, "evicted" | "drained") => Due::Told(format!("{cause}, later")),
        (Sse, "kicked") => told("odd"),
        (Stream, "timeout" | "lifetime" | "released" | "evicted" | "drained" | "kicked") => {
            told("in good order")
        }
        _ => Due::Cut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn outcome(cause: &'static str, transport: Transport, sight: Sight) -> Compared {
        let entry = Entry { visit: 1, transport, cause, at: Instant::now() };
        compare(&[entry], &[Seen { visit: 1, transport, sight }])
    }

    fn told(words: &str) -> Sight {
        Sight::Told(words.into())
    }

    #[tokio::test]
    async fn clients_that_saw_what_the_server_says_are_no_fault() {
        for (cause, transport, sight) in [
            ("drained", Transport::WebSocket, told("1001 drained, later")),
            ("drained", Transport::Sse, told("drained, later")),
            ("drained", Transport::Stream, told("in good order")),
            ("drained", Transport::LongPoll, told("503 drained, later")),
            ("drained", Transport::LongPoll, Sight::Left),
            ("answered", Transport::LongPoll, told("200")),
            ("answered", Transport::LongPoll, told("204, resync")),
            ("slow", Transport::WebSocket, Sight::Cut),
            ("slow", Transport::WebSocket, told("1008 slow")),
            ("failed", Transport::Sse, Sight::Cut),
            ("gone", Transport::Sse, Sight::Left),
        ] {
            let compared = outcome(cause, transport, sight.clone()).await;
            assert!(compared.lies.is_empty() && compared.missed.is_empty(), "{cause}, {sight}: {compared:?}");
            assert_eq!(compared.witnessed, 1);
        }
    }

    #[tokio::test]
    async fn whatever_the_two_sides_say_differently_is_told() {
        for (cause, transport, sight) in [
            ("drained", Transport::WebSocket, told("1001 shutdown")),
            ("drained", Transport::WebSocket, told("1001 drained")),
            ("timeout", Transport::Sse, told("drained, later")),
            ("gone", Transport::Sse, told("timeout")),
            ("gone", Transport::Stream, Sight::Cut),
            ("failed", Transport::Stream, told("in good order")),
            ("drained", Transport::Stream, Sight::Open),
            ("answered", Transport::LongPoll, Sight::Refused),
            ("answered", Transport::LongPoll, told("204")),
        ] {
            let compared = outcome(cause, transport, sight.clone()).await;
            assert_eq!(
                (compared.lies.len(), compared.missed.len()),
                (1, 0),
                "{cause}, {sight}: {compared:?}"
            );
        }
        for (transport, due) in [(Transport::WebSocket, "1001 drained"), (Transport::Stream, "in good order")]
        {
            let compared = outcome("drained", transport, Sight::Cut).await;
            assert!(compared.missed[0].contains(due) && compared.lies.is_empty(), "{compared:?}");
        }
    }

    #[tokio::test]
    async fn ends_without_a_hook_and_with_two_are_told() {
        let entry = Entry { visit: 1, transport: Transport::Sse, cause: "gone", at: Instant::now() };
        assert!(compare(&[entry.clone(), entry], &[]).lies[0].contains("two end hooks"));
        let seen = |sight| [Seen { visit: 9, transport: Transport::Sse, sight }];
        assert!(compare(&[], &seen(told("timeout"))).lies[0].contains("no end hook"));
        assert!(compare(&[], &seen(Sight::Open)).lies[0].contains("left open"));
        assert_eq!(compare(&[], &seen(Sight::Refused)), Compared::default());
        let entry = Entry { visit: 9, transport: Transport::Stream, cause: "gone", at: Instant::now() };
        assert!(compare(&[entry], &seen(Sight::Left)).lies[0].contains("held by stream"));
    }
}
