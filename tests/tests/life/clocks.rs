//! The three clocks: what sets them back, what they end, and that they do so once.

use std::ops::RangeInclusive;
use std::time::Duration;

use abeyance::{Disconnect, Resume, Transport};
use abeyance_tests::test_context::EndCall;
use abeyance_tests::test_server::{TestServer, test_server};
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::Bytes;

use super::{LATE, seconds};

/// What an end must lie between, for a clock that was set between the two instants.
fn due(set: RangeInclusive<Instant>, span: Duration) -> RangeInclusive<Instant> {
    *set.start() + span..=*set.end() + span + LATE
}

#[track_caller]
fn assert_within(told: &EndCall, due: RangeInclusive<Instant>) {
    let begun = *due.start();
    let at = told.at.saturating_duration_since(begun);
    assert!(due.contains(&told.at), "{:?} after {at:?}, or {:?} too early", told.end, begun - told.at);
}

fn resumed_by_timeout(transport: Transport) -> &'static str {
    match transport {
        Transport::WebSocket => "1000 timeout",
        Transport::Sse => "resumed timeout, last",
        Transport::Stream => "last",
        _ => "204",
    }
}

contract!(silence_resumes_a_hold_at_its_timeout_and_once of all);
async fn silence_resumes_a_hold_at_its_timeout_and_once(transport: Transport) {
    let server = test_server().hold(|hold| hold.timeout(seconds(30))).start();
    let before = Instant::now();
    let mut client = server.hold(transport).await;
    let due = due(before..=Instant::now(), seconds(30));
    assert_eq!(client.end().await, resumed_by_timeout(transport));
    let told = server.nth_end(1).await;
    assert_eq!(told.end, Resume::Timeout.into());
    assert_within(&told, due);
    assert!((seconds(30)..=seconds(30) + LATE).contains(&told.ended.held_for()), "{:?}", told.ended);
    assert!(told.ended.is_delivered());
    sleep(seconds(60)).await;
    assert_eq!(server.hooks.causes().len(), 1);
    server.close().await;
}

contract!(a_delivered_message_sets_the_timeout_back of lasting);
async fn a_delivered_message_sets_the_timeout_back(transport: Transport) {
    let server = test_server().hold(|hold| hold.timeout(seconds(30)).join("news")).start();
    let mut client = server.hold(transport).await;
    for _ in 0..3 {
        client.stay_held(seconds(20)).await;
        assert_eq!(server.hub.publish("news", "one"), 1);
    }
    let set = Instant::now();
    assert_eq!(client.end().await, resumed_by_timeout(transport));
    assert_within(&server.nth_end(1).await, due(set..=set, seconds(30)));
    assert_eq!(client.messages, ["one"; 3]);
    server.close().await;
}

contract!(a_received_message_sets_the_timeout_back of lasting);
async fn a_received_message_sets_the_timeout_back(transport: Transport) {
    let server = test_server().hold(|hold| hold.timeout(seconds(30))).start();
    let mut client = server.hold(transport).await;
    client.stay_held(seconds(20)).await;
    let before = Instant::now();
    client.send("hello").await;
    let due = due(before..=Instant::now(), seconds(30));
    assert_eq!(client.end().await, resumed_by_timeout(transport));
    assert_within(&server.nth_end(1).await, due);
    assert_eq!(server.hooks.messages(), ["hello"]);
    server.close().await;
}

contract!(heartbeats_do_not_set_the_timeout_back of all);
async fn heartbeats_do_not_set_the_timeout_back(transport: Transport) {
    let shape = |hold: abeyance::Suspend<_>| hold.timeout(seconds(30)).heartbeat(seconds(2));
    let server = test_server().hold(shape).start();
    let before = Instant::now();
    let mut client = server.hold(transport).await;
    let due = due(before..=Instant::now(), seconds(30));
    assert_eq!(client.end().await, resumed_by_timeout(transport));
    assert_within(&server.nth_end(1).await, due);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_websocket_that_answers_nothing_is_idle() {
    let server = test_server().hold(|hold| hold.max_idle(seconds(60)).join("news")).start();
    let before = Instant::now();
    let mut client = server.hold(Transport::WebSocket).await;
    let due = due(before..=Instant::now(), seconds(60));
    // Publishing proves nothing about the peer.
    for _ in 0..5 {
        sleep(seconds(10)).await;
        assert_eq!(server.hub.publish("news", "one"), 1);
    }
    let told = server.nth_end(1).await;
    assert_eq!(told.end, Disconnect::Idle.into());
    assert_within(&told, due);
    assert!(told.ended.silent_for() >= seconds(60));
    assert_eq!(client.end().await, "1001 idle");
    server.close().await;
}

contract!(a_peer_that_vanished_is_idle of all);
async fn a_peer_that_vanished_is_idle(transport: Transport) {
    let shape = |hold: abeyance::Suspend<_>| hold.timeout(seconds(3600)).max_idle(seconds(60));
    let server = test_server().hold(shape).start();
    let mut client = server.hold(transport).await;
    // Its pongs are signs of life, its kernel's answers are.
    client.stay_held(seconds(100)).await;
    let vanished = Instant::now();
    client.stream().vanish();
    let told = server.nth_end(1).await;
    assert_eq!(told.end, Disconnect::Idle.into());
    // A WebSocket's last sign of life was its last pong, at most a heartbeat earlier.
    let earlier = if transport == Transport::WebSocket { seconds(20) + LATE } else { Duration::ZERO };
    assert_within(&told, vanished - earlier + seconds(60)..=vanished + seconds(60) + LATE);
    server.until_settled().await;
    assert_eq!(server.hooks.causes(), [Disconnect::Idle.into()]);
    server.close().await;
}

contract!(without_heartbeats_a_silent_peer_is_idle of all);
async fn without_heartbeats_a_silent_peer_is_idle(transport: Transport) {
    let shape =
        |hold: abeyance::Suspend<_>| hold.timeout(seconds(3600)).max_idle(seconds(60)).heartbeat(None);
    let server = test_server().hold(shape).start();
    let before = Instant::now();
    let mut client = server.hold(transport).await;
    let due = due(before..=Instant::now(), seconds(60));
    let expected = match transport {
        Transport::WebSocket => "1001 idle",
        Transport::LongPoll => "408 idle, close",
        _ => "RST",
    };
    assert_eq!(client.end().await, expected);
    let told = server.nth_end(1).await;
    assert_eq!(told.end, Disconnect::Idle.into());
    assert_within(&told, due);
    server.close().await;
}

contract!(a_peer_that_answers_is_kept of all);
async fn a_peer_that_answers_is_kept(transport: Transport) {
    let shape = |hold: abeyance::Suspend<_>| hold.timeout(seconds(3600)).max_idle(seconds(60));
    let server = test_server().hold(shape).start();
    let mut client = server.hold(transport).await;
    client.stay_held(seconds(900)).await;
    assert_eq!(server.hub.held_count(), 1);
    server.close().await;
}

contract!(a_message_is_a_sign_of_life of lasting);
async fn a_message_is_a_sign_of_life(transport: Transport) {
    let server = test_server().hold(|hold| hold.max_idle(seconds(60)).heartbeat(None)).start();
    let mut client = server.hold(transport).await;
    for _ in 0..5 {
        client.stay_held(seconds(50)).await;
        client.send("here").await;
    }
    let said = Instant::now();
    client.end().await;
    assert_within(&server.nth_end(1).await, due(said..=said, seconds(60)));
    assert_eq!(server.cause().await, Disconnect::Idle.into());
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_ping_and_a_pong_are_signs_of_life() {
    let server = test_server().hold(|hold| hold.max_idle(seconds(60)).heartbeat(None)).start();
    let mut client = server.hold(Transport::WebSocket).await;
    for round in 0..6 {
        client.stay_held(seconds(50)).await;
        // Masked with zeroes: a ping, a pong.
        let opcode = if round % 2 == 0 { 0x89 } else { 0x8a };
        client.write(Bytes::from(vec![opcode, 0x80, 0, 0, 0, 0])).await;
    }
    let last = Instant::now();
    assert_eq!(client.end().await, "1001 idle");
    assert_within(&server.nth_end(1).await, due(last..=last, seconds(60)));
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_timeout_behind_unanswered_heartbeats_of_a_websocket_is_idle() {
    let server = test_server().hold(|hold| hold.timeout(seconds(30))).start();
    let before = Instant::now();
    let mut client = server.hold(Transport::WebSocket).await;
    let due = due(before..=Instant::now(), seconds(30));
    let told = server.nth_end(1).await;
    assert_eq!(told.end, Disconnect::Idle.into());
    assert_within(&told, due);
    assert_eq!(client.end().await, "1001 idle");
    server.close().await;
}

contract!(a_timeout_of_a_peer_that_vanished_is_idle of all);
async fn a_timeout_of_a_peer_that_vanished_is_idle(transport: Transport) {
    let server = test_server().hold(|hold| hold.timeout(seconds(30))).start();
    let before = Instant::now();
    let mut client = server.hold(transport).await;
    let due = due(before..=Instant::now(), seconds(30));
    client.stay_held(seconds(1)).await;
    client.stream().vanish();
    let told = server.nth_end(1).await;
    assert_eq!(told.end, Disconnect::Idle.into());
    assert_within(&told, due);
    server.close().await;
}

contract!(a_lifetime_is_drawn_between_nine_and_ten_tenths of all);
async fn a_lifetime_is_drawn_between_nine_and_ten_tenths(transport: Transport) {
    let server = test_server().hold(|hold| hold.max_lifetime(seconds(20))).start();
    let mut clients = Vec::new();
    for _ in 0..40 {
        let mut client = server.hold(transport).await;
        clients.push(tokio::spawn(async move { client.end().await }));
    }
    let expected = match transport {
        Transport::WebSocket => "1000 lifetime",
        Transport::Sse => "resumed lifetime, last",
        Transport::Stream => "last",
        _ => "204",
    };
    for client in clients {
        assert_eq!(client.await.expect("its task"), expected);
    }
    server.nth_end(40).await;
    let lives: Vec<_> = server.hooks.ends().iter().map(|told| told.ended.held_for()).collect();
    assert!(lives.iter().all(|life| (seconds(18)..=seconds(20) + LATE).contains(life)), "{lives:?}");
    assert!(lives.iter().any(|life| *life < seconds(19)), "{lives:?}");
    assert!(lives.iter().any(|life| *life > seconds(19)), "{lives:?}");
    assert!(server.hooks.causes().iter().all(|end| *end == Resume::Lifetime.into()));
    server.close().await;
}

contract!(silence_while_we_do_not_read_is_not_held_against_a_peer of lasting);
async fn silence_while_we_do_not_read_is_not_held_against_a_peer(transport: Transport) {
    let server = test_server()
        .hold(|hold| hold.max_idle(seconds(10)).heartbeat(None))
        .on_message(|_, _| sleep(seconds(20)))
        .start();
    let mut client = server.hold(transport).await;
    client.send("think about it").await;
    let said = Instant::now();
    client.end().await;
    let told = server.nth_end(1).await;
    assert_eq!(told.end, Disconnect::Idle.into());
    assert_within(&told, due(said..=said, seconds(30)));
    server.close().await;
}

contract!(a_peer_that_takes_nothing_is_stalled_at_the_write_deadline of lasting);
async fn a_peer_that_takes_nothing_is_stalled_at_the_write_deadline(transport: Transport) {
    let server = test_server().hold(|hold| hold.max_idle(seconds(5)).join("news")).start();
    let mut client = server.hold(transport).await;
    client.stream().window(0);
    let set = Instant::now();
    assert_eq!(server.hub.publish("news", "one"), 1);
    let told = server.nth_end(1).await;
    assert_eq!(told.end, Disconnect::Stalled.into());
    assert_within(&told, due(set..=set, seconds(10)));
    assert!(!told.ended.is_delivered());
    assert_eq!(server.hooks.causes().len(), 1);
    assert_eq!(client.end().await, "RST");
    server.close().await;
}

contract!(the_clocks_of_many_holds_are_on_time of all);
async fn the_clocks_of_many_holds_are_on_time(transport: Transport) {
    let server: TestServer = test_server().hold(|hold| hold.timeout(seconds(30))).start();
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = server.hold(transport).await;
        clients.push(tokio::spawn(async move { client.end().await }));
        sleep(Duration::from_millis(37)).await;
    }
    for client in clients {
        assert_eq!(client.await.expect("its task"), resumed_by_timeout(transport));
    }
    for told in server.hooks.ends() {
        let life = told.ended.held_for();
        assert!((seconds(30)..=seconds(30) + LATE).contains(&life), "{life:?}");
    }
    server.close().await;
}

contract!(a_hold_is_looked_at_again_when_the_last_one_ends_in_the_same_sweep of lasting);
async fn a_hold_is_looked_at_again_when_the_last_one_ends_in_the_same_sweep(transport: Transport) {
    let server = test_server().hold(|hold| hold.timeout(seconds(30)).heartbeat(None)).start();
    let mut first = server.hold(transport).await;
    let mut last = server.hold(transport).await;
    first.stay_held(seconds(10)).await;
    server.hooks.holds()[0].send("one").unwrap();
    let set = Instant::now();
    assert_eq!(last.end().await, resumed_by_timeout(transport));
    assert_eq!(first.end().await, resumed_by_timeout(transport));
    assert_within(&server.nth_end(2).await, due(set..=set, seconds(30)));
    server.close().await;
}
