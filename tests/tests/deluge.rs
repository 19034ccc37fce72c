//! A WebSocket peer that goes on sending for ever, whatever the server says: its ending has a deadline all the same.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use abeyance::{Held, Lifecycle, Message, Server, Suspend, suspend};

struct Ear;

impl Lifecycle for Ear {
    async fn on_message(&mut self, _: &Held, message: Message) {
        if message.as_bytes().first() == Some(&b's') {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

#[suspend(path = "/hold", timeout = "30m", max_idle = "1h", heartbeat = "none")]
async fn hold() -> Suspend<Ear> {
    Suspend::with(Ear)
}

fn frame(first: u8) -> Vec<u8> {
    let mut frame = vec![0x82, 0xfe, 0xea, 0x60, 0, 0, 0, 0];
    frame.resize(8 + 60_000, b'x');
    frame[8] = first;
    frame
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ending_is_over_although_its_peer_never_stops_sending() {
    let server = Server::new().mount(hold).polite_end(Duration::from_millis(300)).bind("127.0.0.1:0").await.unwrap();
    let hub = server.hub();
    let addr = server.addr();
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
        let begun = Instant::now();
        let mut sent = 0;
        while begun.elapsed() < Duration::from_secs(20) {
            if stream.write_all(&frame(b'x')).is_err() {
                break;
            }
            sent += 60_008;
        }
        (sent, begun.elapsed())
    });
    while hub.held() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // It is within the slow message by now, and as much lies in the socket as there is room for.
    tokio::time::sleep(Duration::from_millis(700)).await;
    let listed = hub.list();
    assert!(hub.end(listed[0].id));
    let begun = Instant::now();
    while hub.tally().ending > 0 && begun.elapsed() < Duration::from_secs(12) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (tally, took) = (hub.tally(), begun.elapsed());
    println!("{took:?} {tally:?}");
    let drained = server.shutdown().await;
    println!("{drained:?} client {:?}", client.join().unwrap());
    assert_eq!(tally.ending, 0, "after {took:?}");
}
