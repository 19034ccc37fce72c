use std::rc::Rc;

use abeyance::{Held, Lifecycle, Message};

struct Seat;

impl Lifecycle for Seat {
    async fn on_message(&mut self, _: &Held, _: Message) {
        let count = Rc::new(1);
        std::future::ready(()).await;
        drop(count);
    }
}

fn main() {}
