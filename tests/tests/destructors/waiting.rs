//! Messages that wait for a peer: until its hold is open, behind others, for an answer; and those that nobody takes.

use std::sync::Arc;
use std::time::Duration;

use abeyance::{Transport, WhenSlow};
use abeyance_tests::house::{Plan, TestServer, until};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::charge::Yard;
use crate::ground::{close, dropped, ground, open};

const BACKLOG: usize = 32 << 10;

/// Holds in `room`, whose `on_suspend` returns when it is told.
fn opening(yard: &Yard, rule: WhenSlow) -> (Plan, Arc<Notify>) {
    let gate = Arc::new(Notify::new());
    let told = gate.clone();
    let plan = ground(yard)
        .hold(move |hold| hold.join("room").send_buffer(BACKLOG).when_slow(rule))
        .on_suspend(move |_| {
            let told = told.clone();
            async move { told.notified().await }
        });
    (plan, gate)
}

async fn all_gone(house: &TestServer) {
    until("all ends", || house.hub.held_count() + house.hub.stats().ending == 0).await;
}

async fn for_a_hold_that_ends_while_it_opens(yard: Yard) {
    let (plan, gate) = opening(&yard, WhenSlow::Disconnect);
    let house = open(plan, &yard);
    for transport in Transport::ALL.iter().copied() {
        let client = house.enter(transport).await;
        let message = yard.message(10);
        yard.call(|| house.hub.publish("room", message));
        let message = yard.message(10);
        yard.call(|| house.hub.publish("room", message));
        let id = house.record.newest().id();
        assert!(yard.call(|| house.hub.resume(id)));
        gate.notify_one();
        drop(client);
        all_gone(&house).await;
    }
    dropped(&yard, 8).await;
    gate.notify_one();
    close(house, yard).await;
}

async fn dropped_for_newer_ones(yard: Yard) {
    let (plan, gate) = opening(&yard, WhenSlow::DropOldest);
    let house = open(plan, &yard);
    let client = house.enter(Transport::Sse).await;
    for _ in 0..5 {
        let message = yard.message(20_000);
        yard.call(|| house.hub.publish("room", message));
    }
    dropped(&yard, 4).await;
    gate.notify_one();
    drop(client);
    all_gone(&house).await;
    gate.notify_one();
    close(house, yard).await;
}

async fn dropped_because_others_came_first(yard: Yard) {
    let (plan, gate) = opening(&yard, WhenSlow::DropNewest);
    let house = open(plan, &yard);
    let client = house.enter(Transport::LongPoll).await;
    for _ in 0..5 {
        let message = yard.message(20_000);
        yard.call(|| house.hub.publish("room", message));
    }
    dropped(&yard, 4).await;
    gate.notify_one();
    all_gone(&house).await;
    drop(client);
    gate.notify_one();
    close(house, yard).await;
}

async fn too_much_for_one_that_is_disconnected(yard: Yard) {
    let (plan, gate) = opening(&yard, WhenSlow::Disconnect);
    let house = open(plan, &yard);
    let client = house.enter(Transport::Sse).await;
    for _ in 0..5 {
        let message = yard.message(20_000);
        yard.call(|| house.hub.publish("room", message));
    }
    gate.notify_one();
    all_gone(&house).await;
    dropped(&yard, 5).await;
    drop(client);
    gate.notify_one();
    close(house, yard).await;
}

async fn too_much_for_all_peers_together(yard: Yard) {
    for rule in [WhenSlow::DropOldest, WhenSlow::Disconnect] {
        let (plan, gate) = opening(&yard, rule);
        let house = open(plan.server(|server| server.max_buffered(BACKLOG)), &yard);
        let clients = [house.enter(Transport::Sse).await, house.enter(Transport::LongPoll).await];
        for _ in 0..5 {
            let message = yard.message(12_000);
            yard.call(|| house.hub.publish("room", message));
        }
        if rule == WhenSlow::DropOldest {
            dropped(&yard, yard.dropped().max(1)).await;
        }
        gate.notify_waiters();
        drop(clients);
        sleep(Duration::from_secs(1)).await;
        gate.notify_waiters();
        all_gone(&house).await;
        gate.notify_one();
        close(house, yard.clone()).await;
    }
}

async fn written_when_the_hold_is_open(yard: Yard) {
    let (plan, gate) = opening(&yard, WhenSlow::Disconnect);
    let house = open(plan, &yard);
    for transport in Transport::ALL.iter().copied() {
        let mut client = house.enter(transport).await;
        for _ in 0..3 {
            let message = yard.message(100);
            yard.call(|| house.hub.publish("room", message));
        }
        gate.notify_one();
        client.message().await;
        drop(client);
        all_gone(&house).await;
    }
    dropped(&yard, 12).await;
    gate.notify_one();
    close(house, yard).await;
}

async fn sent_to_one_peer(yard: Yard) {
    let house = open(ground(&yard), &yard);
    for transport in Transport::ALL.iter().copied() {
        let mut client = house.enter(transport).await;
        let held = house.record.newest();
        let message = yard.message(10);
        yard.call(|| held.send(message)).unwrap();
        client.message().await;
        if transport == Transport::LongPoll {
            assert!(held.send(yard.message(10)).is_err());
        }
        let messages = [yard.message(10), yard.message(10)];
        yard.call(|| messages.map(|message| held.resume_with(message)));
        drop(client);
        all_gone(&house).await;
        assert!(held.send_when_ready(yard.message(10)).await.is_err());
    }
    close(house, yard).await;
}

async fn that_nobody_takes(yard: Yard) {
    let house = open(ground(&yard).hold(|hold| hold.join("room").send_buffer(BACKLOG)), &yard);
    let message = yard.message(10);
    yard.call(|| house.hub.publish("nobody", message));
    let client = house.enter(Transport::Sse).await;
    let message = yard.message(2 * BACKLOG);
    yard.call(|| house.hub.publish("room", message));
    let held = house.record.newest();
    assert!(held.send(yard.message(2 * BACKLOG)).is_err());
    drop(held.send_when_ready(yard.message(10)));
    drop(client);
    all_gone(&house).await;
    let message = yard.message(10);
    yard.call(|| held.publish("room", message));
    dropped(&yard, 5).await;
    close(house, yard).await;
}

async fn for_a_peer_that_does_not_read(yard: Yard) {
    let shape =
        |hold: abeyance::Suspend<_>| hold.join("room").send_buffer(BACKLOG).when_slow(WhenSlow::DropOldest);
    let house = open(ground(&yard).hold(shape), &yard);
    let client = house.enter(Transport::WebSocket).await;
    for _ in 0..100 {
        let message = yard.message(20_000);
        yard.call(|| house.hub.publish("room", message));
    }
    dropped(&yard, 100).await;
    drop(client);
    all_gone(&house).await;
    close(house, yard).await;
}

places! {
    for_a_hold_that_ends_while_it_opens,
    dropped_for_newer_ones,
    dropped_because_others_came_first,
    too_much_for_one_that_is_disconnected,
    too_much_for_all_peers_together,
    written_when_the_hold_is_open,
    sent_to_one_peer,
    that_nobody_takes,
    for_a_peer_that_does_not_read,
}
