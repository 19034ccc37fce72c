//! A stall of the server's own process, in which time leaps: what was waiting gets that time back.

use std::sync::Arc;
use std::time::Duration;

use abeyance::{Disconnect, End, Transport};
use abeyance_tests::test_server::{test_server, until};
use tokio::sync::Notify;
use tokio::time::{Instant, advance, sleep};

use super::{LATE, seconds};

/// Longer than any deadline.
const STALL: Duration = seconds(600);

/// Stops the process and lets it go on. What arrived meanwhile is in the sockets.
async fn stall() {
    // First, what was due before the stall.
    sleep(LATE).await;
    advance(STALL).await;
    sleep(LATE).await;
}

contract!(a_stall_ends_no_hold of all);
async fn a_stall_ends_no_hold(transport: Transport) {
    let server = test_server().hold(|hold| hold.timeout(seconds(40)).max_idle(seconds(30))).start();
    let mut client = server.hold(transport).await;
    client.stay_held(seconds(20)).await;
    stall().await;
    client.stay_held(seconds(15)).await;
    assert_eq!(server.hub.held_count(), 1, "{:?}", server.hooks.causes());
    server.close().await;
}

contract!(a_peer_that_vanished_meanwhile_is_still_idle of all);
async fn a_peer_that_vanished_meanwhile_is_still_idle(transport: Transport) {
    let server = test_server().hold(|hold| hold.timeout(seconds(3600)).max_idle(seconds(30))).start();
    let mut client = server.hold(transport).await;
    client.stay_held(seconds(20)).await;
    client.stream().vanish();
    stall().await;
    let begun = Instant::now();
    let told = server.nth_end(1).await;
    assert_eq!(told.end, Disconnect::Idle.into());
    assert!(told.at - begun <= seconds(30) + LATE, "{:?}", told.at - begun);
    server.close().await;
}

contract!(a_hook_that_waited_has_the_rest_of_its_time of lasting);
async fn a_hook_that_waited_has_the_rest_of_its_time(transport: Transport) {
    let server = test_server().on_message(|_, _| std::future::pending()).start();
    let mut client = server.hold(transport).await;
    client.send("hello").await;
    let begun = Instant::now();
    sleep(seconds(25)).await;
    stall().await;
    let told = server.nth_end(1).await;
    assert_eq!(told.end, Disconnect::Failed.into());
    let after = told.at - begun - STALL;
    assert!((seconds(30) - LATE..=seconds(30) + LATE).contains(&after), "{after:?}");
    server.close().await;
}

contract!(a_function_that_waited_has_the_rest_of_its_time of all);
async fn a_function_that_waited_has_the_rest_of_its_time(transport: Transport) {
    let word = Arc::new(Notify::new());
    let server = test_server()
        .function({
            let word = word.clone();
            move |_| {
                let word = word.clone();
                async move {
                    word.notified().await;
                    Ok(())
                }
            }
        })
        .start();
    let entering = server.hold(transport);
    let stalling = async {
        sleep(seconds(5)).await;
        stall().await;
        sleep(seconds(4)).await;
        word.notify_one();
    };
    let (_client, ()) = tokio::join!(entering, stalling);
    assert_eq!(server.hub.held_count(), 1);
    server.close().await;
}

contract!(an_end_hook_that_waited_has_the_rest_of_its_time of all);
async fn an_end_hook_that_waited_has_the_rest_of_its_time(transport: Transport) {
    let word = Arc::new(Notify::new());
    let is_done = Arc::new(Notify::new());
    let server = test_server()
        .on_end({
            let (word, is_done) = (word.clone(), is_done.clone());
            move |_, _| {
                let (word, is_done) = (word.clone(), is_done.clone());
                async move {
                    word.notified().await;
                    is_done.notify_one();
                }
            }
        })
        .start();
    let client = server.hold(transport).await;
    drop(client);
    server.nth_end(1).await;
    stall().await;
    sleep(seconds(20)).await;
    word.notify_one();
    is_done.notified().await;
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_was_arriving_has_the_rest_of_its_time() {
    let server = test_server().start();
    let mut reader = server.dial();
    reader.write("GET /hold?transport=stream HTTP/1.1\r\n").await;
    sleep(seconds(5)).await;
    stall().await;
    sleep(seconds(4)).await;
    reader.write("host: a\r\n\r\n").await;
    assert_eq!(reader.head().await.expect("a head").status, 200);
    until("a hold", || server.hub.held_count() == 1).await;
    drop(reader);
    server.close().await;
}

contract!(a_body_that_was_arriving_has_the_rest_of_its_time of streams);
async fn a_body_that_was_arriving_has_the_rest_of_its_time(transport: Transport) {
    let server = test_server().hold(|hold| hold.max_idle(seconds(3600))).start();
    let client = server.hold(transport).await;
    let mut reader = server.dial();
    let token = client.token();
    reader
        .write(format!(
            "POST /hold HTTP/1.1\r\nhost: a\r\nabeyance-hold: {token}\r\ncontent-length: 5\r\n\r\nhe"
        ))
        .await;
    sleep(seconds(5)).await;
    stall().await;
    sleep(seconds(4)).await;
    reader.write("llo").await;
    assert_eq!(reader.answer().await.expect("an answer").head.status, 202);
    until("the message", || server.hooks.messages() == ["hello"]).await;
    drop((client, reader));
    server.close().await;
}

contract!(an_ending_that_was_being_written_has_the_rest_of_its_time of lasting);
async fn an_ending_that_was_being_written_has_the_rest_of_its_time(transport: Transport) {
    let server = test_server().start();
    let mut client = server.hold(transport).await;
    client.stream().window(0);
    let held = server.hooks.newest();
    held.send("the last words").unwrap();
    held.resume();
    sleep(seconds(2)).await;
    stall().await;
    sleep(seconds(2)).await;
    client.stream().window(1 << 16);
    client.end().await;
    assert_eq!(client.messages, ["the last words"]);
    let told = server.nth_end(1).await;
    assert!(matches!(told.end, End::Resume(_)) && told.ended.is_delivered(), "{:?}", told.ended);
    server.close().await;
}
