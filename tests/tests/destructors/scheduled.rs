//! What is published later: messages and what makes them, published, cancelled, refused, and left when the server stops.

use std::time::Duration;

use abeyance::{Hub, Message, Scheduled, Transport};
use tokio::time::sleep;

use crate::charge::Yard;
use crate::ground::{close, dropped, ground, open};

const SECOND: Duration = Duration::from_secs(1);

/// A message that comes once, one that comes again, and one that is made anew each time.
fn schedule(hub: &Hub, yard: &Yard, topic: &str) -> [Scheduled; 3] {
    let maker = yard.charge();
    let make = move || {
        let _maker = &maker;
        Message::from("made")
    };
    [
        hub.publish_after(SECOND, topic, yard.message(10)).unwrap(),
        hub.publish_every(SECOND, topic, yard.message(10)).unwrap(),
        hub.publish_every_with(SECOND, topic, make).unwrap(),
    ]
}

async fn published(yard: Yard) {
    let house = open(ground(&yard), &yard);
    let [once, again, made] = schedule(&house.hub, &yard, "room");
    once.detach();
    dropped(&yard, 1).await;
    sleep(3 * SECOND).await;
    assert!(yard.call(|| again.cancel() && made.cancel()));
    dropped(&yard, 3).await;
    close(house, yard).await;
}

async fn made_each_time(yard: Yard) {
    let house = open(ground(&yard), &yard);
    let maker = yard.clone();
    let made = house.hub.publish_every_with(SECOND, "room", move || maker.message(10)).unwrap();
    dropped(&yard, 3).await;
    drop(made);
    close(house, yard).await;
}

async fn cancelled_by_its_handle(yard: Yard) {
    let house = open(ground(&yard), &yard);
    let scheduled = schedule(&house.hub, &yard, "room");
    yard.call(|| drop(scheduled));
    dropped(&yard, 3).await;
    close(house, yard).await;
}

async fn cancelled_with_its_topic(yard: Yard) {
    let house = open(ground(&yard).hold(|hold| hold.join("room")), &yard);
    let client = house.enter(Transport::Sse).await;
    schedule(&house.hub, &yard, "room").into_iter().for_each(Scheduled::detach);
    drop(client);
    dropped(&yard, 3).await;
    close(house, yard).await;
}

async fn refused(yard: Yard) {
    let house = open(ground(&yard), &yard);
    let maker = yard.charge();
    let make = move || {
        let _maker = &maker;
        "made"
    };
    let messages = [yard.message(10), yard.message(10)];
    yard.call(|| {
        let [one, other] = messages;
        assert!(house.hub.publish_after(Duration::MAX, "room", one).is_err());
        assert!(house.hub.publish_every(Duration::ZERO, "room", other).is_err());
        assert!(house.hub.publish_every_with(Duration::MAX, "room", make).is_err());
    });
    dropped(&yard, 3).await;
    close(house, yard).await;
}

async fn left_when_the_server_stops(yard: Yard) {
    let house = open(ground(&yard), &yard);
    schedule(&house.hub, &yard, "room").into_iter().for_each(Scheduled::detach);
    close(house, yard).await;
}

async fn that_cannot_be_made(yard: Yard) {
    let house = open(ground(&yard), &yard);
    let maker = yard.charge();
    let make = move || -> Message {
        let _maker = &maker;
        panic!("on purpose")
    };
    house.hub.publish_every_with(SECOND, "room", make).unwrap().detach();
    dropped(&yard, 1).await;
    close(house, yard).await;
}

places! {
    published,
    made_each_time,
    cancelled_by_its_handle,
    cancelled_with_its_topic,
    refused,
    left_when_the_server_stops,
    that_cannot_be_made,
}
