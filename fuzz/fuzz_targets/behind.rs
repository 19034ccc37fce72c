//! The target `behind` for `cargo fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| abeyance_fuzz::run("behind", data));
