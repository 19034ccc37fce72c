//! Long random histories: no end hook runs twice or early after any step, and every hold has one end.

use std::collections::BTreeSet;

use abeyance::{Transport, WhenFull};
use abeyance_tests::client::Client;
use abeyance_tests::dice::Dice;
use abeyance_tests::test_server::test_server;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use super::seconds;

/// Runs one history; returns the causes of its ends.
async fn live(seed: u64) -> Vec<&'static str> {
    let server = test_server()
        .server(|server| server.max_suspended(12).when_full(WhenFull::ResumeOldest))
        .hold(|hold| hold.timeout(seconds(20)).max_idle(seconds(30)).send_buffer(32 * 1024).join("news"))
        .on_message(|held, message| async move {
            match message.as_text() {
                Some("panic") => panic!("on purpose"),
                Some("leave") => _ = held.resume_with("goodbye"),
                Some("think") => sleep(seconds(40)).await,
                _ => drop(held.publish("news", message)),
            }
        })
        .on_end(|ended, end| async move {
            ended.publish("news", end.as_str());
        })
        .start();
    let mut dice = Dice::new(seed);
    let mut clients: Vec<Client> = Vec::new();
    for _ in 0..400 {
        let chosen = if clients.is_empty() { None } else { Some(dice.roll(clients.len())) };
        match (dice.roll(14), chosen) {
            (0..4, _) | (_, None) => {
                let transport = Transport::ALL[dice.roll(4)];
                if let Ok(client) = server.request(transport).attempt().await {
                    clients.push(client);
                }
            }
            (4, _) => drop(server.hub.publish("news", "x".repeat(dice.roll(20_000)))),
            (5, Some(chosen)) => drop(clients.swap_remove(chosen)),
            (6, Some(chosen)) => clients.swap_remove(chosen).into_stream().reset(),
            (7, Some(chosen)) => clients[chosen].stream().vanish(),
            (8, Some(chosen)) => {
                // It may have been closed long ago.
                let _ = clients[chosen].stream().shutdown().await;
            }
            (9, Some(chosen)) => {
                let text = ["panic", "leave", "think", "hello"][dice.roll(4)];
                match clients[chosen].transport {
                    Transport::WebSocket => {
                        let mut frame = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
                        frame.extend(text.bytes());
                        let _ = clients[chosen].stream().write_all(&frame).await;
                    }
                    Transport::LongPoll => {}
                    _ => drop(clients[chosen].post(text).await),
                }
            }
            (10, _) => {
                let begun = server.hooks.holds();
                let held = &begun[dice.roll(begun.len())];
                match dice.roll(3) {
                    0 => _ = held.resume(),
                    1 => _ = held.disconnect("out"),
                    _ => drop(held.send("you")),
                }
            }
            (11, Some(chosen)) => {
                let mut client = clients.swap_remove(chosen);
                tokio::spawn(async move {
                    while let abeyance_tests::client::Received::Message(_) = client.next().await {}
                });
            }
            (_, _) => sleep(seconds(1) * dice.roll(8) as u32).await,
        }
        server.assert_no_end_too_many();
        assert!(server.hub.peak() <= 12);
    }
    let hub = server.hub.clone();
    server.close().await;
    hub.stats().ended.into_iter().map(|(cause, _)| cause).collect()
}

#[tokio::test(start_paused = true)]
async fn no_end_hook_runs_twice_or_early_in_a_long_history() {
    let mut causes = BTreeSet::new();
    for seed in 1..=6 {
        causes.extend(live(seed).await);
    }
    assert!(causes.len() >= 9, "not much happened: {causes:?}");
}
