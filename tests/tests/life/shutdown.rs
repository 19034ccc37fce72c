//! A shutdown: every hold gets an ending and its end hook, and it takes no longer than it may.

use std::future::pending;

use abeyance::{Disconnect, Resume, Transport};
use abeyance_tests::test_server::test_server;
use tokio::time::{Instant, sleep};

use super::{LATE, seconds};

contract!(three_hundred_holds_are_drained_each_with_its_ending of all);
async fn three_hundred_holds_are_drained_each_with_its_ending(transport: Transport) {
    let server = test_server().start();
    let mut clients = Vec::new();
    for _ in 0..300 {
        let mut client = server.hold(transport).await;
        clients.push(tokio::spawn(async move { client.end().await }));
    }
    assert_eq!(server.hub.held_count(), 300);
    let (hub, record) = (server.hub.clone(), server.hooks.clone());
    let begun = Instant::now();
    let drained = server.close().await;
    assert!(begun.elapsed() <= seconds(10) + LATE, "{:?}", begun.elapsed());
    assert_eq!((drained.holds_cut, drained.connections_cut), (0, 0));
    assert_eq!(hub.stats().ended("drained"), 300);
    assert!(record.causes().iter().all(|end| *end == Resume::Drained.into()));
    let expected = match transport {
        Transport::WebSocket => "1001 drained; retry-after",
        Transport::Sse => "retry resumed drained, last",
        Transport::Stream => "last",
        _ => "503 retry drained, close",
    };
    for client in clients {
        assert_eq!(client.await.unwrap(), expected);
    }
}

contract!(newcomers_are_sent_away_while_the_server_drains of all);
async fn newcomers_are_sent_away_while_the_server_drains(transport: Transport) {
    let server = test_server()
        .function(|asked| async move {
            if asked.contains_key("wait") {
                sleep(seconds(1)).await;
            }
            Ok(())
        })
        .start();
    // It was sent before the shutdown, and its function returns `Ok` after it.
    let mut reader = server.dial();
    let mut text = server.request(transport).query("wait=1").text();
    if transport == Transport::WebSocket {
        text.truncate(text.len() - 2);
        text += "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    }
    reader.write(text).await;
    sleep(seconds(1) / 2).await;
    let answer = tokio::spawn(async move {
        let answer = reader.answer().await.unwrap();
        assert_eq!(reader.rest().await, (Vec::new(), "FIN"));
        answer
    });
    let drained = server.close().await;
    assert_eq!(drained.connections_cut, 0);
    let answer = answer.await.unwrap();
    assert_eq!((answer.head.status, answer.body.as_str()), (503, "shutting down"));
    assert!(answer.head.get("retry-after").is_some());
}

contract!(a_peer_that_takes_nothing_delays_a_shutdown_no_longer_than_it_may of all);
async fn a_peer_that_takes_nothing_delays_a_shutdown_no_longer_than_it_may(transport: Transport) {
    let server = test_server().start();
    let mut client = server.hold(transport).await;
    client.stream().window(0);
    let record = server.hooks.clone();
    let begun = Instant::now();
    server.close().await;
    assert!(begun.elapsed() <= seconds(10) + LATE);
    assert_eq!(record.causes(), [Resume::Drained.into()]);
    assert!(!record.ends()[0].ended.is_delivered());
    assert_eq!(client.end().await, "RST");
}

contract!(a_hook_that_hangs_is_cut_a_second_after_the_drain of all);
async fn a_hook_that_hangs_is_cut_a_second_after_the_drain(transport: Transport) {
    let server = test_server().on_suspend(|_| pending()).start();
    let mut client = server.hold(transport).await;
    let ending = tokio::spawn(async move { client.end().await });
    let record = server.hooks.clone();
    let begun = Instant::now();
    server.close().await;
    let took = seconds(11)..seconds(11) + 2 * LATE;
    assert!(took.contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert_eq!(record.causes(), [Resume::Drained.into()]);
    assert!(!ending.await.unwrap().is_empty());
}

contract!(an_end_hook_that_hangs_delays_a_shutdown_no_longer_than_it_may_and_is_told of all);
async fn an_end_hook_that_hangs_delays_a_shutdown_no_longer_than_it_may_and_is_told(transport: Transport) {
    let server = test_server().server(|server| server.drain(seconds(2))).on_end(|_, _| pending()).start();
    let mut client = server.hold(transport).await;
    let ending = tokio::spawn(async move { client.end().await });
    let begun = Instant::now();
    let drained = server.close().await;
    assert!(begun.elapsed() < seconds(4), "{:?}", begun.elapsed());
    assert_eq!((drained.holds_cut, drained.connections_cut, drained.hooks_unfinished), (0, 0, 1));
    assert!(!ending.await.unwrap().is_empty());
}

contract!(a_server_that_is_dropped_cuts_what_it_had of all);
async fn a_server_that_is_dropped_cuts_what_it_had(transport: Transport) {
    let server = test_server().start();
    let mut client = server.hold(transport).await;
    let (hub, hooks) = (server.hub.clone(), server.hooks.clone());
    drop(server);
    assert_ne!(client.end().await, "");
    let stats = hub.stats();
    assert_eq!(hooks.causes(), [Disconnect::Shutdown.into()]);
    assert_eq!(stats.ended(Disconnect::Shutdown.as_str()), 1, "{stats:?}");
}
