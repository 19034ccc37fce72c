use std::rc::Rc;

use abeyance::{Suspend, suspend};

#[suspend]
async fn enter() -> Suspend {
    let count = Rc::new(1);
    std::future::ready(()).await;
    drop(count);
    Suspend::new()
}

fn main() {}
