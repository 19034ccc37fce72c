//! Bounds of the whole server: they apply even to what was done before the start.
#![allow(clippy::unwrap_used, reason = "helpers of tests, which fail by panicking")]

use std::time::Duration;

use abeyance::{ScheduleError, Server, Transport};
use abeyance_tests::test_server::test_server;

#[tokio::test(start_paused = true)]
async fn a_hub_that_is_used_before_the_start_changes_no_setting() {
    let server = Server::new().max_scheduled(1);
    let hub = server.hub();
    assert_eq!(hub.publish("news", "no member"), 0);
    let early = hub.publish_after(Duration::from_secs(60), "news", "later").unwrap();
    let (running, _dialer) = server.bind_memory().unwrap();
    let more = || running.hub().publish_after(Duration::from_secs(60), "news", "later");
    assert_eq!(more().unwrap_err(), ScheduleError::TooMany(1));
    assert!(early.cancel());
    // What was cancelled is dropped by a task.
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(more().unwrap());
    running.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_head_may_be_as_long_as_the_setting_says() {
    for (most, padding, status) in [
        (8 << 10, 7 << 10, 404),
        (8 << 10, 9 << 10, 431),
        (16 << 10, 40 << 10, 431),
        (64 << 10, 40 << 10, 404),
    ] {
        let server = test_server().server(|server| server.max_head(most)).start();
        let request = format!("GET /none HTTP/1.1\r\nHost: a\r\nCookie: {}\r\n\r\n", "x".repeat(padding));
        assert_eq!(server.ask(request).await.head.status, status, "{most} {padding}");
        server.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn as_many_ends_are_remembered_as_the_setting_says() {
    for (most, remembered) in [(0, 0), (2, 2), (9, 3)] {
        let server = test_server().server(|server| server.last_ends(most)).start();
        for turn in 1..=3 {
            let client = server.hold(Transport::Sse).await;
            drop(client);
            server.nth_end(turn).await;
        }
        server.until_settled().await;
        assert_eq!(server.hub.last_ends().count(), remembered, "{most}");
        server.close().await;
    }
}

#[tokio::test]
async fn a_bound_that_cannot_be_meant_is_told_at_the_start() {
    for (server, hint) in [
        (
            Server::new().max_connections(0),
            "`Server::max_connections`: expected a count such as 1000, found 0: ",
        ),
        (Server::new().max_requests(0), "`Server::max_requests`: expected a count such as 1000, found 0: "),
        (Server::new().max_admitting(0), "`Server::max_admitting`: expected a count such as 1000, found 0: "),
        (
            Server::new().max_head(4096),
            "`Server::max_head`: expected a size such as \"64KiB\" or \"1MiB\", found 4KiB: ",
        ),
        (Server::new().last_ends(usize::MAX), "`Server::last_ends`: expected a count such as 1000, found "),
    ] {
        let fault = server.bind_memory().err().unwrap().to_string();
        assert!(fault.contains(hint), "{fault}");
    }
    let most = usize::MAX;
    let server = Server::new().max_connections(most).max_requests(most).max_head(most).max_scheduled(most);
    let (running, _dialer) = server.max_admitting(most).bind_memory().unwrap();
    running.shutdown().await;
}
