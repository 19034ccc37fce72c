//! The small grammar of durations (`"1h30m"`) and sizes (`"64KiB"`).
//!
//! The macros crate reads this same file. Our own because humantime reads `"1M"` as a month and others as a minute.
