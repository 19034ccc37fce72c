//! A WebSocket peer that sends for ever and ignores its ending: `close_timeout` bounds the ending all the same.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use abeyance::{Held, Lifecycle, Message, Server, Suspend, suspend};

/// Whether `on_message` runs for the slow message.
static IS_BUSY: AtomicBool = AtomicBool::new(false);

struct SlowHook;

impl Lifecycle for SlowHook {
    async fn on_message(&mut self, _: &Held, message: Message) {
        if message.as_bytes().first() == Some(&b's') {
            IS_BUSY.store(true, SeqCst);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

#[suspend(path = "/hold", timeout = "30m", max_idle = "1h", heartbeat = "none")]
async fn hold() -> Suspend<SlowHook> {
    Suspend::with(SlowHook)
}

fn frame(first: u8) -> Vec<u8> {
    let mut frame = vec![0x82, 0xfe, 0xea, 0x60, 0, 0, 0, 0];
    frame.resize(8 + 60_000, b'x');
    frame[8] = first;
    frame
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ending_is_over_although_its_peer_never_stops_sending() {
    let server = Server::new()
        .mount(hold)
        .close_timeout(Duration::from_millis(300))
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let hub = server.hub();
    let addr = server.local_addr();
    let client = thread::spawn(move || {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream
            .write_all(b"GET /hold HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n")
            .unwrap();
        let mut head = [0; 1024];
        assert!(stream.read(&mut head).unwrap() > 12);
        for _ in 0..300 {
            stream.write_all(&frame(b'x')).unwrap();
        }
        stream.write_all(&frame(b's')).unwrap();
        // Until the server has cut it.
        while stream.write_all(&frame(b'x')).is_ok() {}
    });
    let until = async |is_so: &dyn Fn() -> bool| {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    until(&|| IS_BUSY.load(SeqCst)).await;
    assert!(hub.resume(hub.list()[0].id));
    // More is always there to be read: nothing but a bound of the server's ends that.
    let is_over = || hub.stats().ending == 0;
    tokio::time::timeout(Duration::from_secs(60), until(&is_over)).await.expect("an end of the ending");
    server.shutdown().await;
    client.join().expect("the client was cut");
}
