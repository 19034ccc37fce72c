//! Bytes of peers that are not handled yet count against `max_buffered`; above it, the largest holds end.

use std::future::pending;

use abeyance::{Disconnect, End, Transport};
use abeyance_tests::client::Client;
use abeyance_tests::test_server::{TestServer, test_server, until};

/// The bound of these servers.
const MEMORY: usize = 1 << 20;

/// How many clients come, each with 60,000 bytes: three times the bound.
const CROWD: usize = 50;

const EACH: usize = 60_000;

async fn crowd(server: &TestServer, transport: Transport, bytes: &[u8]) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..CROWD {
        let mut client = server.hold(transport).await;
        client.write(bytes).await;
        until("all of it to be read", || {
            let stats = server.hub.stats();
            assert!(stats.waiting <= MEMORY, "{stats:?}");
            stats.waiting >= clients.len().min(10) * EACH
        })
        .await;
        clients.push(client);
    }
    clients
}

/// So much was ended that the rest fits, and no more than that.
async fn assert_bounded(server: TestServer, clients: Vec<Client>) {
    let stats = server.hub.stats();
    let most = MEMORY / EACH;
    assert!((most / 2..=most).contains(&stats.held), "{stats:?}");
    let ends = server.hooks.causes();
    assert_eq!(ends.len() + stats.held, CROWD);
    assert!(ends.iter().all(|end| *end == End::from(Disconnect::Overload)), "{ends:?}");
    drop(clients);
    until("everything to be given back", || server.hub.stats().waiting == 0).await;
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn half_frames_of_many_websockets() {
    let server = test_server().server(|server| server.max_buffered(MEMORY)).start();
    let mut half = vec![0x82, 0xfe, 0xff, 0xdc, 0, 0, 0, 0];
    half.resize(8 + EACH, b'x');
    let mut clients = crowd(&server, Transport::WebSocket, &half).await;
    let ended = server.hooks.holds().iter().position(|held| held.is_ended()).expect("the first to go");
    assert_eq!(clients[ended].end().await, "1008 overload");
    assert_bounded(server, clients).await;
}

#[tokio::test(start_paused = true)]
async fn requests_behind_many_long_polls() {
    let server = test_server().server(|server| server.max_buffered(MEMORY)).start();
    let behind = format!("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: {EACH}\r\n\r\n{}", "x".repeat(EACH));
    let mut clients = crowd(&server, Transport::LongPoll, behind.as_bytes()).await;
    let ended = server.hooks.holds().iter().position(|held| held.is_ended()).expect("the first to go");
    assert_eq!(clients[ended].end().await, "429 retry overload, close");
    assert_bounded(server, clients).await;
}

contract!(posts_that_wait_for_a_hook of streams);
async fn posts_that_wait_for_a_hook(transport: Transport) {
    let server =
        test_server().on_message(|_, _| pending()).server(|server| server.max_buffered(MEMORY)).start();
    let mut clients = Vec::new();
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..5 {
        let client = server.hold(transport).await;
        for _ in 0..8 {
            match client.post(&"x".repeat(EACH)).await.head.status {
                202 => taken += 1,
                429 => refused += 1,
                other => panic!("{other}"),
            }
            let waiting = server.hub.stats().waiting;
            assert!(waiting <= MEMORY, "{waiting}");
        }
        clients.push(client);
    }
    // Half of it stays for what goes out.
    assert!(taken >= MEMORY / 2 / EACH - 1 && refused > 0, "{taken}, {refused}");
    assert_eq!(server.hub.held_count(), 5, "an accepted message costs no hold");
    drop(clients);
    server.close().await;
}
