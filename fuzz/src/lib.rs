//! Everything that abeyance reads from outside, under bytes that nobody foresaw; and what it writes, read by others.
//!
//! This package compiles the files of the runtime and of the macros that read and write, since they are private. A
//! *target* is a function that takes any bytes, has one of our parsers or encoders make something of them, and panics
//! where a law does not hold: what came in pieces is what came at once, what was written is read as it was meant, by
//! us and by others. There is a file for each. Its inputs worth keeping lie in `corpus/<target>/`: hand-chosen ones by
//! their names, and those that once broke something.
//!
//! `cargo test -p abeyance-fuzz` runs every target over its corpus and over some mutations of it, always the same.
//! `MUTATIONS=100000 cargo test -p abeyance-fuzz frames` tries so many. To search for long, with coverage, on
//! a nightly compiler:
//!
//! ```text
//! cargo install cargo-fuzz
//! CARGO_PROFILE_RELEASE_LTO=off cargo +nightly fuzz run --features libfuzzer frames
//! ```
//!
//! (Without the first word it is the same, and takes minutes to build.)
//!
//! Put what it finds into the corpus, under a name that says what it was; what it collects there by itself, under
//! names of forty digits, git does not see and the test does not read.

// Cargo compiles it as one where a test is asked for by its name.
#![cfg(not(test))]
#![allow(
    clippy::duplicate_mod,
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "the targets use a part of the runtime's and the macros' files, and one of them from two places"
)]

#[path = "../../runtime/src/sync/mod.rs"]
mod sync;

#[path = "../../runtime/src/words/mod.rs"]
mod words;

#[path = "../../runtime/src/mechanisms/mod.rs"]
mod mechanisms;

#[path = "../../runtime/src/keeper/token.rs"]
mod token;

mod dispatch;
mod endpoint;
mod server;

#[path = "../../macros/src/entry/mod.rs"]
mod entry;
#[path = "../../macros/src/faults.rs"]
mod faults;
#[path = "../../macros/src/function.rs"]
mod function;
#[path = "../../macros/src/pairs.rs"]
mod pairs;
#[path = "../../macros/src/setting.rs"]
mod setting;
#[path = "../../macros/src/suspend/mod.rs"]
mod suspend;

mod event_stream; // server-sent events as a browser reads them
mod pieces; // some bytes in pieces
mod request; // the head of a request, written as text

mod amounts; // durations, sizes and counts
mod annotations; // what is written in `#[suspend]` and `#[main]`
mod connections; // a whole server, and what a peer sends to it
mod event_ids; // what a client brings along when it comes back
mod frames; // what a WebSocket peer sends
mod messages; // what is written to peers
mod tokens; // who may speak for a hold
mod topics; // which topics keep their past

/// What takes any bytes, and its name.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, by their names.
pub const TARGETS: [Target; 13] = [
    ("amounts", amounts::amounts),
    ("annotations", annotations::annotations),
    ("behind", dispatch::behind::behind),
    ("connections", connections::connections),
    ("event_ids", event_ids::event_ids),
    ("frames", frames::frames),
    ("heads", dispatch::heads::heads),
    ("messages", messages::messages),
    ("origins", dispatch::origins::origins),
    ("paths", endpoint::paths::paths),
    ("tokens", tokens::tokens),
    ("topics", topics::topics),
    ("variables", server::variables::variables),
];

/// Runs the target of this name.
///
/// # Panics
/// When there is none, and when it finds something.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    target.unwrap_or_else(|| panic!("no target is named {name}")).1(data);
}
