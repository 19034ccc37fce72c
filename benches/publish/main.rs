//! What one delivery of a published message costs the server, and when all have it: a bare loop of `write`, abeyance,
//! and axum with a broadcast channel, side by side.
//!
//! ```text
//! cargo bench -p abeyance-benches --bench publish
//! cargo bench -p abeyance-benches --bench publish -- --quick
//! cargo bench -p abeyance-benches --bench publish -- --help
//! ```
//!
//! `cargo test --benches` does not measure: it lets each server deliver to a few peers once.

use std::process::ExitCode;

fn main() -> ExitCode {
    abeyance_benches::publish(std::env::args().skip(1))
}
