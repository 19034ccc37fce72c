//! Messages that topics keep: pushed out, too old, on their way to clients, and left when the last hub goes.

use std::time::Duration;

use abeyance::Transport;
use tokio::time::sleep;

use crate::fixture::{close, dropped, server_with, start};
use crate::hostile_value::HostileValues;

async fn pushed_out(values: HostileValues) {
    let server = start(server_with(&values), &values);
    for count in 0..10 {
        let message = values.message(10);
        values.call(|| server.hub.publish("kept/a", message));
        dropped(&values, count).await;
    }
    values.call(|| server.hub.publish("kept/a", "the last"));
    dropped(&values, 10).await;
    close(server, values).await;
}

async fn too_old(values: HostileValues) {
    let server = start(server_with(&values), &values);
    for topic in ["aged/a", "aged/a", "aged/b"] {
        let message = values.message(10);
        values.call(|| server.hub.publish(topic, message));
    }
    assert_eq!(values.dropped(), 0);
    dropped(&values, 3).await;
    close(server, values).await;
}

async fn too_much_of_all_topics(values: HostileValues) {
    let server = start(server_with(&values).server(|server| server.max_retained(4 << 10)), &values);
    for number in 0..10 {
        let message = values.message(2_000);
        values.call(|| server.hub.publish(format!("log/{number}"), message));
    }
    dropped(&values, 9).await;
    close(server, values).await;
}

async fn too_large_to_be_kept(values: HostileValues) {
    let server = start(server_with(&values).server(|server| server.max_retained(4 << 10)), &values);
    let message = values.message(8 << 10);
    values.call(|| server.hub.publish("log/a", message));
    dropped(&values, 1).await;
    close(server, values).await;
}

async fn the_answer_of_a_poll(values: HostileValues) {
    let server = start(server_with(&values).hold(|hold| hold.join("kept/a")), &values);
    let mut client = server.hold(Transport::LongPoll).await;
    let message = values.message(10);
    values.call(|| server.hub.publish("kept/a", message));
    // It is kept no longer: what is left of it is the answer.
    values.call(|| server.hub.publish("kept/a", "another"));
    assert_eq!(client.message().await, "xxxxxxxxxx");
    dropped(&values, 1).await;
    drop(client);
    close(server, values).await;
}

async fn read_by_a_returning_client(values: HostileValues) {
    let server = start(server_with(&values).hold(|hold| hold.join_with_history("log/a")), &values);
    for _ in 0..5 {
        let message = values.message(9_000);
        values.call(|| server.hub.publish("log/a", message));
    }
    for transport in [Transport::Sse, Transport::Stream, Transport::WebSocket, Transport::LongPoll] {
        let mut client = server.hold(transport).await;
        client.message().await;
        drop(client);
    }
    sleep(Duration::from_secs(1)).await;
    close(server, values).await;
}

async fn left_when_the_last_hub_goes(values: HostileValues) {
    let server = start(server_with(&values), &values);
    for _ in 0..5 {
        let message = values.message(10);
        values.call(|| server.hub.publish("log/a", message));
    }
    close(server, values).await;
}

drop_sites! {
    pushed_out,
    too_old,
    too_much_of_all_topics,
    too_large_to_be_kept,
    the_answer_of_a_poll,
    read_by_a_returning_client,
    left_when_the_last_hub_goes,
}
