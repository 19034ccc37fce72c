//! The target `event_ids` for `cargo fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| abeyance_fuzz::run("event_ids", data));
