//! What is published later: messages and what makes them, published, cancelled, refused, and left when the server stops.

use std::time::Duration;

use abeyance::{Hub, Message, Scheduled, Transport};
use tokio::time::sleep;

use crate::fixture::{close, dropped, server_with, start};
use crate::hostile_value::HostileValues;

const SECOND: Duration = Duration::from_secs(1);

/// A message that comes once, one that comes again, and one that is made anew each time.
fn schedule(hub: &Hub, values: &HostileValues, topic: &str) -> [Scheduled; 3] {
    let maker = values.value();
    let make = move || {
        let _maker = &maker;
        Message::from("made")
    };
    [
        hub.publish_after(SECOND, topic, values.message(10)).unwrap(),
        hub.publish_every(SECOND, topic, values.message(10)).unwrap(),
        hub.publish_every_with(SECOND, topic, make).unwrap(),
    ]
}

async fn published(values: HostileValues) {
    let server = start(server_with(&values), &values);
    let [once, again, made] = schedule(&server.hub, &values, "room");
    once.detach();
    dropped(&values, 1).await;
    sleep(3 * SECOND).await;
    assert!(again.cancel() && made.cancel());
    dropped(&values, 3).await;
    close(server, values).await;
}

async fn made_each_time(values: HostileValues) {
    let server = start(server_with(&values), &values);
    let maker = values.clone();
    let made = server.hub.publish_every_with(SECOND, "room", move || maker.message(10)).unwrap();
    dropped(&values, 3).await;
    drop(made);
    close(server, values).await;
}

async fn cancelled_by_its_handle(values: HostileValues) {
    let server = start(server_with(&values), &values);
    drop(schedule(&server.hub, &values, "room"));
    dropped(&values, 3).await;
    close(server, values).await;
}

async fn cancelled_with_its_topic(values: HostileValues) {
    let server = start(server_with(&values).hold(|hold| hold.join("room")), &values);
    let client = server.hold(Transport::Sse).await;
    schedule(&server.hub, &values, "room").into_iter().for_each(Scheduled::detach);
    drop(client);
    dropped(&values, 3).await;
    close(server, values).await;
}

async fn refused(values: HostileValues) {
    let server = start(server_with(&values), &values);
    let maker = values.value();
    let make = move || {
        let _maker = &maker;
        "made"
    };
    assert!(server.hub.publish_after(Duration::MAX, "room", values.message(10)).is_err());
    assert!(server.hub.publish_every(Duration::ZERO, "room", values.message(10)).is_err());
    assert!(server.hub.publish_every_with(Duration::MAX, "room", make).is_err());
    dropped(&values, 3).await;
    close(server, values).await;
}

async fn left_when_the_server_stops(values: HostileValues) {
    let server = start(server_with(&values), &values);
    schedule(&server.hub, &values, "room").into_iter().for_each(Scheduled::detach);
    close(server, values).await;
}

async fn that_cannot_be_made(values: HostileValues) {
    let server = start(server_with(&values), &values);
    let maker = values.value();
    let make = move || -> Message {
        let _maker = &maker;
        panic!("on purpose")
    };
    server.hub.publish_every_with(SECOND, "room", make).unwrap().detach();
    dropped(&values, 1).await;
    close(server, values).await;
}

drop_sites! {
    published,
    made_each_time,
    cancelled_by_its_handle,
    cancelled_with_its_topic,
    refused,
    left_when_the_server_stops,
    that_cannot_be_made,
}
