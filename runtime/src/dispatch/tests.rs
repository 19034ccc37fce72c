//! The dispatch over the network in memory.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::keeper::hub::Hub;
use crate::server::running::Running;
use crate::socket::memory::{Dialer, MemoryDoor, MemoryStream};
use crate::{End, Ended, Held, Lifecycle, Message, Suspend, suspend};

type Ends = Arc<Mutex<Vec<(String, End)>>>;

struct Seat(Ends);

impl Lifecycle for Seat {
    async fn on_message(&mut self, held: &Held, message: Message) {
        held.publish("room", message);
    }
    async fn on_end(self, ended: &Ended, end: End) {
        self.0.lock().push((ended.transport().as_str().to_owned(), end));
    }
}

#[suspend(path = "/room", timeout = "30s", max_idle = "5m")]
async fn room(crate::extract::State(ends): crate::extract::State<Ends>) -> Suspend<Seat> {
    Suspend::with(Seat(ends)).join("room")
}

fn start() -> (Running, Dialer, Ends) {
    let ends = Ends::default();
    let (running, dialer) = crate::Server::new().state(ends.clone()).mount(room).bind_memory().unwrap();
    (running, dialer, ends)
}

async fn ask(dialer: &Dialer, query: &str) -> MemoryStream {
    let mut stream = dialer.dial(SocketAddr::from(([10, 0, 0, 1], 1))).unwrap();
    stream
        .write_all(format!("GET /room?transport={query} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes())
        .await
        .unwrap();
    stream
}

#[tokio::test(start_paused = true)]
async fn scratch() {
    let (running, dialer, ends) = start();
    for transport in ["sse", "stream", "long_poll"] {
        let mut stream = ask(&dialer, transport).await;
        while running.hub().held() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        running.hub().publish("room", "hello");
        let begun = tokio::time::Instant::now();
        let mut text = String::new();
        if transport == "long_poll" {
            let mut b = vec![0; 4096];
            let n = stream.read(&mut b).await.unwrap();
            text.push_str(std::str::from_utf8(&b[..n]).unwrap());
        } else {
            stream.read_to_string(&mut text).await.unwrap();
        }
        println!("--- {transport} {:?}\n{text}", begun.elapsed());
        println!("{:?} {:?}", ends.lock(), running.hub().tally());
    }
    println!("{:?}", running.shutdown().await);
}
