//! A peer that vanishes, without a FIN or an RST, ends as `idle` after `max_idle`, in every state of its hold.

use std::future::pending;
use std::ops::RangeInclusive;
use std::time::Duration;

use abeyance::{Disconnect, End, Retention, Suspend, Transport};
use abeyance_tests::client::Client;
use abeyance_tests::test_context::TestContext;
use abeyance_tests::test_server::{TestServer, TestServerBuilder, test_server};
use tokio::time::{Instant, sleep};

use super::{LATE, seconds};

const MAX_IDLE: Duration = seconds(60);

fn holding(
    shape: impl Fn(Suspend<TestContext>) -> Suspend<TestContext> + Send + Sync + 'static,
) -> TestServerBuilder {
    // No hook is too slow, and no write.
    let hour = seconds(3600);
    test_server()
        .hold(move |hold| shape(hold.timeout(hour).max_idle(MAX_IDLE)))
        .server(move |server| server.hook_timeout(hour).write_timeout(hour))
}

/// The client vanishes; its end must begin within this after, and be this. A hook that runs goes on.
async fn assert_ends(
    server: TestServer,
    client: &mut Client,
    within: RangeInclusive<Duration>,
    end: Disconnect,
) {
    client.stream().vanish();
    let vanished = Instant::now();
    let after = server.until_none_held().await - vanished;
    assert!(within.contains(&after), "after {after:?}, not {within:?}");
    server.until_settled().await;
    let record = server.hooks.clone();
    server.close().await;
    assert_eq!(record.causes(), [End::Disconnect(end)]);
}

async fn assert_idle(server: TestServer, client: &mut Client) {
    // Of a WebSocket whose hook does not run, the last pong counts, at most a heartbeat earlier.
    assert_ends(server, client, MAX_IDLE - seconds(20) - LATE..=MAX_IDLE + LATE, Disconnect::Idle).await;
}

contract!(just_suspended of all);
async fn just_suspended(transport: Transport) {
    let server = holding(|hold| hold).start();
    let mut client = server.hold(transport).await;
    assert_idle(server, &mut client).await;
}

contract!(while_on_suspend_runs of all);
async fn while_on_suspend_runs(transport: Transport) {
    let server = holding(|hold| hold).on_suspend(|_| pending()).start();
    let mut client = server.hold(transport).await;
    sleep(seconds(100)).await;
    assert_idle(server, &mut client).await;
}

contract!(while_on_message_runs of lasting);
async fn while_on_message_runs(transport: Transport) {
    let server = holding(|hold| hold).on_message(|_, _| pending()).start();
    let mut client = server.hold(transport).await;
    client.send("think about it").await;
    // As long as its kernel answers, it is there.
    client.stay_held(seconds(200)).await;
    assert_idle(server, &mut client).await;
}

contract!(while_its_earlier_messages_are_handled of lasting);
async fn while_its_earlier_messages_are_handled(transport: Transport) {
    let server = holding(|hold| hold).on_message(|_, _| sleep(seconds(25))).start();
    let mut client = server.hold(transport).await;
    // Each is larger than what is read at once, so some of them lie with the kernel.
    for _ in 0..8 {
        client.send(&"x".repeat(30_000)).await;
    }
    assert_idle(server, &mut client).await;
}

contract!(within_half_a_message of websocket WebSocket);
async fn within_half_a_message(transport: Transport) {
    let server = holding(|hold| hold).start();
    let mut client = server.hold(transport).await;
    client.stay_held(seconds(30)).await;
    client.write([0x81, 0x85, 0, 0, 0, 0, b'h']).await;
    assert_idle(server, &mut client).await;
}

contract!(while_much_is_published of lasting);
async fn while_much_is_published(transport: Transport) {
    let server = holding(|hold| hold.join("news")).start();
    let mut client = server.hold(transport).await;
    client.stay_held(seconds(30)).await;
    let hub = server.hub.clone();
    let publishing = tokio::spawn(async move {
        loop {
            hub.publish("news", "what we write is no sign of life");
            sleep(seconds(1)).await;
        }
    });
    assert_idle(server, &mut client).await;
    publishing.abort();
}

contract!(while_a_write_is_blocked of lasting);
async fn while_a_write_is_blocked(transport: Transport) {
    let server = holding(|hold| hold.join("news")).start();
    let mut client = server.hold(transport).await;
    client.stream().window(0);
    assert_eq!(server.hub.publish("news", "one"), 1);
    // It takes nothing, but its kernel says so: it is there.
    sleep(MAX_IDLE + seconds(30)).await;
    assert_eq!(server.hub.held_count(), 1);
    // After so long a kernel asks once in half of that time.
    assert_ends(server, &mut client, seconds(90)..=seconds(95) + LATE, Disconnect::Idle).await;
}

contract!(before_a_write_is_blocked of lasting);
async fn before_a_write_is_blocked(transport: Transport) {
    let server = holding(|hold| hold.join("news")).start();
    let mut client = server.hold(transport).await;
    client.stream().window(8);
    assert_eq!(server.hub.publish("news", "more than fits there"), 1);
    assert_idle(server, &mut client).await;
}

contract!(at_the_write_deadline_it_is_unreachable of lasting);
async fn at_the_write_deadline_it_is_unreachable(transport: Transport) {
    let server = holding(|hold| hold.join("news")).server(|server| server.write_timeout(seconds(10))).start();
    let mut client = server.hold(transport).await;
    client.stream().window(0);
    assert_eq!(server.hub.publish("news", "one"), 1);
    assert_ends(server, &mut client, seconds(10)..=seconds(10) + LATE, Disconnect::Unreachable).await;
}

contract!(while_it_reads_what_it_missed of sse Sse);
async fn while_it_reads_what_it_missed(transport: Transport) {
    let server = holding(|hold| hold.join_with_history("news"))
        .server(|server| server.topic("news", Retention::default()).write_timeout(seconds(10)))
        .start();
    for _ in 0..100 {
        server.hub.publish("news", "x".repeat(8 << 10));
    }
    let mut client = server.hold(transport).await;
    assert_ends(server, &mut client, seconds(9)..=seconds(10) + LATE, Disconnect::Unreachable).await;
}

contract!(while_it_is_ending of lasting);
async fn while_it_is_ending(transport: Transport) {
    let server = holding(|hold| hold.join("news")).start();
    let mut client = server.hold(transport).await;
    client.stream().window(0);
    assert_eq!(server.hub.publish("news", "one"), 1);
    client.stream().vanish();
    server.hooks.newest().disconnect("enough");
    let begun = Instant::now();
    let told = server.nth_end(1).await;
    assert_eq!(told.end.as_str(), "kicked");
    // The polite end has a deadline of its own.
    assert!((seconds(5)..=seconds(5) + LATE).contains(&(told.at - begun)), "{:?}", told.at - begun);
    assert!(!told.ended.is_delivered());
    server.close().await;
}

contract!(a_silent_peer_that_is_there_is_kept_a_hundred_times_as_long of all);
async fn a_silent_peer_that_is_there_is_kept_a_hundred_times_as_long(transport: Transport) {
    let server = test_server().hold(|hold| hold.timeout(seconds(3600)).max_idle(seconds(3))).start();
    let mut client = server.hold(transport).await;
    client.stay_held(seconds(300)).await;
    assert_eq!(server.hub.held_count(), 1);
    server.close().await;
}

contract!(a_peer_that_is_there_while_on_message_runs_is_kept of lasting);
async fn a_peer_that_is_there_while_on_message_runs_is_kept(transport: Transport) {
    let server = holding(|hold| hold).on_message(|_, _| sleep(seconds(300))).start();
    let mut client = server.hold(transport).await;
    client.send("think about it").await;
    client.stay_held(seconds(400)).await;
    assert_eq!(server.hub.held_count(), 1);
    server.close().await;
}
