//! Long polling: a request waits at most 25 seconds for a message, and an ordinary route delivers one.
//!
//! ```text
//! curl -i 127.0.0.1:8080/inbox/ann                      # waits; 204 if no message came: then poll again
//! curl -i -d 'you have mail' 127.0.0.1:8080/mail/ann    # from a second terminal: answers the first
//! curl -i -d 'hello?' 127.0.0.1:8080/mail/bob           # 404: nothing is kept for a user who does not wait
//! ```

use abeyance::{Hub, Server, Suspend, extract, suspend};
use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::post;

#[suspend(path = "/inbox/{user}", transports = [long_poll], timeout = "25s")]
async fn inbox(extract::Path(user): extract::Path<String>) -> Suspend {
    Suspend::new().join(user)
}

async fn deliver(hub: Hub, Path(user): Path<String>, text: String) -> (StatusCode, &'static str) {
    match hub.publish(user, text) {
        0 => (StatusCode::NOT_FOUND, "nobody is waiting\n"),
        _ => (StatusCode::ACCEPTED, "delivered\n"),
    }
}

#[abeyance::main(listen = "127.0.0.1:8080")]
async fn main() -> Server {
    Server::new().fallback(Router::new().route("/mail/{user}", post(deliver)))
}
