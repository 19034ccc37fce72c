//! Hooks that fail with `?`, with any error that turns into a `BoxError`: no lint has to be allowed for it.
#![deny(warnings)]

use abeyance::{BoxError, End, Ended, Held, Lifecycle, Message, Refusal, Resume, Suspend, suspend};

pub struct Counter(u64);

impl Lifecycle<Result<(), std::num::ParseIntError>> for Counter {
    async fn on_message(&mut self, _: &Held, message: Message) -> Result<(), std::num::ParseIntError> {
        self.0 += message.as_text().unwrap_or("").parse::<u64>()?;
        Ok(())
    }
}

/// Errors of several types, and one end hook that calls the other.
pub struct Mixed;

impl Lifecycle<Result<(), BoxError>> for Mixed {
    async fn on_suspend(&mut self, held: &Held) -> Result<(), BoxError> {
        held.send("hello")?;
        Ok(())
    }

    async fn on_resume(self, ended: &Ended, cause: Resume) -> Result<(), BoxError> {
        self.on_end(ended, cause.into()).await
    }

    async fn on_end(self, _: &Ended, end: End) -> Result<(), BoxError> {
        std::str::from_utf8(b"text")?;
        Err(format!("{end}"))?
    }
}

/// Named errors without `std::error::Error`.
pub struct Texts;

impl Lifecycle<Result<(), String>> for Texts {
    async fn on_end(self, _: &Ended, _: End) -> Result<(), String> {
        Err("a text".into())
    }
}

/// What every context was before there were such hooks.
pub struct Sure;

impl Lifecycle for Sure {
    async fn on_message(&mut self, _: &Held, _: Message) {}

    async fn on_resume(self, ended: &Ended, cause: Resume) {
        self.on_end(ended, cause.into()).await;
    }
}

#[suspend]
async fn count() -> Suspend<Counter> {
    Suspend::with(Counter(0))
}

#[suspend]
async fn mix() -> Result<Suspend<Mixed>, Refusal> {
    Ok(Suspend::with(Mixed))
}

#[suspend]
async fn tell() -> Suspend<Texts> {
    Suspend::with(Texts)
}

#[suspend]
async fn agree() -> Suspend<Sure> {
    Suspend::with(Sure)
}

fn main() {}
