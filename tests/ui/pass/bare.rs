//! The least that can be written.

use abeyance::{Suspend, suspend};

#[suspend]
async fn enter() -> Suspend {
    Suspend::new()
}

#[suspend()]
async fn r#async() -> Suspend {
    Suspend::new()
}

#[suspend(timeout = "30s", max_idle = "5m")]
async fn timed() -> Suspend {
    Suspend::new()
}

mod server {
    #[abeyance::main]
    #[allow(dead_code)]
    async fn main() {}
}

// The program is run, and must not serve.
fn main() {}
