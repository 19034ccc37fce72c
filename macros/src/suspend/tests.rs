//! The expansion, read as Rust in `expansions/`. Tokens are compared, so their layout is free.

use proc_macro2::TokenStream;

use super::suspend;

#[test]
fn a_bare_annotation_expands_to_a_record_of_defaults() {
    let item = "async fn enter() -> Suspend { Suspend::new() }";
    compare("", item, include_str!("expansions/bare.rs"));
}

#[test]
fn every_key_stands_in_the_record() {
    let annotation = r#"
        path = "/rooms/{room}",
        transports = [websocket, long_poll],
        timeout = "30s",
        max_idle = "none",
        max_lifetime = "1d",
        heartbeat = "1500ms",
        max_suspended = 10_000,
        max_per_peer = 100,
        max_per_key = 3,
        when_full = "resume_oldest",
        when_evicted = "stay_away",
        send_buffer = "32KiB",
        when_slow = "drop_oldest",
        max_message = "1MiB",
        crate = my::abeyance
    "#;
    let item = r#"
        #[cfg(unix)]
        #[inline]
        pub(crate) async fn enter(Path(room): Path<String>, hub: Hub) -> Result<Suspend<Seat>, Refusal> {
            Ok(Suspend::with(Seat { room, hub }))
        }
    "#;
    compare(annotation, item, include_str!("expansions/every_key.rs"));
}

#[test]
fn a_faulty_annotation_leaves_the_function_as_it_was_and_no_record() {
    let item = "async fn enter() -> Suspend { Suspend::new() }";
    let expanded = suspend(tokens("timeout = 30, colour = \"red\""), tokens(item)).to_string();
    assert!(expanded.starts_with(&tokens(item).to_string()), "{expanded}");
    assert_eq!(expanded.matches("compile_error").count(), 2, "{expanded}");
    assert!(!expanded.contains("inventory"), "{expanded}");
}

#[track_caller]
fn compare(annotation: &str, item: &str, expected: &str) {
    let expanded = suspend(tokens(annotation), tokens(item)).to_string();
    let same = letters(&expanded) == letters(&tokens(expected).to_string());
    assert!(same, "the expansion is another than the one checked in:\n{expanded}");
}

fn tokens(text: &str) -> TokenStream {
    text.parse().expect("Rust")
}

/// The text without white space and without commas before a closing bracket, which rustfmt adds and drops as it likes.
fn letters(text: &str) -> String {
    let text = text.replace(char::is_whitespace, "");
    [",)", ",]", ",}", ",>"].into_iter().fold(text, |text, end| text.replace(end, &end[1..]))
}
