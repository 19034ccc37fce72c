//! A drain spreads the ends over its time. A hold that waits for its turn is held as before; one without a turn is told so.

use std::future::pending;

use abeyance::{Disconnect, End, Hub, Resume, Transport};
use abeyance_tests::client::Received;
use abeyance_tests::test_context::HookLog;
use abeyance_tests::test_server::{TestServer, TestServerBuilder, test_server, until};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, advance, sleep};

use super::{LATE, seconds};

const DRAINED: End = End::Resume(Resume::Drained);
const SHUTDOWN: End = End::Disconnect(Disconnect::Shutdown);

/// So many that a drain takes six seconds, if it has them.
const CROWD: usize = 300;

/// What a client sees.
fn row(transport: Transport, end: &End) -> &'static str {
    match (transport, end.as_str()) {
        (Transport::WebSocket, "drained") => "1001 drained; retry-after",
        (Transport::WebSocket, _) => "1001 shutdown",
        (Transport::Sse, "drained") => "retry resumed drained, last",
        (Transport::Stream, "drained") => "last",
        (Transport::LongPoll, "drained") => "503 retry drained, close",
        (Transport::LongPoll, _) => "503 retry shutdown, close",
        _ => "FIN",
    }
}

async fn crowd(
    builder: TestServerBuilder,
    transport: Transport,
    count: usize,
) -> (TestServer, Vec<JoinHandle<String>>) {
    let server = builder.start();
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = server.hold(transport).await;
        clients.push(tokio::spawn(async move { client.end().await }));
    }
    assert_eq!(server.hub.held_count(), count);
    (server, clients)
}

/// When the end hooks with this cause ran, since the beginning of the drain.
fn ends(record: &HookLog, end: &End, begun: Instant) -> Vec<Duration> {
    let told = record.ends();
    told.iter().filter(|told| told.end == *end).map(|told| told.at - begun).collect()
}

contract!(ends_are_spread_evenly_over_the_drain of all);
async fn ends_are_spread_evenly_over_the_drain(transport: Transport) {
    // Of four seconds the last is for the last ending.
    let (server, clients) =
        crowd(test_server().server(|server| server.drain(seconds(4))), transport, CROWD).await;
    let record = server.hooks.clone();
    let begun = Instant::now();
    let drained = server.close().await;
    assert_eq!((drained.holds_cut, drained.connections_cut), (0, 0));
    let ends = ends(&record, &DRAINED, begun);
    assert_eq!(ends.len(), CROWD);
    for tenth in 0..30 {
        let within = seconds(1) * tenth / 10..seconds(1) * (tenth + 1) / 10;
        let count = ends.iter().filter(|at| within.contains(at)).count();
        // Clocks of whole milliseconds move one or the other over the border.
        assert!((8..=12).contains(&count), "{count} within {within:?}");
    }
    assert!(ends.iter().all(|at| *at <= seconds(3) + LATE));
    for client in clients {
        assert_eq!(client.await.unwrap(), row(transport, &DRAINED));
    }
}

contract!(few_do_not_wait_for_the_whole_drain of all);
async fn few_do_not_wait_for_the_whole_drain(transport: Transport) {
    let (server, _clients) =
        crowd(test_server().server(|server| server.drain(seconds(600))), transport, 3).await;
    let drained = server.close().await;
    assert!(drained.took <= Duration::from_millis(60) + LATE, "{:?}", drained.took);
}

contract!(a_drain_is_over_when_the_last_hold_has_ended_for_any_cause of all);
async fn a_drain_is_over_when_the_last_hold_has_ended_for_any_cause(transport: Transport) {
    let (server, _clients) = crowd(test_server(), transport, CROWD).await;
    let hub = server.hub.clone();
    let leaving = async {
        sleep(seconds(2)).await;
        hub.list().into_iter().filter(|held| hub.resume(held.id)).count()
    };
    let (drained, left) = tokio::join!(server.close(), leaving);
    assert!((190..=210).contains(&left), "{left}");
    assert!(drained.took <= seconds(2) + LATE, "{:?}", drained.took);
    assert_eq!(
        (hub.stats().ended("drained"), hub.stats().ended("released")),
        ((CROWD - left) as u64, left as u64)
    );
}

contract!(a_hold_that_waits_for_its_turn_is_held_as_before of lasting);
async fn a_hold_that_waits_for_its_turn_is_held_as_before(transport: Transport) {
    let builder = test_server().hold(|hold| hold.join("news").heartbeat(seconds(1)));
    let (server, _crowd) = crowd(builder, transport, CROWD).await;
    let mut talkers = Vec::new();
    for _ in 0..20 {
        talkers.push(server.hold(transport).await);
    }
    let ticker = server.hub.publish_every(seconds(1), "news", "tick").unwrap();
    let (hub, record) = (server.hub.clone(), server.hooks.clone());
    let meanwhile = async {
        sleep(seconds(3)).await;
        let held = hub.held_count();
        // Of 320 within 6.4 s, but for the one whose turn it is.
        assert!((169..=171).contains(&held), "{held}");
        assert_eq!(hub.publish("news", "still here"), held);
        let mut heard = 0;
        for client in &mut talkers {
            // The ends of some have come.
            while let Received::Message(text) = client.next().await {
                if text == "still here" {
                    heard += 1;
                    if transport == Transport::WebSocket {
                        client.send("so am I").await;
                    }
                    break;
                }
            }
        }
        assert!(heard > 0, "twenty of three hundred and twenty");
        if transport == Transport::WebSocket {
            until("them to be heard", || record.messages().len() == heard).await;
        }
        for client in &mut talkers {
            client.end().await;
        }
        // What is scheduled comes until the last has gone.
        assert!(
            talkers.iter().any(|client| client.messages.iter().filter(|text| *text == "tick").count() >= 4)
        );
    };
    let (drained, ()) = tokio::join!(server.close(), meanwhile);
    assert_eq!((drained.holds_cut, drained.connections_cut), (0, 0));
    drop(ticker);
}

contract!(a_stall_in_a_drain_skips_no_hold of all);
async fn a_stall_in_a_drain_skips_no_hold(transport: Transport) {
    let builder = test_server().server(|server| server.drain(seconds(4)));
    let (server, clients) = crowd(builder, transport, CROWD).await;
    let stall = async {
        sleep(seconds(1)).await;
        advance(seconds(60)).await;
    };
    let (drained, ()) = tokio::join!(server.close(), stall);
    assert_eq!((drained.holds_cut, drained.connections_cut), (0, 0));
    for client in clients {
        assert_eq!(client.await.unwrap(), row(transport, &DRAINED));
    }
}

contract!(clocks_go_on_in_a_drain of all);
async fn clocks_go_on_in_a_drain(transport: Transport) {
    let (server, clients) =
        crowd(test_server().hold(|hold| hold.timeout(seconds(3))), transport, CROWD).await;
    let hub = server.hub.clone();
    server.close().await;
    let stats = hub.stats();
    assert_eq!(stats.ended("drained") + stats.ended("timeout"), CROWD as u64);
    // Half of them had their turn; but for the one whose turn it is, and who has it while the timeout is late.
    let slice = seconds(6) / CROWD as u32;
    let late = LATE.as_millis().div_ceil(slice.as_millis()) as u64;
    assert!((149 - late..=151).contains(&stats.ended("timeout")), "{stats:?}");
    let row = match transport {
        Transport::WebSocket => "1000 timeout",
        Transport::Sse => "resumed timeout, last",
        Transport::Stream => "last",
        // It shall ask another server next.
        _ => "204, close",
    };
    let mut resumed = 0;
    for client in clients {
        resumed += usize::from(client.await.unwrap() == row);
    }
    assert!(resumed >= stats.ended("timeout") as usize);
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_is_answered_in_a_drain_is_not_kept_alive() {
    let (server, clients) =
        crowd(test_server().hold(|hold| hold.join("news")), Transport::LongPoll, CROWD).await;
    let hub = server.hub.clone();
    let news = async {
        sleep(seconds(3)).await;
        hub.publish("news", "late news")
    };
    let (drained, answered) = tokio::join!(server.close(), news);
    assert_eq!(drained.connections_cut, 0);
    let mut told = 0;
    for client in clients {
        match &*client.await.unwrap() {
            "200, close" => told += 1,
            other => assert_eq!(other, "503 retry drained, close"),
        }
    }
    assert!(told == answered && answered > 100, "{told} of {answered}");
}

#[tokio::test(start_paused = true)]
async fn what_an_early_end_hook_publishes_reaches_the_holds_that_are_left() {
    let builder = test_server().hold(|hold| hold.join("news"));
    let builder = builder.on_end(|ended, _| async move { _ = ended.publish("news", "bye") });
    let server = builder.start();
    let (mut one, mut two) = (server.hold(Transport::Sse).await, server.hold(Transport::Sse).await);
    tokio::join!(server.close(), one.end(), two.end());
    assert_eq!(one.messages.len() + two.messages.len(), 1);
}

contract!(a_hold_without_a_turn_ends_as_shutdown_when_a_drain_is_cut_short of all);
async fn a_hold_without_a_turn_ends_as_shutdown_when_a_drain_is_cut_short(transport: Transport) {
    let (server, clients) = crowd(test_server(), transport, CROWD).await;
    let record = server.hooks.clone();
    let begun = Instant::now();
    let drained = server.close_until(sleep(seconds(3))).await;
    assert!(begun.elapsed() <= seconds(3) + LATE, "{:?}", begun.elapsed());
    assert!((149..=151).contains(&drained.holds_cut), "{drained:?}");
    assert_eq!(drained.hooks_unfinished, 0);
    assert_eq!(ends(&record, &SHUTDOWN, begun).len(), drained.holds_cut);
    assert_eq!(ends(&record, &DRAINED, begun).len(), CROWD - drained.holds_cut);
    let (mut told, mut cut) = (0, 0);
    for client in clients {
        let end = client.await.unwrap();
        told += usize::from(end == row(transport, &DRAINED));
        cut += usize::from(end == row(transport, &SHUTDOWN));
    }
    assert_eq!(cut, drained.holds_cut);
    // A hold whose ending is being written at that millisecond is cut: the last of one slice, the first of the next.
    assert!((0..=2).contains(&(CROWD - cut - told)), "{told} of {}", CROWD - cut);
}

contract!(end_hooks_have_a_second_when_a_drain_is_cut_short of all);
async fn end_hooks_have_a_second_when_a_drain_is_cut_short(transport: Transport) {
    for (takes, unfinished) in [(Duration::from_millis(900), 0), (seconds(2), 1)] {
        let builder = test_server().on_end(move |_, _| sleep(takes));
        let server = builder.on_suspend(|_| pending()).start();
        let mut client = server.hold(transport).await;
        let drained = tokio::join!(server.close_until(async {}), client.end()).0;
        assert_eq!((drained.holds_cut, drained.hooks_unfinished), (1, unfinished), "{takes:?}");
    }
}

contract!(an_ending_that_cannot_be_delivered_keeps_its_cause of all);
async fn an_ending_that_cannot_be_delivered_keeps_its_cause(transport: Transport) {
    for end in [DRAINED, SHUTDOWN] {
        let server = test_server().start();
        let mut client = server.hold(transport).await;
        client.stream().window(0);
        let record = server.hooks.clone();
        let hurry = async {
            if end == DRAINED {
                pending::<()>().await;
            }
        };
        let drained = server.close_until(hurry).await;
        assert_eq!(drained.holds_cut, usize::from(end == SHUTDOWN));
        assert_eq!(record.causes(), std::slice::from_ref(&end));
        assert!(!record.ends()[0].ended.is_delivered(), "{end}");
        let seen = client.end().await;
        // A stream that is cut has no ending that a window could stop.
        let is_cut = end == SHUTDOWN && matches!(transport, Transport::Sse | Transport::Stream);
        assert_eq!(seen, if is_cut { "FIN" } else { "RST" });
    }
}

contract!(a_hold_that_opens_when_the_drain_begins_is_told_the_end_it_has of all);
async fn a_hold_that_opens_when_the_drain_begins_is_told_the_end_it_has(transport: Transport) {
    for end in [DRAINED, SHUTDOWN] {
        let server = test_server().on_suspend(|_| pending()).start();
        let mut client = server.hold(transport).await;
        let record = server.hooks.clone();
        let hurry = async {
            if end == DRAINED {
                pending::<()>().await;
            }
        };
        let (drained, seen) = tokio::join!(server.close_until(hurry), client.end());
        assert_eq!(drained.holds_cut, usize::from(end == SHUTDOWN));
        assert_eq!(record.causes(), std::slice::from_ref(&end));
        assert_eq!(seen, row(transport, &end));
    }
}

contract!(a_drain_of_no_time_cuts_at_once of all);
async fn a_drain_of_no_time_cuts_at_once(transport: Transport) {
    let (server, clients) =
        crowd(test_server().server(|server| server.drain(Duration::ZERO)), transport, 10).await;
    let hub: Hub = server.hub.clone();
    assert_eq!(server.close().await.holds_cut, 10);
    assert_eq!(hub.stats().ended("shutdown"), 10);
    for client in clients {
        assert_eq!(client.await.unwrap(), row(transport, &SHUTDOWN));
    }
}

#[tokio::test(start_paused = true)]
async fn clients_are_told_to_come_back_over_as_long_a_time_as_they_were_sent_away() {
    let server = test_server().start();
    let mut clients = Vec::new();
    for _ in 0..CROWD {
        let mut client = server.hold(Transport::LongPoll).await;
        clients.push(tokio::spawn(async move {
            client.end().await;
            client.head.get("retry-after").unwrap().parse::<usize>().unwrap()
        }));
    }
    server.close().await;
    let mut counts = [0; 8];
    for client in clients {
        counts[client.await.unwrap()] += 1;
    }
    // Six seconds, and the first second, in which no client is told to come back.
    assert!(counts[2..=7].iter().all(|count| *count > 20) && counts[1] < 5 && counts[0] == 0, "{counts:?}");
}
