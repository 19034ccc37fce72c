use abeyance::{Disconnect, End, Ended, Held, Lifecycle, Message, Resume};

struct Shared;

impl Lifecycle for Shared {
    async fn on_message(&self, _: &Held, _: Message) {}
    async fn on_end(&mut self, _: &Ended, _: End) {}
}

struct WrongCause;

impl Lifecycle for WrongCause {
    async fn on_resume(self, _: &Ended, _: Disconnect) {}
    async fn on_disconnect(self, _: &Ended, _: Resume) {}
}

struct Owned;

impl Lifecycle for Owned {
    async fn on_suspend(&mut self, _: Held) {}
}

struct Misspelt;

impl Lifecycle for Misspelt {
    async fn on_mesage(&mut self, _: &Held, _: Message) {}
}

fn main() {}
