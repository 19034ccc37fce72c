use abeyance::{Server, Suspend, suspend};

#[suspend]
async fn enter() -> Suspend {
    Suspend::new()
}

async fn plain() -> String {
    String::new()
}

fn not_async() -> Suspend {
    Suspend::new()
}

fn main() {
    let _ = Server::new().mount(42);
    let _ = Server::new().mount("/enter");
    let _ = Server::new().mount(enter());
    let _ = Server::new().mount(plain);
    let _ = Server::new().mount(not_async);
}
