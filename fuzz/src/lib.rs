//! Everything that abeyance reads from outside, under arbitrary bytes; and what it writes, read by others.
//!
//! Most of it is public in `abeyance-core` and `abeyance-settings`; the rest is in `abeyance::__fuzzing`, behind a hidden
//! feature. What the macros read is tried in their own unit tests, since a crate of macros exports nothing else. A
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

pub mod corpus; // a target over its corpus
mod event_stream; // server-sent events as a browser reads them
mod mutation; // mutations of inputs
mod pieces; // some bytes in pieces
mod request; // the head of a request, written as text

mod amounts; // durations, sizes and counts
mod behind; // what comes behind a request that is held
mod connections; // a whole server, and what a peer sends to it
mod event_ids; // what a client brings along when it comes back
mod frames; // what a WebSocket peer sends
mod heads; // what a request asks for
mod messages; // what is written to peers
mod origins; // whose page asks
mod paths; // patterns of paths, and paths that match them
mod tokens; // who may speak for a hold
mod topics; // which topics keep their past
mod variables; // what the environment says

/// What takes any bytes, and its name.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, by their names.
pub const TARGETS: [Target; 12] = [
    ("amounts", amounts::amounts),
    ("behind", behind::behind),
    ("connections", connections::connections),
    ("event_ids", event_ids::event_ids),
    ("frames", frames::frames),
    ("heads", heads::heads),
    ("messages", messages::messages),
    ("origins", origins::origins),
    ("paths", paths::paths),
    ("tokens", tokens::tokens),
    ("topics", topics::topics),
    ("variables", variables::variables),
];

/// Runs the target of this name.
///
/// # Panics
/// When there is none, and when it finds something.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    target.unwrap_or_else(|| panic!("no target is named {name}")).1(data);
}
