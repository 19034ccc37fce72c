//! The target `messages` for `cargo fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| abeyance_fuzz::run("messages", data));
