//! A framework that hides abeyance within itself.

mod framework {
    pub use abeyance as held;
}

#[framework::held::suspend(crate = crate::framework::held)]
async fn enter() -> framework::held::Suspend {
    framework::held::Suspend::new()
}

mod server {
    use crate::framework::held;

    #[held::main(crate = held)]
    #[allow(dead_code)]
    async fn main() -> held::Server {
        held::Server::new()
    }
}

// The program is run, and must not serve.
fn main() {}
