//! A peer that reads or sends nothing, and application code that never returns: the timeouts come all the same.

use std::future::pending;
use std::sync::Arc;

use abeyance::{Resume, Transport};
use abeyance_tests::test_server::test_server;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::{LATE, seconds};

/// How long an ending may wait for its peer: the default of `close_timeout`.
const CLOSE_TIMEOUT: std::time::Duration = seconds(5);

contract!(a_timeout_comes_although_a_write_is_blocked of lasting);
async fn a_timeout_comes_although_a_write_is_blocked(transport: Transport) {
    let server = test_server()
        .hold(|hold| hold.timeout(seconds(20)).max_idle(seconds(300)).join("news"))
        .server(|server| server.write_timeout(seconds(3600)))
        .start();
    let mut client = server.hold(transport).await;
    client.stream().window(0);
    let begun = Instant::now();
    assert_eq!(server.hub.publish("news", "one"), 1);
    let told = server.nth_end(1).await;
    assert_eq!(told.end, Resume::Timeout.into());
    assert!(told.at - begun <= seconds(20) + CLOSE_TIMEOUT + LATE, "{:?}", told.at - begun);
    assert!(!told.ended.is_delivered());
    server.close().await;
}

contract!(a_lifetime_comes_although_a_write_is_blocked of lasting);
async fn a_lifetime_comes_although_a_write_is_blocked(transport: Transport) {
    let server = test_server()
        .hold(|hold| hold.max_lifetime(seconds(20)).join("news"))
        .server(|server| server.write_timeout(seconds(3600)))
        .start();
    let mut client = server.hold(transport).await;
    client.stream().window(0);
    let begun = Instant::now();
    assert_eq!(server.hub.publish("news", "one"), 1);
    let told = server.nth_end(1).await;
    assert_eq!(told.end, Resume::Lifetime.into());
    assert!(told.at - begun <= seconds(20) + CLOSE_TIMEOUT + LATE, "{:?}", told.at - begun);
    server.close().await;
}

contract!(a_timeout_comes_although_a_hook_never_returns of lasting);
async fn a_timeout_comes_although_a_hook_never_returns(transport: Transport) {
    let server = test_server()
        .hold(|hold| hold.timeout(seconds(20)))
        .on_message(|_, _| pending())
        .server(|server| server.hook_timeout(seconds(3600)))
        .start();
    let mut client = server.hold(transport).await;
    client.send("hello").await;
    let begun = Instant::now();
    let after = server.until_none_held().await - begun;
    assert!((seconds(20)..=seconds(20) + LATE).contains(&after), "{after:?}");
    drop(client);
    let record = server.hooks.clone();
    server.close().await;
    assert_eq!(record.causes(), [Resume::Timeout.into()]);
}

contract!(a_timeout_comes_although_on_suspend_and_a_driver_never_return of all);
async fn a_timeout_comes_although_on_suspend_and_a_driver_never_return(transport: Transport) {
    for is_opened in [false, true] {
        let server = test_server()
            .hold(|hold| hold.timeout(seconds(20)).drive(|_| pending()))
            .on_suspend(move |_| async move {
                if !is_opened {
                    pending::<()>().await;
                }
            })
            .server(|server| server.hook_timeout(seconds(3600)))
            .start();
        let begun = Instant::now();
        let mut client = server.hold(transport).await;
        tokio::spawn(async move { client.end().await });
        let after = server.until_none_held().await - begun;
        assert!((seconds(20)..=seconds(20) + LATE).contains(&after), "{after:?}");
        let record = server.hooks.clone();
        server.close().await;
        assert_eq!(record.causes(), [Resume::Timeout.into()]);
    }
}

contract!(a_peer_that_does_not_close_is_closed_at_the_polite_end of lasting);
async fn a_peer_that_does_not_close_is_closed_at_the_polite_end(transport: Transport) {
    let server = test_server().start();
    // It reads nothing and closes nothing.
    let client = server.hold(transport).await;
    server.hooks.newest().disconnect("enough");
    let begun = Instant::now();
    let told = server.nth_end(1).await;
    assert_eq!(told.end.as_str(), "kicked");
    assert!(told.at - begun <= LATE, "the hook does not wait for the peer");
    server.until_settled().await;
    assert!((CLOSE_TIMEOUT..=CLOSE_TIMEOUT + LATE).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    drop(client);
    server.close().await;
}

contract!(an_end_hook_that_hangs_when_the_server_is_gone_is_given_up_all_the_same of all);
async fn an_end_hook_that_hangs_when_the_server_is_gone_is_given_up_all_the_same(transport: Transport) {
    struct Dropped(Arc<Notify>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let given_up = Arc::new(Notify::new());
    let guard = given_up.clone();
    let server = test_server()
        .on_end(move |_, _| {
            let guard = Dropped(guard.clone());
            async move {
                pending::<()>().await;
                drop(guard);
            }
        })
        .start();
    drop(server.hold(transport).await);
    server.nth_end(1).await;
    let begun = Instant::now();
    drop(server);
    timeout(seconds(60), given_up.notified()).await.expect("its deadline");
    assert!((seconds(30) - LATE..=seconds(30) + LATE).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}
