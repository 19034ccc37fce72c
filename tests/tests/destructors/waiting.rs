//! Messages that wait for a peer: until its hold is open, behind others, for an answer; and those that no peer takes.

use std::sync::Arc;
use std::time::Duration;

use abeyance::{Transport, WhenSlow};
use abeyance_tests::test_server::{TestServer, TestServerBuilder, until};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::fixture::{close, dropped, server_with, start};
use crate::hostile_value::HostileValues;

const SEND_BUFFER: usize = 32 << 10;

/// Holds in `room`, whose `on_suspend` returns when it is told.
fn opening(values: &HostileValues, rule: WhenSlow) -> (TestServerBuilder, Arc<Notify>) {
    let gate = Arc::new(Notify::new());
    let told = gate.clone();
    let builder = server_with(values)
        .hold(move |hold| hold.join("room").send_buffer(SEND_BUFFER).when_slow(rule))
        .on_suspend(move |_| {
            let told = told.clone();
            async move { told.notified().await }
        });
    (builder, gate)
}

async fn all_gone(server: &TestServer) {
    until("all ends", || server.hub.held_count() + server.hub.stats().ending == 0).await;
}

async fn for_a_hold_that_ends_while_it_opens(values: HostileValues) {
    let (builder, gate) = opening(&values, WhenSlow::Disconnect);
    let server = start(builder, &values);
    for transport in Transport::ALL.iter().copied() {
        let client = server.hold(transport).await;
        let message = values.message(10);
        values.call(|| server.hub.publish("room", message));
        let message = values.message(10);
        values.call(|| server.hub.publish("room", message));
        let id = server.hooks.newest().id();
        assert!(values.call(|| server.hub.resume(id)));
        gate.notify_one();
        drop(client);
        all_gone(&server).await;
    }
    dropped(&values, 8).await;
    gate.notify_one();
    close(server, values).await;
}

async fn dropped_for_newer_ones(values: HostileValues) {
    let (builder, gate) = opening(&values, WhenSlow::DropOldest);
    let server = start(builder, &values);
    let client = server.hold(Transport::Sse).await;
    for _ in 0..5 {
        let message = values.message(20_000);
        values.call(|| server.hub.publish("room", message));
    }
    dropped(&values, 4).await;
    gate.notify_one();
    drop(client);
    all_gone(&server).await;
    gate.notify_one();
    close(server, values).await;
}

async fn dropped_because_others_came_first(values: HostileValues) {
    let (builder, gate) = opening(&values, WhenSlow::DropNewest);
    let server = start(builder, &values);
    let client = server.hold(Transport::LongPoll).await;
    for _ in 0..5 {
        let message = values.message(20_000);
        values.call(|| server.hub.publish("room", message));
    }
    dropped(&values, 4).await;
    gate.notify_one();
    all_gone(&server).await;
    drop(client);
    gate.notify_one();
    close(server, values).await;
}

async fn too_much_for_one_that_is_disconnected(values: HostileValues) {
    let (builder, gate) = opening(&values, WhenSlow::Disconnect);
    let server = start(builder, &values);
    let client = server.hold(Transport::Sse).await;
    for _ in 0..5 {
        let message = values.message(20_000);
        values.call(|| server.hub.publish("room", message));
    }
    gate.notify_one();
    all_gone(&server).await;
    dropped(&values, 5).await;
    drop(client);
    gate.notify_one();
    close(server, values).await;
}

async fn too_much_for_all_peers_together(values: HostileValues) {
    for rule in [WhenSlow::DropOldest, WhenSlow::Disconnect] {
        let (builder, gate) = opening(&values, rule);
        let server = start(builder.server(|server| server.max_buffered(SEND_BUFFER)), &values);
        let clients = [server.hold(Transport::Sse).await, server.hold(Transport::LongPoll).await];
        for _ in 0..5 {
            let message = values.message(12_000);
            values.call(|| server.hub.publish("room", message));
        }
        if rule == WhenSlow::DropOldest {
            dropped(&values, values.dropped().max(1)).await;
        }
        gate.notify_waiters();
        drop(clients);
        sleep(Duration::from_secs(1)).await;
        gate.notify_waiters();
        all_gone(&server).await;
        gate.notify_one();
        close(server, values.clone()).await;
    }
}

async fn written_when_the_hold_is_open(values: HostileValues) {
    let (builder, gate) = opening(&values, WhenSlow::Disconnect);
    let server = start(builder, &values);
    for transport in Transport::ALL.iter().copied() {
        let mut client = server.hold(transport).await;
        for _ in 0..3 {
            let message = values.message(100);
            values.call(|| server.hub.publish("room", message));
        }
        gate.notify_one();
        client.message().await;
        drop(client);
        all_gone(&server).await;
    }
    dropped(&values, 12).await;
    gate.notify_one();
    close(server, values).await;
}

async fn sent_to_one_peer(values: HostileValues) {
    let server = start(server_with(&values), &values);
    for transport in Transport::ALL.iter().copied() {
        let mut client = server.hold(transport).await;
        let held = server.hooks.newest();
        let message = values.message(10);
        values.call(|| held.send(message)).unwrap();
        client.message().await;
        if transport == Transport::LongPoll {
            assert!(held.send(values.message(10)).is_err());
        }
        let messages = [values.message(10), values.message(10)];
        values.call(|| messages.map(|message| held.resume_with(message)));
        drop(client);
        all_gone(&server).await;
        assert!(held.send_when_ready(values.message(10)).await.is_err());
    }
    close(server, values).await;
}

async fn that_no_peer_takes(values: HostileValues) {
    let server = start(server_with(&values).hold(|hold| hold.join("room").send_buffer(SEND_BUFFER)), &values);
    let message = values.message(10);
    values.call(|| server.hub.publish("empty", message));
    let client = server.hold(Transport::Sse).await;
    let message = values.message(2 * SEND_BUFFER);
    values.call(|| server.hub.publish("room", message));
    let held = server.hooks.newest();
    assert!(held.send(values.message(2 * SEND_BUFFER)).is_err());
    drop(held.send_when_ready(values.message(10)));
    drop(client);
    all_gone(&server).await;
    let message = values.message(10);
    values.call(|| held.publish("room", message));
    dropped(&values, 5).await;
    close(server, values).await;
}

async fn for_a_peer_that_does_not_read(values: HostileValues) {
    let shape = |hold: abeyance::Suspend<_>| {
        hold.join("room").send_buffer(SEND_BUFFER).when_slow(WhenSlow::DropOldest)
    };
    let server = start(server_with(&values).hold(shape), &values);
    let client = server.hold(Transport::WebSocket).await;
    for _ in 0..100 {
        let message = values.message(20_000);
        values.call(|| server.hub.publish("room", message));
    }
    dropped(&values, 100).await;
    drop(client);
    all_gone(&server).await;
    close(server, values).await;
}

drop_sites! {
    for_a_hold_that_ends_while_it_opens,
    dropped_for_newer_ones,
    dropped_because_others_came_first,
    too_much_for_one_that_is_disconnected,
    too_much_for_all_peers_together,
    written_when_the_hold_is_open,
    sent_to_one_peer,
    that_no_peer_takes,
    for_a_peer_that_does_not_read,
}
