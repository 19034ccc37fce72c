//! The settings of [abeyance](https://docs.rs/abeyance): how they are written, their defaults, and which contradict one
//! another.
//!
//! The macros judge an annotation with this crate, and the runtime judges the environment and the code with it. So a
//! compile error and an error at start say the same. It has no dependencies, because the macros wait for it.
//!
//! This crate has no stable interface of its own. Depend on `abeyance`, which re-exports what its users need.
#![allow(
    missing_docs,
    reason = "what users see is documented; the rest is internal, with comments where they help"
)]

pub mod amount; // durations, sizes and counts as text
pub mod endpoint; // what an annotation, the environment or a `Suspend` may set
pub mod kind; // the kinds of values: how each is read, written and judged
pub mod path;
pub mod table; // the macro that makes a table of settings // the path of an annotation
