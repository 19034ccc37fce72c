//! Random actions from a seed. Hooks of one hold never run side by side, `on_suspend` is first and the end hook last, each
//! message that was accepted is handled or counted, and each hold has one end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use abeyance::{HoldId, Transport, WhenFull};
use abeyance_tests::dice::Dice;
use abeyance_tests::test_server::test_server;
use tokio::io::AsyncWriteExt;

use tokio::time::sleep;

use super::seconds;

/// How many messages were handled, how many were not, and the cause.
type Account = (u64, u64, String);

#[derive(Default, Debug)]
struct State {
    running: usize,
    suspended: bool,
    begun: u64,
    ended: usize,
}

fn frame(size: usize) -> Vec<u8> {
    let mut frame = vec![0x82, 0xfe, (size >> 8) as u8, size as u8, 0, 0, 0, 0];
    frame.resize(8 + size, b'x');
    frame
}

async fn round(seed: u64) {
    let mut dice = Dice::new(seed);
    let states: Arc<Mutex<HashMap<HoldId, State>>> = Arc::default();
    let faults: Arc<Mutex<Vec<String>>> = Arc::default();
    struct ServerHandle(Arc<Mutex<HashMap<HoldId, State>>>, HoldId);
    impl Drop for ServerHandle {
        fn drop(&mut self) {
            self.0.lock().unwrap().get_mut(&self.1).unwrap().running -= 1;
        }
    }
    let begin = {
        let (states, faults) = (states.clone(), faults.clone());
        move |id: HoldId, what: &'static str| {
            let mut all = states.lock().unwrap();
            let state = all.entry(id).or_default();
            if state.running > 0 {
                faults.lock().unwrap().push(format!("{what} beside another"));
            }
            if state.ended > 0 {
                faults.lock().unwrap().push(format!("{what} after the end"));
            }
            match what {
                "on_suspend" => state.suspended = true,
                "on_message" => {
                    if !state.suspended {
                        faults.lock().unwrap().push("before on_suspend".into());
                    }
                    state.begun += 1;
                }
                _ => state.ended += 1,
            }
            state.running += 1;
            ServerHandle(states.clone(), id)
        }
    };
    let span = move |salt: u64, seed: u64| {
        let mut dice = Dice::new(seed ^ salt);
        match dice.roll(6) {
            0..3 => Duration::ZERO,
            3 => Duration::from_millis(dice.roll(100) as u64),
            4 => Duration::from_millis(dice.roll(6000) as u64),
            _ => Duration::from_millis(dice.roll(40_000) as u64),
        }
    };
    let counter = Arc::new(std::sync::atomic::AtomicU64::new(seed));
    let salt = move || counter.fetch_add(7919, std::sync::atomic::Ordering::SeqCst);
    let (b1, b2, b3) = (begin.clone(), begin.clone(), begin.clone());
    let (s1, s2) = (salt.clone(), salt.clone());
    let panics = dice.one_in(3);
    let st = states.clone();
    let ft = faults.clone();
    let ended_of: Arc<Mutex<HashMap<HoldId, Account>>> = Arc::default();
    let eo = ended_of.clone();
    let memory = dice.pick(&[64 << 10, 1 << 20, 1 << 28]);
    let bound = dice.pick(&[4, 8, 1000]);
    let lifetime = dice.pick(&[3, 20, 1000]);
    let server = test_server()
        .hold(move |hold| hold.join("news").max_lifetime(seconds(lifetime)))
        .on_suspend(move |held| {
            let running = b1(held.id(), "on_suspend");
            let span = span(s1(), seed);
            async move {
                let _running = running;
                if !span.is_zero() {
                    sleep(span).await;
                }
                assert!(!(panics && span.as_millis() % 5 == 1), "on purpose");
            }
        })
        .on_message(move |held, message| {
            let running = b2(held.id(), "on_message");
            let span = span(s2(), seed);
            async move {
                let _running = running;
                if !span.is_zero() {
                    sleep(span).await;
                }
                if message.len() % 3 == 0 {
                    held.publish("news", "heard");
                }
                assert!(!(panics && span.as_millis() % 5 == 1), "on purpose");
            }
        })
        .on_end(move |ended, end| {
            let running = b3(ended.id(), "on_end");
            let begun = st.lock().unwrap()[&ended.id()].begun;
            if begun != ended.messages_in() {
                ft.lock().unwrap().push(format!("{begun} begun, {} told", ended.messages_in()));
            }
            eo.lock()
                .unwrap()
                .insert(ended.id(), (ended.messages_in(), ended.unheard(), end.as_str().into()));
            async move {
                let _running = running;
            }
        })
        .server(|s| {
            s.max_buffered(memory).max_suspended(bound).when_full(WhenFull::ResumeOldest).drain(seconds(10))
        })
        .start();
    let mut clients = Vec::new();
    let mut sent: HashMap<HoldId, (u64, bool)> = HashMap::new();
    let steps = 30 + dice.roll(60);
    for _ in 0..steps {
        match dice.roll(12) {
            0..4 => {
                let transport = dice.pick(&[
                    Transport::WebSocket,
                    Transport::WebSocket,
                    Transport::Sse,
                    Transport::Stream,
                    Transport::LongPoll,
                ]);
                if let Ok(client) = server.request(transport).attempt().await {
                    let id = server.hooks.newest().id();
                    sent.insert(id, (0, false));
                    clients.push((id, client));
                }
            }
            4..7 if !clients.is_empty() => {
                let at = dice.roll(clients.len());
                let (id, client) = &mut clients[at];
                let said = sent.get_mut(id).unwrap();
                for _ in 0..dice.roll(6) {
                    match client.transport {
                        Transport::WebSocket => {
                            let size = dice.pick(&[200, 300, 9000, 30_000]);
                            let write = client.stream().write_all(&frame(size)).await;
                            let _ = write;
                            said.0 += 1;
                        }
                        Transport::LongPoll => {}
                        _ => {
                            if client.post("hello").await.head.status == 202 {
                                said.0 += 1;
                            }
                        }
                    }
                }
            }
            7 if !clients.is_empty() => {
                let at = dice.roll(clients.len());
                let (id, mut client) = clients.swap_remove(at);
                sent.get_mut(&id).unwrap().1 = true;
                match dice.roll(4) {
                    0 => client.into_stream().reset(),
                    1 => {
                        let _ = client.stream().write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]).await;
                        drop(client);
                    }
                    2 => {
                        let _ = client.stream().shutdown().await;
                        sleep(Duration::from_millis(dice.roll(3000) as u64)).await;
                        drop(client);
                    }
                    _ => drop(client),
                }
            }
            8 => {
                let list = server.hub.list();
                if !list.is_empty() {
                    let id = list[dice.roll(list.len())].id;
                    match dice.roll(3) {
                        0 => server.hub.disconnect(id, "kick"),
                        _ => server.hub.resume(id),
                    };
                }
            }
            9 => {
                server.hub.publish("news", "x".repeat(dice.pick(&[10, 30_000])));
            }
            _ => sleep(Duration::from_millis(dice.pick(&[1, 30, 700, 3000]))).await,
        }
        server.assert_no_end_too_many();
    }
    let hub = server.hub.clone();
    let hooks = server.hooks.clone();
    let hurry = Duration::from_millis(dice.roll(15_000) as u64);
    match dice.roll(3) {
        0 => {
            drop(clients);
            server.close_until(sleep(hurry)).await;
        }
        1 => {
            server.close_until(sleep(hurry)).await;
            drop(clients);
        }
        _ => {
            drop(clients);
            drop(server);
        }
    }
    for _ in 0..100 {
        sleep(seconds(1)).await;
        let stats = hub.stats();
        if stats.hooks_running == 0 && stats.held + stats.ending == 0 {
            break;
        }
    }
    hooks.assert_no_end_twice();
    let stats = hub.stats();
    assert_eq!(
        (stats.held, stats.ending, stats.hooks_running, stats.waiting),
        (0, 0, 0, 0),
        "seed {seed}: {stats:?}"
    );
    assert_eq!(hooks.ends().len() as u64, stats.suspended, "seed {seed}: {stats:?}");
    let faults = faults.lock().unwrap();
    assert!(faults.is_empty(), "seed {seed}: {faults:?}");
    for (id, (heard, unheard, cause)) in &*ended_of.lock().unwrap() {
        if let Some((said, _)) = sent.get(id) {
            assert!(heard + unheard <= *said, "seed {seed}: {heard} + {unheard} of {said}, {cause}");
            if matches!(cause.as_str(), "gone" | "closed") {
                assert_eq!(heard + unheard, *said, "seed {seed}: {heard} + {unheard} of {said}, {cause}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_hold_has_one_end_and_each_message_is_handled_or_counted() {
    for seed in 0..60 {
        round(seed).await;
    }
}

/// A subscriber of the log may panic: the end hook is called all the same.
#[tokio::test(start_paused = true)]
async fn a_log_that_panics_costs_no_end_hook() {
    struct Bomb;
    impl tracing::Subscriber for Bomb {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            assert!(event.metadata().fields().field("held_for").is_none(), "the log is full");
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }
    let server = test_server().start();
    let _client = server.hold(Transport::Sse).await;
    let guard = tracing::subscriber::set_default(Bomb);
    server.hooks.newest().resume();
    sleep(seconds(20)).await;
    drop(guard);
    assert_eq!(server.hooks.ends().len(), 1);
    assert_eq!(server.hub.stats().ended("released"), 1);
}
