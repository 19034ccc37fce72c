use abeyance::{End, Ended, Held, Lifecycle, Message};

struct Unnamed;

impl Lifecycle for Unnamed {
    async fn on_message(&mut self, _: &Held, _: Message) -> Result<(), String> {
        Ok(())
    }
}

struct Number;

impl Lifecycle<u32> for Number {
    async fn on_end(self, _: &Ended, _: End) -> u32 {
        1
    }
}

struct Valued;

impl Lifecycle<Result<u32, String>> for Valued {}

struct NoError;

impl Lifecycle<Result<(), u32>> for NoError {}

struct Forgotten;

impl Lifecycle<Result<(), String>> for Forgotten {
    async fn on_message(&mut self, _: &Held, _: Message) {}
}

fn main() {}
