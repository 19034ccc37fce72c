//! The kinds of values that settings have: how each is read, written and judged.

use std::time::Duration;

use crate::amount::{self, Misread};

/// A kind of value that a setting has.
pub trait Kind {
    /// The value, as code has it.
    type Value;

    /// What a fault says was expected.
    const EXPECTED: &'static str;

    /// Reads a value as the environment and the annotations give it.
    ///
    /// # Errors
    /// The text is no such value.
    fn read(text: &str) -> Result<Self::Value, Misread>;

    /// The value as it is written.
    fn spell(value: &Self::Value) -> String;

    /// Judges a value that code gave; text is judged when it is read.
    ///
    /// # Errors
    /// Why the value cannot be meant.
    fn judge(_: &Self::Value) -> Result<(), String> {
        Ok(())
    }
}

/// How many of something there may be; at least one.
#[derive(Debug)]
pub struct Count;

/// How many of something there may be; zero for none at all.
#[derive(Debug)]
pub struct CountOrZero;

/// How many bytes.
#[derive(Debug)]
pub struct Size;

/// How long; longer than zero, at most a year.
#[derive(Debug)]
pub struct Span;

/// How long, at most a year. Code may say zero.
#[derive(Debug)]
pub struct SpanOrZero;

/// How long, or `none` for without end.
#[derive(Debug)]
pub struct Clock;

impl Kind for Count {
    type Value = usize;
    const EXPECTED: &'static str = amount::A_COUNT;

    fn read(text: &str) -> Result<usize, Misread> {
        amount::count(text)
    }

    fn spell(value: &usize) -> String {
        value.to_string()
    }

    fn judge(value: &usize) -> Result<(), String> {
        if *value == 0 { Err(String::from(amount::REFUSES_ALL)) } else { Ok(()) }
    }
}

impl Kind for CountOrZero {
    type Value = usize;
    const EXPECTED: &'static str = amount::A_COUNT;

    fn read(text: &str) -> Result<usize, Misread> {
        if text == "0" { Ok(0) } else { amount::count(text) }
    }

    fn spell(value: &usize) -> String {
        value.to_string()
    }
}

impl Kind for Size {
    type Value = usize;
    const EXPECTED: &'static str = amount::A_SIZE;

    fn read(text: &str) -> Result<usize, Misread> {
        amount::size(text)
    }

    fn spell(value: &usize) -> String {
        amount::spell_size(*value)
    }
}

impl Kind for Span {
    type Value = Duration;
    const EXPECTED: &'static str = amount::A_DURATION;

    fn read(text: &str) -> Result<Duration, Misread> {
        amount::duration(text)
    }

    fn spell(value: &Duration) -> String {
        amount::spell_duration(*value)
    }

    fn judge(value: &Duration) -> Result<(), String> {
        if value.is_zero() { Err(String::from(amount::NO_TIME)) } else { SpanOrZero::judge(value) }
    }
}

impl Kind for SpanOrZero {
    type Value = Duration;
    const EXPECTED: &'static str = amount::A_DURATION;

    fn read(text: &str) -> Result<Duration, Misread> {
        amount::duration(text)
    }

    fn spell(value: &Duration) -> String {
        amount::spell_duration(*value)
    }

    fn judge(value: &Duration) -> Result<(), String> {
        if *value > amount::LONGEST { Err(amount::too_long()) } else { Ok(()) }
    }
}

impl Kind for Clock {
    type Value = Option<Duration>;
    const EXPECTED: &'static str = amount::A_CLOCK;

    fn read(text: &str) -> Result<Option<Duration>, Misread> {
        amount::clock(text)
    }

    fn spell(value: &Option<Duration>) -> String {
        amount::spell_clock(*value)
    }

    fn judge(value: &Option<Duration>) -> Result<(), String> {
        value.as_ref().map_or(Ok(()), Span::judge)
    }
}
