//! Messages that topics keep: pushed out, too old, on their way to clients, and left when the last hub goes.

use std::time::Duration;

use abeyance::Transport;
use tokio::time::sleep;

use crate::charge::Yard;
use crate::ground::{close, dropped, ground, open};

async fn pushed_out(yard: Yard) {
    let house = open(ground(&yard), &yard);
    for count in 0..10 {
        let message = yard.message(10);
        yard.call(|| house.hub.publish("kept/a", message));
        dropped(&yard, count).await;
    }
    yard.call(|| house.hub.publish("kept/a", "the last"));
    dropped(&yard, 10).await;
    close(house, yard).await;
}

async fn too_old(yard: Yard) {
    let house = open(ground(&yard), &yard);
    for topic in ["aged/a", "aged/a", "aged/b"] {
        let message = yard.message(10);
        yard.call(|| house.hub.publish(topic, message));
    }
    assert_eq!(yard.dropped(), 0);
    dropped(&yard, 3).await;
    close(house, yard).await;
}

async fn too_much_of_all_topics(yard: Yard) {
    let house = open(ground(&yard).server(|server| server.max_retained(4 << 10)), &yard);
    for number in 0..10 {
        let message = yard.message(2_000);
        yard.call(|| house.hub.publish(format!("log/{number}"), message));
    }
    dropped(&yard, 9).await;
    close(house, yard).await;
}

async fn too_large_to_be_kept(yard: Yard) {
    let house = open(ground(&yard).server(|server| server.max_retained(4 << 10)), &yard);
    let message = yard.message(8 << 10);
    yard.call(|| house.hub.publish("log/a", message));
    dropped(&yard, 1).await;
    close(house, yard).await;
}

async fn the_answer_of_a_poll(yard: Yard) {
    let house = open(ground(&yard).hold(|hold| hold.join("kept/a")), &yard);
    let mut client = house.enter(Transport::LongPoll).await;
    let message = yard.message(10);
    yard.call(|| house.hub.publish("kept/a", message));
    // It is kept no longer: what is left of it is the answer.
    yard.call(|| house.hub.publish("kept/a", "another"));
    assert_eq!(client.message().await, "xxxxxxxxxx");
    dropped(&yard, 1).await;
    drop(client);
    close(house, yard).await;
}

async fn read_by_who_comes_back(yard: Yard) {
    let house = open(ground(&yard).hold(|hold| hold.join_with_history("log/a")), &yard);
    for _ in 0..5 {
        let message = yard.message(9_000);
        yard.call(|| house.hub.publish("log/a", message));
    }
    for transport in [Transport::Sse, Transport::Stream, Transport::WebSocket, Transport::LongPoll] {
        let mut client = house.enter(transport).await;
        client.message().await;
        drop(client);
    }
    sleep(Duration::from_secs(1)).await;
    close(house, yard).await;
}

async fn left_when_the_last_hub_goes(yard: Yard) {
    let house = open(ground(&yard), &yard);
    for _ in 0..5 {
        let message = yard.message(10);
        yard.call(|| house.hub.publish("log/a", message));
    }
    close(house, yard).await;
}

places! {
    pushed_out,
    too_old,
    too_much_of_all_topics,
    too_large_to_be_kept,
    the_answer_of_a_poll,
    read_by_who_comes_back,
    left_when_the_last_hub_goes,
}
