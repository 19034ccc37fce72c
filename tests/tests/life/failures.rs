//! Faults of the application: the hold ends once with the true cause, its permits are released, no other hold is affected.

use std::future::pending;

use abeyance::{Disconnect, Refusal, Transport};
use abeyance_tests::client::Client;
use abeyance_tests::test_server::{TestServer, TestServerBuilder, test_server, until};
use tokio::time::{Instant, sleep};

use super::{LATE, seconds};

fn failed(transport: Transport) -> &'static str {
    match transport {
        Transport::WebSocket => "1011 failed",
        Transport::LongPoll => "500 failed",
        _ => "FIN",
    }
}

/// A server with one place: a permit that is not released would refuse the next request.
fn with_one_place() -> TestServerBuilder {
    test_server().server(|server| server.max_suspended(1))
}

/// The hold has failed: its client sees it, its end hook was told so once, and its place is free.
async fn assert_failed(server: TestServer, mut client: Client) {
    assert_eq!(client.end().await, failed(client.transport));
    assert_eq!(server.cause().await, Disconnect::Failed.into());
    server.until_settled().await;
    assert_eq!((server.hub.held_count(), server.hooks.causes().len()), (0, 1));
    server.hold(client.transport).await;
    server.close().await;
}

contract!(an_on_suspend_that_panics of all);
async fn an_on_suspend_that_panics(transport: Transport) {
    let server = with_one_place().on_suspend(|_| async { panic!("on purpose") }).start();
    let client = server.hold(transport).await;
    assert_failed(server, client).await;
}

contract!(an_on_suspend_that_panics_after_an_await of all);
async fn an_on_suspend_that_panics_after_an_await(transport: Transport) {
    let server = with_one_place()
        .on_suspend(|_| async {
            sleep(seconds(1)).await;
            panic!("on purpose")
        })
        .start();
    let client = server.hold(transport).await;
    assert_failed(server, client).await;
}

contract!(an_on_suspend_that_never_returns of all);
async fn an_on_suspend_that_never_returns(transport: Transport) {
    let server = with_one_place().on_suspend(|_| pending()).start();
    let begun = Instant::now();
    let client = server.hold(transport).await;
    let told = server.nth_end(1).await;
    assert!((seconds(30)..seconds(30) + LATE).contains(&(told.at - begun)));
    assert_failed(server, client).await;
}

contract!(an_on_suspend_that_returns_an_error of all);
async fn an_on_suspend_that_returns_an_error(transport: Transport) {
    let server = with_one_place().try_on_suspend(|_| async { Err("on purpose".into()) }).start();
    let client = server.hold(transport).await;
    assert_failed(server, client).await;
}

contract!(an_on_message_that_returns_an_error of lasting);
async fn an_on_message_that_returns_an_error(transport: Transport) {
    let doubt = |_, message: abeyance::Message| async move {
        message.as_text().unwrap_or("").parse::<u64>()?;
        sleep(seconds(1)).await;
        Ok(())
    };
    let server = with_one_place().try_on_message(doubt).start();
    let mut client = server.hold(transport).await;
    client.send("1").await;
    client.stay_held(seconds(2)).await;
    assert_eq!(server.hub.held_count(), 1);
    client.send("one").await;
    assert_failed(server, client).await;
}

contract!(an_on_message_that_panics of lasting);
async fn an_on_message_that_panics(transport: Transport) {
    let server = with_one_place().on_message(|_, _| async { panic!("on purpose") }).start();
    let mut client = server.hold(transport).await;
    client.send("hello").await;
    assert_failed(server, client).await;
}

contract!(an_on_message_that_never_returns of lasting);
async fn an_on_message_that_never_returns(transport: Transport) {
    let server = with_one_place().on_message(|_, _| pending()).start();
    let mut client = server.hold(transport).await;
    client.send("hello").await;
    let begun = Instant::now();
    let told = server.nth_end(1).await;
    assert!((seconds(30)..seconds(30) + LATE).contains(&(told.at - begun)));
    assert_failed(server, client).await;
}

contract!(a_driver_that_panics of all);
async fn a_driver_that_panics(transport: Transport) {
    let shape = |hold: abeyance::Suspend<_>| {
        hold.drive(|_| async {
            sleep(seconds(1)).await;
            panic!("on purpose")
        })
    };
    let server = with_one_place().hold(shape).start();
    let client = server.hold(transport).await;
    assert_failed(server, client).await;
}

contract!(a_driver_that_fails of all);
async fn a_driver_that_fails(transport: Transport) {
    let shape = |hold: abeyance::Suspend<_>| {
        hold.try_drive(|_| async {
            sleep(seconds(1)).await;
            Err("on purpose".into())
        })
    };
    let server = with_one_place().hold(shape).start();
    let client = server.hold(transport).await;
    assert_failed(server, client).await;
}

contract!(a_driver_that_returns_leaves_the_hold of all);
async fn a_driver_that_returns_leaves_the_hold(transport: Transport) {
    let server = with_one_place().hold(|hold| hold.drive(|_| sleep(seconds(1)))).start();
    let mut client = server.hold(transport).await;
    client.stay_held(seconds(20)).await;
    assert_eq!(server.hub.held_count(), 1);
    server.close().await;
}

contract!(a_driver_is_dropped_when_its_hold_ends of all);
async fn a_driver_is_dropped_when_its_hold_ends(transport: Transport) {
    struct Dropped(std::sync::Arc<std::sync::atomic::AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let flag = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let server = test_server()
        .hold({
            let flag = flag.clone();
            move |hold| {
                let guard = Dropped(flag.clone());
                hold.drive(|_| async move {
                    let _guard = guard;
                    pending().await
                })
            }
        })
        .start();
    let mut client = server.hold(transport).await;
    sleep(seconds(1)).await;
    assert!(!flag.load(std::sync::atomic::Ordering::Relaxed));
    server.hooks.newest().resume();
    client.end().await;
    server.nth_end(1).await;
    assert!(flag.load(std::sync::atomic::Ordering::Relaxed));
    server.close().await;
}

contract!(an_end_hook_that_panics_has_ended_its_hold_all_the_same of all);
async fn an_end_hook_that_panics_has_ended_its_hold_all_the_same(transport: Transport) {
    let server = with_one_place().on_end(|_, _| async { panic!("on purpose") }).start();
    for round in 1..=3 {
        let mut client = server.hold(transport).await;
        server.hooks.newest().resume();
        client.end().await;
        assert_eq!(server.nth_end(round).await.end, abeyance::Resume::Released.into());
        server.until_settled().await;
    }
    assert_eq!(server.hub.stats().hooks_failed, 3);
    server.close().await;
}

contract!(an_end_hook_that_returns_an_error_is_counted_and_has_ended_its_hold of all);
async fn an_end_hook_that_returns_an_error_is_counted_and_has_ended_its_hold(transport: Transport) {
    let server = with_one_place().try_on_end(|_, _| async { Err("on purpose".into()) }).start();
    for round in 1..=3 {
        let mut client = server.hold(transport).await;
        server.hooks.newest().resume();
        client.end().await;
        assert_eq!(server.nth_end(round).await.end, abeyance::Resume::Released.into());
        server.until_settled().await;
    }
    assert_eq!(server.hub.stats().hooks_failed, 3);
    server.close().await;
}

/// Cannot even be dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

contract!(a_driver_that_never_ran_and_cannot_be_dropped_keeps_no_end_hook_from_running of all);
async fn a_driver_that_never_ran_and_cannot_be_dropped_keeps_no_end_hook_from_running(transport: Transport) {
    let armed = |hold: abeyance::Suspend<_>| {
        let bomb = Bomb;
        hold.drive(move |_| async move {
            let _bomb = bomb;
            pending().await
        })
    };
    let server = with_one_place().hold(armed).on_suspend(|held| async move {
        held.resume();
        pending().await
    });
    let server = server.start();
    for round in 1..=2 {
        let mut client = server.hold(transport).await;
        client.end().await;
        assert_eq!(server.nth_end(round).await.end, abeyance::Resume::Released.into());
        server.until_settled().await;
    }
    server.close().await;
}

contract!(an_end_hook_that_hangs_delays_no_other_hold of all);
async fn an_end_hook_that_hangs_delays_no_other_hold(transport: Transport) {
    let server = with_one_place().on_end(|_, _| pending()).start();
    for round in 1..=3 {
        let begun = Instant::now();
        let mut client = server.hold(transport).await;
        server.hooks.newest().resume();
        client.end().await;
        server.nth_end(round).await;
        server.until_settled().await;
        assert!(begun.elapsed() < seconds(1));
    }
    assert_eq!((server.hub.stats().hooks_running, server.hub.stats().hooks_failed), (3, 0));
    tokio::time::sleep(seconds(31)).await;
    assert_eq!((server.hub.stats().hooks_running, server.hub.stats().hooks_failed), (0, 3));
    server.close().await;
}

contract!(a_hook_that_hangs_delays_no_other_hold of all);
async fn a_hook_that_hangs_delays_no_other_hold(transport: Transport) {
    let server = test_server()
        .hold(|hold| hold.timeout(seconds(10)).join("news"))
        .on_suspend(|held| async move {
            if held.peer().port() == 1 {
                pending().await
            }
        })
        .start();
    let _stuck = server.hold(transport).await;
    let begun = Instant::now();
    let mut client = server.hold(transport).await;
    assert_eq!(server.hub.publish("news", "one"), 2);
    assert_eq!(client.message().await, "one");
    client.end().await;
    assert!(begun.elapsed() < seconds(11));
    server.close().await;
}

/// A request that the function does not let in is answered, and has taken nothing.
async fn assert_refused(server: TestServer, transport: Transport, status: u16, text: &str) {
    for _ in 0..3 {
        let answer = server.request(transport).query("deny=1").refused().await;
        assert_eq!((answer.head.status, answer.body.as_str()), (status, text));
    }
    assert_eq!(server.hub.stats().suspended, 0);
    let mut client = server.hold(transport).await;
    client.stay_held(seconds(1)).await;
    server.close().await;
}

contract!(a_function_that_refuses_has_its_words_answered of all);
async fn a_function_that_refuses_has_its_words_answered(transport: Transport) {
    let server = with_one_place()
        .function(|asked| async move {
            if asked.contains_key("deny") { Err(Refusal::forbidden("not you")) } else { Ok(()) }
        })
        .start();
    assert_refused(server, transport, 403, "not you").await;
}

contract!(a_function_that_panics_is_a_server_error of all);
async fn a_function_that_panics_is_a_server_error(transport: Transport) {
    let server = with_one_place()
        .function(|asked| async move {
            assert!(!asked.contains_key("deny"), "on purpose");
            Ok(())
        })
        .start();
    assert_refused(server, transport, 500, "").await;
}

contract!(a_function_that_overruns_is_not_ready_in_time of all);
async fn a_function_that_overruns_is_not_ready_in_time(transport: Transport) {
    let server = with_one_place()
        .function(|asked| async move {
            if asked.contains_key("deny") {
                pending::<()>().await;
            }
            Ok(())
        })
        .start();
    let begun = Instant::now();
    assert_eq!(server.request(transport).query("deny=1").refused().await.head.status, 503);
    assert!((seconds(10)..seconds(10) + LATE).contains(&begun.elapsed()));
    assert_refused(server, transport, 503, "not ready in time").await;
}

contract!(a_peer_that_leaves_while_the_function_runs_takes_no_place of all);
async fn a_peer_that_leaves_while_the_function_runs_takes_no_place(transport: Transport) {
    let server = with_one_place()
        .function(|asked| async move {
            if asked.contains_key("wait") {
                sleep(seconds(5)).await;
            }
            Ok(())
        })
        .start();
    let mut reader = server.dial();
    reader.write(server.request(transport).query("wait=1").text()).await;
    sleep(seconds(1)).await;
    drop(reader);
    sleep(seconds(10)).await;
    // Whether it was held for a moment or never: nothing of it is left.
    until("the place to be free", || server.hub.held_count() == 0).await;
    server.hold(transport).await;
    server.close().await;
}
