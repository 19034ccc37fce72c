use abeyance::{Suspend, suspend};

struct Fault;

#[suspend]
async fn text() -> String {
    String::new()
}

#[suspend]
async fn unanswerable() -> Result<Suspend, Fault> {
    Ok(Suspend::new())
}

#[suspend]
async fn optional() -> Option<Suspend> {
    None
}

fn main() {}
