//! What one peer sends, or leaves unread, costs the others nothing.

use abeyance::Transport;
use abeyance_tests::test_server::test_server;
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
    let server =
        test_server().on_message(|_, _| sleep(seconds(20))).server(|s| s.max_buffered(1 << 20)).start();
    for _ in 0..40 {
        let mut client = server.hold(Transport::WebSocket).await;
        client.send("first").await;
        sleep(seconds(1) / 100).await;
        client.write(frame(60_000)).await;
        client.fin().await;
        drop(client);
    }
    sleep(seconds(1)).await;
    let stats = server.hub.stats();
    // 40 times 60,000 bytes are in the server.
    assert!(stats.waiting >= 1 << 19, "{}", stats.waiting);
    server.close().await;
}

/// An end reads what is left in its socket, within the server's bound and at no cost to other holds.
#[tokio::test(start_paused = true)]
async fn what_is_read_ahead_at_ends_stays_in_the_bound_and_harms_no_other() {
    const MEMORY: usize = 1 << 20;
    let server = test_server()
        .on_message(|_, _| sleep(seconds(20)))
        .hold(|hold| hold.join("news"))
        .server(|s| s.max_buffered(MEMORY))
        .start();
    let innocent = server.hold(Transport::Sse).await;
    let id = server.hooks.newest().id();
    let mut clients = Vec::new();
    for _ in 0..40 {
        let mut client = server.hold(Transport::WebSocket).await;
        client.send("first").await;
        sleep(seconds(1) / 100).await;
        client.write(frame(60_000)).await;
        clients.push(client);
    }
    // A peer that is a little behind.
    let held = server.hub.get(id).unwrap();
    for _ in 0..3 {
        let _ = held.send("x".repeat(40_000));
    }
    for listed in server.hub.list() {
        if listed.id != id {
            server.hub.resume(listed.id);
        }
    }
    sleep(seconds(1)).await;
    let stats = server.hub.stats();
    assert!(stats.waiting <= MEMORY, "{}", stats.waiting);
    assert!(!held.is_ended(), "slow: {}", stats.ended("slow"));
    drop((innocent, clients));
    server.close().await;
}

/// Hooks that outlive their holds are bounded, but one peer must not have all of them.
#[tokio::test(start_paused = true)]
async fn one_peer_does_not_have_all_the_hooks_that_outlive_holds() {
    let server = test_server()
        .on_suspend(|_| sleep(seconds(20)))
        .server(|s| s.max_per_peer(2).max_suspended(500))
        .start();
    for _ in 0..1_100 {
        let Ok(mut client) = server.request(Transport::Stream).from([10, 0, 0, 66]).attempt().await else {
            break;
        };
        client.fin().await;
        tokio::task::yield_now().await;
    }
    let other = server.request(Transport::Stream).from([10, 0, 0, 7]).attempt().await;
    assert!(other.is_ok(), "{:?}", other.err());
    drop(other);
    server.close().await;
}

/// A long poll's client that comes back on the same connection while `on_suspend` runs.
#[tokio::test(start_paused = true)]
async fn polls_on_one_connection_while_their_hooks_run() {
    let server = test_server().on_suspend(|_| sleep(seconds(5))).start();
    let mut client = server.hold(Transport::LongPoll).await;
    for round in 0..20 {
        server.hooks.newest().resume();
        assert_eq!(client.end().await, "204");
        let request = server.request(Transport::LongPoll).text();
        client.write(request).await;
        abeyance_tests::test_server::until("next", || server.hooks.holds().len() == round + 2).await;
    }
    client.fin().await;
    drop(client);
    server.nth_end(21).await;
    assert_eq!(server.hub.stats().waiting, 0);
    server.close().await;
}

/// A message that was accepted cannot be refused later, so accepted messages must leave room for outgoing ones: else all
/// peers pay for the one that posts.
#[tokio::test(start_paused = true)]
async fn others_do_not_pay_for_a_peer_that_posts() {
    const MEMORY: usize = 1 << 20;
    let server =
        test_server().on_message(|_, _| sleep(seconds(20))).server(|s| s.max_buffered(MEMORY)).start();
    let mut posters = Vec::new();
    let text = "x".repeat(60_000);
    'all: for _ in 0..10 {
        let poster = server.request(Transport::Stream).from([10, 0, 0, 66]).hold().await;
        for _ in 0..9 {
            let status = poster.post(&text).await.head.status;
            if status != 202 && server.hub.stats().waiting > MEMORY / 4 {
                if server.hub.stats().waiting > MEMORY - 61_000 {
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
        let mut client = server.request(Transport::Sse).from([10, 0, 1, number]).hold().await;
        client.stream().window(0);
        let held = server.hooks.newest();
        let _ = held.send("x".repeat(10_000));
        innocent.push((client, held));
    }
    let ended = innocent.iter().filter(|(_, held)| held.is_ended()).count();
    assert_eq!(ended, 0, "of 10 that had 10,000 bytes each");
    drop((posters, innocent));
    server.close().await;
}
