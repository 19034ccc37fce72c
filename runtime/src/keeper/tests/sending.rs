//! Sending and publishing: order, room, and what becomes of peers that do not read.

use std::task::Wake;

use super::*;
use crate::keeper::held::{Held, SendError};
use abeyance_core::mechanisms::wire::websocket;
use abeyance_core::words::cause::Resume;
use abeyance_core::words::message::Message;

const BOUND: usize = 32 << 10;

fn bounded() -> TestKeeper {
    TestKeeper::of(EndpointOptions { send_buffer: Some(BOUND), ..STILL })
}

fn text(length: usize) -> Message {
    "x".repeat(length).into()
}

fn held(guest: &TestHold) -> Held {
    Held::new(guest.hold.clone())
}

#[test]
fn what_is_published_while_opening_comes_after_on_suspend_and_the_replies() {
    let house = TestKeeper::of(STILL);
    let guest = house.seat(house.admit(0, 1).unwrap(), 0, SSE, None).unwrap();
    house.keeper.join(&guest.hold, "a".into()).unwrap();
    assert_eq!(house.keeper.publish("a", &"live 1".into()), 1);
    held(&guest).send("from on_suspend").unwrap();
    guest.hold.open(vec!["reply 1".into(), "reply 2".into()]);
    house.keeper.publish("a", &"live 2".into());
    let all = ["from on_suspend", "reply 1", "reply 2", "live 1", "live 2"];
    assert_eq!(guest.line.text(), all.map(|line| format!("data: {line}\n\n")).concat());
}

#[test]
fn the_order_stands_when_the_line_blocks_in_the_middle() {
    let house = TestKeeper::of(STILL);
    let guest = house.seat(house.admit(0, 1).unwrap(), 0, SSE, None).unwrap();
    house.keeper.join(&guest.hold, "a".into()).unwrap();
    house.keeper.publish("a", &"two".into());
    guest.line.window(8);
    guest.hold.open(vec!["one".into()]);
    held(&guest).send("three").unwrap();
    assert!(guest.flush().is_pending());
    guest.line.window(usize::MAX);
    assert!(guest.flush().is_ready());
    assert_eq!(guest.line.text(), "data: one\n\ndata: two\n\ndata: three\n\n");
}

#[test]
fn a_long_poll_is_answered_once() {
    let house = TestKeeper::of(STILL);
    let guest = house.suspend(WireForm::LongPoll);
    held(&guest).send("the answer").unwrap();
    assert_eq!(held(&guest).send("too late"), Err(SendError::Ended("too late".into())));
    let end_request = guest.hold.end_request().unwrap();
    assert_eq!(end_request.end, Resume::Answered.into());
    assert_eq!(end_request.last_messages, [Message::from("the answer").into()]);
}

#[test]
fn a_long_poll_gets_all_that_came_while_it_opened_in_order() {
    let house = TestKeeper::of(STILL);
    let guest = house.seat(house.admit(0, 1).unwrap(), 0, WireForm::LongPoll, None).unwrap();
    house.keeper.join(&guest.hold, "a".into()).unwrap();
    house.keeper.publish("a", &"live".into());
    held(&guest).send("direct").unwrap();
    guest.hold.open(vec!["reply".into()]);
    let last_messages = guest.hold.end_request().unwrap().last_messages;
    assert_eq!(last_messages, ["direct", "reply", "live"].map(|text| Message::from(text).into()));
}

#[test]
fn a_full_backlog_refuses_a_send_and_ends_a_hold_that_is_published_to() {
    let house = bounded();
    let guest = house.suspend(SSE);
    house.keeper.join(&guest.hold, "a".into()).unwrap();
    guest.line.window(0);
    held(&guest).send(text(20_000)).unwrap();
    assert_eq!(held(&guest).send(text(20_000)), Err(SendError::Full(text(20_000))));
    assert_eq!(guest.cause(), None);
    assert_eq!(house.keeper.publish("a", &text(20_000)), 0);
    assert_eq!(guest.cause(), Some("slow"));
}

#[test]
fn what_the_kernel_keeps_counts_and_a_refusal_is_never_based_on_an_old_look() {
    let house = bounded();
    let guest = house.suspend(SSE);
    guest.line.keep(BOUND - 1_000);
    held(&guest).send(text(10_000)).unwrap();
    assert_eq!(guest.line.looks(), 0);
    assert_eq!(held(&guest).send(text(3_000)), Err(SendError::Full(text(3_000))));
    guest.line.keep(0);
    held(&guest).send(text(3_000)).unwrap();
    assert_eq!(guest.line.looks(), 2);
}

#[test]
fn the_kernel_is_seldom_asked_about_a_peer_that_reads() {
    const MESSAGES: usize = 1_000;
    for (size, most, kept) in
        [(64, 5, 0), (1_000, 16, 0), (8_000, 90, 0), (64, 7, 64 << 10), (8_000, 124, 64 << 10)]
    {
        let house = TestKeeper::of(STILL);
        let guest = house.suspend(SSE);
        guest.line.keep(kept);
        for _ in 0..MESSAGES {
            held(&guest).send(text(size)).unwrap();
        }
        assert!((1..=most).contains(&guest.line.looks()), "{size} bytes: {}", guest.line.looks());
    }
}

#[test]
fn a_message_larger_than_the_backlog_is_the_senders_fault() {
    let house = bounded();
    let guest = house.suspend(SSE);
    house.keeper.join(&guest.hold, "a".into()).unwrap();
    assert_eq!(held(&guest).send(text(BOUND)), Err(SendError::TooLarge(text(BOUND))));
    assert_eq!(house.keeper.publish("a", &text(BOUND)), 0);
    assert_eq!(guest.cause(), None);
}

#[tokio::test(start_paused = true)]
async fn send_when_ready_waits_for_room_and_ends_with_the_hold() {
    let house = bounded();
    let guest = house.suspend(SSE);
    guest.line.window(0);
    held(&guest).send(text(30_000)).unwrap();
    let waiting = tokio::spawn(held(&guest).send_when_ready(text(5_000)));
    tokio::time::sleep(secs(1)).await;
    assert!(!waiting.is_finished());
    guest.line.window(usize::MAX);
    assert!(guest.flush().is_ready());
    assert_eq!(waiting.await.unwrap(), Ok(()));
    guest.line.window(0);
    held(&guest).send(text(30_000)).unwrap();
    let waiting = tokio::spawn(held(&guest).send_when_ready(text(5_000)));
    tokio::task::yield_now().await;
    house.keeper.end(&guest.hold, Resume::Released.into());
    assert_eq!(waiting.await.unwrap(), Err(SendError::Ended(text(5_000))));
}

#[tokio::test(start_paused = true)]
async fn send_when_ready_sees_room_that_only_the_kernel_made() {
    let house = bounded();
    let guest = house.suspend(SSE);
    held(&guest).send(text(20_000)).unwrap();
    guest.line.keep(30_000);
    let waiting = tokio::spawn(held(&guest).send_when_ready(text(20_000)));
    tokio::time::sleep(millis(200)).await;
    assert!(!waiting.is_finished());
    guest.line.keep(0);
    assert_eq!(waiting.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_send_when_ready_sends_nothing() {
    let house = bounded();
    let guest = house.suspend(SSE);
    guest.line.window(0);
    held(&guest).send(text(30_000)).unwrap();
    let waiting = held(&guest).send_when_ready(text(5_000));
    assert!(tokio::time::timeout(secs(1), waiting).await.is_err());
    guest.line.window(usize::MAX);
    assert!(guest.flush().is_ready());
    assert_eq!(guest.line.text().len(), 30_000 + "data: \n\n".len());
}

struct Flag(std::sync::atomic::AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

#[test]
fn a_task_that_found_nothing_to_flush_is_woken_by_what_waits_later() {
    let house = TestKeeper::of(STILL);
    let guest = house.suspend(SSE);
    let flag = Arc::new(Flag(false.into()));
    let waker = Waker::from(flag.clone());
    assert!(guest.hold.poll_flush(&mut Context::from_waker(&waker)).is_ready());
    guest.line.window(0);
    held(&guest).send("waits").unwrap();
    assert!(flag.0.load(std::sync::atomic::Ordering::SeqCst));
}

#[test]
fn a_flood_of_pings_from_a_peer_that_does_not_read_waits_as_one_pong() {
    let house = bounded();
    let guest = house.suspend(WireForm::WebSocket);
    guest.line.window(1);
    held(&guest).send("x").unwrap();
    for ping in 0..=255 {
        guest.hold.pong(websocket::pong(&[ping])).unwrap();
    }
    guest.line.window(usize::MAX);
    assert!(guest.flush().is_ready());
    assert_eq!(guest.line.take_written(), b"\x81\x01x\x8a\x01\xff");
}
