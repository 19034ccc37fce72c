//! What one peer sends, or leaves behind, costs the others nothing.

use abeyance::Transport;
use abeyance_tests::house::plan;
use tokio::time::sleep;

use super::seconds;

fn frame(size: usize) -> Vec<u8> {
    let mut frame = vec![0x82, 0xfe, (size >> 8) as u8, size as u8, 0, 0, 0, 0];
    frame.resize(8 + size, b'x');
    frame
}

/// What waits for a hook after its connection is gone is still in memory, and counts.
#[tokio::test(start_paused = true)]
async fn what_waits_behind_a_hook_counts_when_its_connection_is_gone() {
    let house = plan().on_message(|_, _| sleep(seconds(20))).server(|s| s.max_buffered(1 << 20)).open();
    for _ in 0..40 {
        let mut client = house.enter(Transport::WebSocket).await;
        client.say("first").await;
        sleep(seconds(1) / 100).await;
        client.write(frame(60_000)).await;
        client.fin().await;
        drop(client);
    }
    sleep(seconds(1)).await;
    let stats = house.hub.stats();
    // 40 times 60,000 bytes are in the server.
    assert!(stats.waiting >= 1 << 19, "{}", stats.waiting);
    house.close().await;
}

/// Ends read what lies in sockets: not beyond the server's bound, and nobody else pays for it.
#[tokio::test(start_paused = true)]
async fn what_is_read_ahead_at_ends_stays_in_the_bound_and_harms_no_other() {
    const MEMORY: usize = 1 << 20;
    let house = plan()
        .on_message(|_, _| sleep(seconds(20)))
        .hold(|hold| hold.join("news"))
        .server(|s| s.max_buffered(MEMORY))
        .open();
    let innocent = house.enter(Transport::Sse).await;
    let id = house.record.newest().id();
    let mut clients = Vec::new();
    for _ in 0..40 {
        let mut client = house.enter(Transport::WebSocket).await;
        client.say("first").await;
        sleep(seconds(1) / 100).await;
        client.write(frame(60_000)).await;
        clients.push(client);
    }
    // A peer that is a little behind.
    let held = house.hub.get(id).unwrap();
    for _ in 0..3 {
        let _ = held.send("x".repeat(40_000));
    }
    for listed in house.hub.list() {
        if listed.id != id {
            house.hub.resume(listed.id);
        }
    }
    sleep(seconds(1)).await;
    let stats = house.hub.stats();
    assert!(stats.waiting <= MEMORY, "{}", stats.waiting);
    assert!(!held.is_ended(), "slow: {}", stats.ended("slow"));
    drop((innocent, clients));
    house.close().await;
}

/// Hooks that outlive their holds are bounded, but one peer must not have all of them.
#[tokio::test(start_paused = true)]
async fn one_peer_does_not_have_all_the_hooks_that_outlive_holds() {
    let house =
        plan().on_suspend(|_| sleep(seconds(20))).server(|s| s.max_per_peer(2).max_suspended(500)).open();
    for _ in 0..1_100 {
        let Ok(mut client) = house.visit(Transport::Stream).from([10, 0, 0, 66]).attempt().await else {
            break;
        };
        client.fin().await;
        tokio::task::yield_now().await;
    }
    let other = house.visit(Transport::Stream).from([10, 0, 0, 7]).attempt().await;
    assert!(other.is_ok(), "{:?}", other.err());
    drop(other);
    house.close().await;
}

/// A long poll's client that comes back on the same connection while `on_suspend` runs.
#[tokio::test(start_paused = true)]
async fn polls_on_one_connection_while_their_hooks_run() {
    let house = plan().on_suspend(|_| sleep(seconds(5))).open();
    let mut client = house.enter(Transport::LongPoll).await;
    for round in 0..20 {
        house.record.newest().resume();
        assert_eq!(client.end().await, "204");
        let request = house.visit(Transport::LongPoll).text();
        client.write(request).await;
        abeyance_tests::house::until("next", || house.record.begun().len() == round + 2).await;
    }
    client.fin().await;
    drop(client);
    house.told(21).await;
    assert_eq!(house.hub.stats().waiting, 0);
    house.close().await;
}

/// What is promised to be heard cannot be taken back; so it must leave room for what goes out, or everybody pays but who
/// posted.
#[tokio::test(start_paused = true)]
async fn others_do_not_pay_for_a_peer_that_posts() {
    const MEMORY: usize = 1 << 20;
    let house = plan().on_message(|_, _| sleep(seconds(20))).server(|s| s.max_buffered(MEMORY)).open();
    let mut posters = Vec::new();
    let text = "x".repeat(60_000);
    'all: for _ in 0..10 {
        let poster = house.visit(Transport::Stream).from([10, 0, 0, 66]).enter().await;
        for _ in 0..9 {
            let status = poster.post(&text).await.head.status;
            if status != 202 && house.hub.stats().waiting > MEMORY / 4 {
                if house.hub.stats().waiting > MEMORY - 61_000 {
                    posters.push(poster);
                    break 'all;
                }
                break;
            }
        }
        posters.push(poster);
    }
    let mut innocent = Vec::new();
    for number in 0..10 {
        let mut client = house.visit(Transport::Sse).from([10, 0, 1, number]).enter().await;
        client.stream().window(0);
        let held = house.record.newest();
        let _ = held.send("x".repeat(10_000));
        innocent.push((client, held));
    }
    let ended = innocent.iter().filter(|(_, held)| held.is_ended()).count();
    assert_eq!(ended, 0, "of 10 that had 10,000 bytes each");
    drop((posters, innocent));
    house.close().await;
}
