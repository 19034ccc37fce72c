//! Sending and publishing: order, room, and what becomes of peers that do not read.

use std::task::Wake;

use super::*;
use crate::keeper::held::{Held, SendError};
use abeyance_core::mechanisms::wire::websocket;
use abeyance_core::words::cause::Resume;
use abeyance_core::words::message::Message;

const BOUND: usize = 32 << 10;

fn bounded() -> TestServer {
    TestServer::of(EndpointOptions { send_buffer: Some(BOUND), ..STILL })
}

fn text(length: usize) -> Message {
    "x".repeat(length).into()
}

fn held(test_hold: &TestHold) -> Held {
    Held::new(test_hold.hold.clone())
}

#[test]
fn what_is_published_while_opening_comes_after_on_suspend_and_the_replies() {
    let server = TestServer::of(STILL);
    let test_hold = server.seat(server.admit(0, 1).unwrap(), 0, SSE, None).unwrap();
    server.keeper.join(&test_hold.hold, "a".into()).unwrap();
    assert_eq!(server.keeper.publish("a", &"live 1".into()), 1);
    held(&test_hold).send("from on_suspend").unwrap();
    test_hold.hold.open(vec!["reply 1".into(), "reply 2".into()]);
    server.keeper.publish("a", &"live 2".into());
    let all = ["from on_suspend", "reply 1", "reply 2", "live 1", "live 2"];
    assert_eq!(test_hold.peer_io.text(), all.map(|line| format!("data: {line}\n\n")).concat());
}

#[test]
fn the_order_stands_when_the_line_blocks_in_the_middle() {
    let server = TestServer::of(STILL);
    let test_hold = server.seat(server.admit(0, 1).unwrap(), 0, SSE, None).unwrap();
    server.keeper.join(&test_hold.hold, "a".into()).unwrap();
    server.keeper.publish("a", &"two".into());
    test_hold.peer_io.window(8);
    test_hold.hold.open(vec!["one".into()]);
    held(&test_hold).send("three").unwrap();
    assert!(test_hold.flush().is_pending());
    test_hold.peer_io.window(usize::MAX);
    assert!(test_hold.flush().is_ready());
    assert_eq!(test_hold.peer_io.text(), "data: one\n\ndata: two\n\ndata: three\n\n");
}

#[test]
fn a_long_poll_is_answered_once() {
    let server = TestServer::of(STILL);
    let test_hold = server.suspend(WireForm::LongPoll);
    held(&test_hold).send("the answer").unwrap();
    assert_eq!(held(&test_hold).send("too late"), Err(SendError::Ended("too late".into())));
    let end_request = test_hold.hold.end_request().unwrap();
    assert_eq!(end_request.end, Resume::Answered.into());
    assert_eq!(end_request.last_messages, [Message::from("the answer").into()]);
}

#[test]
fn a_long_poll_gets_all_that_came_while_it_opened_in_order() {
    let server = TestServer::of(STILL);
    let test_hold = server.seat(server.admit(0, 1).unwrap(), 0, WireForm::LongPoll, None).unwrap();
    server.keeper.join(&test_hold.hold, "a".into()).unwrap();
    server.keeper.publish("a", &"live".into());
    held(&test_hold).send("direct").unwrap();
    test_hold.hold.open(vec!["reply".into()]);
    let last_messages = test_hold.hold.end_request().unwrap().last_messages;
    assert_eq!(last_messages, ["direct", "reply", "live"].map(|text| Message::from(text).into()));
}

#[test]
fn a_full_backlog_refuses_a_send_and_ends_a_hold_that_is_published_to() {
    let server = bounded();
    let test_hold = server.suspend(SSE);
    server.keeper.join(&test_hold.hold, "a".into()).unwrap();
    test_hold.peer_io.window(0);
    held(&test_hold).send(text(20_000)).unwrap();
    assert_eq!(held(&test_hold).send(text(20_000)), Err(SendError::Full(text(20_000))));
    assert_eq!(test_hold.cause(), None);
    assert_eq!(server.keeper.publish("a", &text(20_000)), 0);
    assert_eq!(test_hold.cause(), Some("slow"));
}

#[test]
fn what_the_kernel_keeps_counts_and_a_refusal_is_never_based_on_an_old_look() {
    let server = bounded();
    let test_hold = server.suspend(SSE);
    test_hold.peer_io.keep(BOUND - 1_000);
    held(&test_hold).send(text(10_000)).unwrap();
    assert_eq!(test_hold.peer_io.looks(), 0);
    assert_eq!(held(&test_hold).send(text(3_000)), Err(SendError::Full(text(3_000))));
    test_hold.peer_io.keep(0);
    held(&test_hold).send(text(3_000)).unwrap();
    assert_eq!(test_hold.peer_io.looks(), 2);
}

#[test]
fn the_kernel_is_seldom_asked_about_a_peer_that_reads() {
    const MESSAGES: usize = 1_000;
    for (size, most, kept) in
        [(64, 5, 0), (1_000, 16, 0), (8_000, 90, 0), (64, 7, 64 << 10), (8_000, 124, 64 << 10)]
    {
        let server = TestServer::of(STILL);
        let test_hold = server.suspend(SSE);
        test_hold.peer_io.keep(kept);
        for _ in 0..MESSAGES {
            held(&test_hold).send(text(size)).unwrap();
        }
        assert!(
            (1..=most).contains(&test_hold.peer_io.looks()),
            "{size} bytes: {}",
            test_hold.peer_io.looks()
        );
    }
}

#[test]
fn a_message_larger_than_the_backlog_is_the_senders_fault() {
    let server = bounded();
    let test_hold = server.suspend(SSE);
    server.keeper.join(&test_hold.hold, "a".into()).unwrap();
    assert_eq!(held(&test_hold).send(text(BOUND)), Err(SendError::TooLarge(text(BOUND))));
    assert_eq!(server.keeper.publish("a", &text(BOUND)), 0);
    assert_eq!(test_hold.cause(), None);
}

#[tokio::test(start_paused = true)]
async fn send_when_ready_waits_for_room_and_ends_with_the_hold() {
    let server = bounded();
    let test_hold = server.suspend(SSE);
    test_hold.peer_io.window(0);
    held(&test_hold).send(text(30_000)).unwrap();
    let waiting = tokio::spawn(held(&test_hold).send_when_ready(text(5_000)));
    tokio::time::sleep(secs(1)).await;
    assert!(!waiting.is_finished());
    test_hold.peer_io.window(usize::MAX);
    assert!(test_hold.flush().is_ready());
    assert_eq!(waiting.await.unwrap(), Ok(()));
    test_hold.peer_io.window(0);
    held(&test_hold).send(text(30_000)).unwrap();
    let waiting = tokio::spawn(held(&test_hold).send_when_ready(text(5_000)));
    tokio::task::yield_now().await;
    server.keeper.end(&test_hold.hold, Resume::Released.into());
    assert_eq!(waiting.await.unwrap(), Err(SendError::Ended(text(5_000))));
}

#[tokio::test(start_paused = true)]
async fn send_when_ready_sees_room_that_only_the_kernel_made() {
    let server = bounded();
    let test_hold = server.suspend(SSE);
    held(&test_hold).send(text(20_000)).unwrap();
    test_hold.peer_io.keep(30_000);
    let waiting = tokio::spawn(held(&test_hold).send_when_ready(text(20_000)));
    tokio::time::sleep(millis(200)).await;
    assert!(!waiting.is_finished());
    test_hold.peer_io.keep(0);
    assert_eq!(waiting.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_send_when_ready_sends_nothing() {
    let server = bounded();
    let test_hold = server.suspend(SSE);
    test_hold.peer_io.window(0);
    held(&test_hold).send(text(30_000)).unwrap();
    let waiting = held(&test_hold).send_when_ready(text(5_000));
    assert!(tokio::time::timeout(secs(1), waiting).await.is_err());
    test_hold.peer_io.window(usize::MAX);
    assert!(test_hold.flush().is_ready());
    assert_eq!(test_hold.peer_io.text().len(), 30_000 + "data: \n\n".len());
}

struct Flag(std::sync::atomic::AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

#[test]
fn a_task_that_found_nothing_to_flush_is_woken_by_what_waits_later() {
    let server = TestServer::of(STILL);
    let test_hold = server.suspend(SSE);
    let flag = Arc::new(Flag(false.into()));
    let waker = Waker::from(flag.clone());
    assert!(test_hold.hold.poll_flush(&mut Context::from_waker(&waker)).is_ready());
    test_hold.peer_io.window(0);
    held(&test_hold).send("waits").unwrap();
    assert!(flag.0.load(std::sync::atomic::Ordering::SeqCst));
}

#[test]
fn a_flood_of_pings_from_a_peer_that_does_not_read_waits_as_one_pong() {
    let server = bounded();
    let test_hold = server.suspend(WireForm::WebSocket);
    test_hold.peer_io.window(1);
    held(&test_hold).send("x").unwrap();
    for ping in 0..=255 {
        test_hold.hold.pong(websocket::pong(&[ping])).unwrap();
    }
    test_hold.peer_io.window(usize::MAX);
    assert!(test_hold.flush().is_ready());
    assert_eq!(test_hold.peer_io.take_written(), b"\x81\x01x\x8a\x01\xff");
}
