//! Limits: who is let in, who must go for it, and what those who are sent away are told.

use abeyance::extract::{Query, State};
use abeyance::{Disconnect, JoinError, Refusal, Resume, Suspend, Transport, WhenFull, suspend};
use abeyance_tests::guest::Guest;
use abeyance_tests::house::{Asked, Stage, TestServer, plan};
use tokio::time::sleep;

use super::seconds;

#[suspend(path = "/two", max_suspended = 2, when_full = "resume_oldest")]
async fn two(State(stage): State<Stage>, Query(asked): Query<Asked>) -> Result<Suspend<Guest>, Refusal> {
    stage.enter(asked).await
}

#[suspend(path = "/each", max_per_peer = 2, max_per_key = 1)]
async fn each(State(stage): State<Stage>, Query(asked): Query<Asked>) -> Result<Suspend<Guest>, Refusal> {
    stage.enter(asked).await
}

#[suspend(path = "/newest", max_per_key = 1, when_full = "resume_oldest")]
async fn newest(State(stage): State<Stage>, Query(asked): Query<Asked>) -> Result<Suspend<Guest>, Refusal> {
    stage.enter(asked).await
}

fn open() -> TestServer {
    plan()
        .server(|server| server.mount(two).mount(each).mount(newest).trusted_proxies(["10.9.0.0/16"]))
        .function(|asked| async move {
            if asked.contains_key("deny") { Err(Refusal::forbidden("not you")) } else { Ok(()) }
        })
        .hold(|hold| hold.join("news"))
        .open()
}

fn evicted(transport: Transport) -> &'static str {
    match transport {
        Transport::WebSocket => "1013 evicted; retry-after",
        Transport::Sse => "retry resumed evicted, last",
        Transport::Stream => "last",
        _ => "503 retry evicted",
    }
}

contract!(the_oldest_leave_in_order_each_with_its_ending of all);
async fn the_oldest_leave_in_order_each_with_its_ending(transport: Transport) {
    let house = open();
    let mut clients = std::collections::VecDeque::new();
    for round in 0..6 {
        clients.push_back(house.visit(transport).path("/two").enter().await);
        sleep(seconds(2)).await;
        if round >= 2 {
            let mut oldest = clients.pop_front().unwrap();
            assert_eq!(oldest.end().await, evicted(transport));
            let told = house.told(round - 1).await;
            assert_eq!(told.end, Resume::Evicted.into());
            assert_eq!(told.ended.id(), house.record.begun()[round - 2].id());
            assert!(told.ended.is_delivered());
        }
        assert_eq!(house.hub.held_count(), clients.len());
        house.assert_lawful();
    }
    assert_eq!(house.hub.peak(), 2);
    house.close().await;
}

contract!(an_evicted_hold_joins_nothing_and_is_not_heard_any_more of all);
async fn an_evicted_hold_joins_nothing_and_is_not_heard_any_more(transport: Transport) {
    let house = open();
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(house.visit(transport).path("/two").enter().await);
        sleep(seconds(2)).await;
    }
    let evicted_one = &house.record.begun()[0];
    assert_eq!(evicted_one.join("news"), Err(JoinError::Ended));
    if transport == Transport::WebSocket {
        // Its socket is still there for a moment, and what comes on it is nobody's message.
        clients[0].say("from the grave").await;
        sleep(seconds(1)).await;
        assert!(house.record.heard().is_empty());
    }
    let reached = house.hub.publish("news", "hello");
    assert_eq!(reached, 2);
    assert_eq!(clients[0].end().await, evicted(transport));
    assert!(clients[0].messages.is_empty());
    house.close().await;
}

contract!(a_request_that_is_refused_evicts_nobody of all);
async fn a_request_that_is_refused_evicts_nobody(transport: Transport) {
    let house = open();
    let mut clients = Vec::new();
    for _ in 0..2 {
        clients.push(house.visit(transport).path("/two").enter().await);
    }
    sleep(seconds(2)).await;
    for _ in 0..100 {
        let answer = house.visit(transport).path("/two").query("deny=1").refused().await;
        assert_eq!((answer.head.status, answer.body.as_str()), (403, "not you"));
    }
    assert_eq!((house.hub.held_count(), house.record.ends().len()), (2, 0));
    house.close().await;
}

/// Whether somebody was sent away with a status, and told when to come back.
fn assert_sent_away(answer: &abeyance_tests::reader::Answer, status: u16) {
    assert_eq!(answer.head.status, status, "{answer:?}");
    let after: u64 = answer.head.get("retry-after").expect("a time").parse().expect("seconds");
    assert!((1..=5).contains(&after));
}

contract!(a_hold_younger_than_a_second_is_not_evicted of all);
async fn a_hold_younger_than_a_second_is_not_evicted(transport: Transport) {
    let house = open();
    let _first = house.visit(transport).path("/two").enter().await;
    let _second = house.visit(transport).path("/two").enter().await;
    assert_sent_away(&house.visit(transport).path("/two").refused().await, 503);
    sleep(seconds(1)).await;
    let _third = house.visit(transport).path("/two").enter().await;
    assert_eq!(house.told(1).await.ended.id(), house.record.begun()[0].id());
    assert_eq!(house.hub.peak(), 2);
    house.close().await;
}

contract!(a_full_server_sends_newcomers_away_before_their_function_runs of all);
async fn a_full_server_sends_newcomers_away_before_their_function_runs(transport: Transport) {
    let house = plan()
        .server(|server| server.max_suspended(2))
        .function(|asked| async move {
            assert!(!asked.contains_key("third"));
            Ok(())
        })
        .open();
    let first = house.enter(transport).await;
    let _second = house.enter(transport).await;
    for _ in 0..3 {
        assert_sent_away(&house.visit(transport).query("third=1").refused().await, 503);
    }
    drop(first);
    house.told(1).await;
    house.enter(transport).await;
    assert_eq!(house.hub.peak(), 2);
    house.close().await;
}

contract!(a_full_server_may_end_the_oldest of all);
async fn a_full_server_may_end_the_oldest(transport: Transport) {
    let house = plan().server(|server| server.max_suspended(3).when_full(WhenFull::ResumeOldest)).open();
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(house.enter(transport).await);
        sleep(seconds(2)).await;
    }
    assert_eq!((house.hub.held_count(), house.hub.peak(), house.record.ends().len()), (3, 3, 7));
    for (place, told) in house.record.told().iter().enumerate() {
        assert_eq!(told.ended.id(), house.record.begun()[place].id());
    }
    house.close().await;
}

contract!(one_peer_cannot_take_everything of all);
async fn one_peer_cannot_take_everything(transport: Transport) {
    let house = open();
    let visit = || house.visit(transport).path("/each");
    let first = visit().enter().await;
    let _second = visit().enter().await;
    assert_sent_away(&visit().refused().await, 429);
    let _other = visit().from([10, 0, 0, 2]).enter().await;
    drop(first);
    assert_eq!(house.told(1).await.end, Disconnect::Gone.into());
    visit().enter().await;
    house.close().await;
}

contract!(behind_a_trusted_proxy_the_forwarded_address_counts of all);
async fn behind_a_trusted_proxy_the_forwarded_address_counts(transport: Transport) {
    let house = open();
    let visit = |from, named| house.visit(transport).path("/each").from(from).field("x-forwarded-for", named);
    let proxy = [10, 9, 0, 1];
    let _a = visit(proxy, "203.0.113.1").enter().await;
    let _b = visit(proxy, "203.0.113.1, 10.9.0.2").enter().await;
    assert_eq!(house.record.newest().peer().to_string(), "203.0.113.1:0");
    assert_sent_away(&visit(proxy, "203.0.113.1").refused().await, 429);
    let _c = visit(proxy, "203.0.113.2").enter().await;
    // Whoever is no proxy of ours cannot name another.
    let _d = visit([10, 0, 0, 7], "203.0.113.1").enter().await;
    assert_eq!(house.record.newest().peer().ip().to_string(), "10.0.0.7");
    house.close().await;
}

contract!(one_key_cannot_take_everything of all);
async fn one_key_cannot_take_everything(transport: Transport) {
    let house = open();
    let visit = |key, from| house.visit(transport).path("/each").query(key).from([10, 0, 0, from]);
    let first = visit("key=ada", 1).enter().await;
    assert_sent_away(&visit("key=ada", 2).refused().await, 429);
    let _other = visit("key=bob", 2).enter().await;
    drop(first);
    house.told(1).await;
    visit("key=ada", 2).enter().await;
    house.close().await;
}

contract!(of_one_key_the_oldest_may_leave of all);
async fn of_one_key_the_oldest_may_leave(transport: Transport) {
    let house = open();
    let mut first = house.visit(transport).path("/newest").query("key=ada").enter().await;
    let _other = house.visit(transport).path("/newest").query("key=bob").enter().await;
    sleep(seconds(2)).await;
    let _second = house.visit(transport).path("/newest").query("key=ada").enter().await;
    assert_eq!(first.end().await, evicted(transport));
    assert_eq!(house.told(1).await.ended.id(), house.record.begun()[0].id());
    assert_eq!((house.hub.held_count(), house.record.ends().len()), (2, 1));
    house.close().await;
}

contract!(one_key_cannot_take_everything_over_all_endpoints_together of all);
async fn one_key_cannot_take_everything_over_all_endpoints_together(transport: Transport) {
    let house = plan().server(|server| server.mount(each).max_per_key(2)).open();
    let visit = |path, key| house.visit(transport).path(path).query(key);
    let first = visit("/hold", "key=ada").enter().await;
    let _second = visit("/hold", "key=ada").enter().await;
    assert_sent_away(&visit("/hold", "key=ada").refused().await, 429);
    assert_sent_away(&visit("/each", "key=ada").refused().await, 429);
    let _other = visit("/each", "key=bob").enter().await;
    // Who has no key is not counted.
    let _nobody = [house.enter(transport).await, house.enter(transport).await, house.enter(transport).await];
    drop(first);
    house.told(1).await;
    // Now its own limit is the narrower one.
    let _third = visit("/each", "key=ada").enter().await;
    assert_sent_away(&visit("/each", "key=ada").refused().await, 429);
    assert_eq!(house.hub.resume_key("ada"), 2);
    house.told(3).await;
    let _again = [visit("/hold", "key=ada").enter().await, visit("/hold", "key=ada").enter().await];
    assert_eq!(house.hub.held_count(), 6);
    house.close().await;
}

contract!(of_one_key_the_oldest_of_all_endpoints_may_leave of all);
async fn of_one_key_the_oldest_of_all_endpoints_may_leave(transport: Transport) {
    let server =
        |server: abeyance::Server| server.mount(two).max_per_key(2).when_full(WhenFull::ResumeOldest);
    let house = plan().server(server).open();
    let mut first = house.visit(transport).path("/two").query("key=ada").enter().await;
    let _other = house.visit(transport).path("/two").query("key=bob").enter().await;
    sleep(seconds(2)).await;
    let _second = house.visit(transport).query("key=ada").enter().await;
    // The younger than a second stays, and there is an older one.
    let _third = house.visit(transport).query("key=ada").enter().await;
    assert_eq!(first.end().await, evicted(transport));
    assert_eq!(house.told(1).await.ended.id(), house.record.begun()[0].id());
    // Now both are too young.
    assert_sent_away(&house.visit(transport).path("/two").query("key=ada").refused().await, 429);
    assert_eq!((house.hub.held_count(), house.record.ends().len()), (3, 1));
    house.close().await;
}

contract!(an_evicted_hold_whose_hook_hangs_is_ended_all_the_same of all);
async fn an_evicted_hold_whose_hook_hangs_is_ended_all_the_same(transport: Transport) {
    let house = plan().server(|server| server.mount(two)).on_suspend(|_| std::future::pending()).open();
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(house.visit(transport).path("/two").enter().await);
        sleep(seconds(2)).await;
    }
    assert_eq!(clients[0].end().await, evicted(transport));
    assert_eq!(house.hub.held_count(), 2);
    // Its hook has its deadline; the place is another's already, and its connection is done with.
    assert_eq!(house.record.ends(), []);
    assert_eq!(house.told(1).await.end, Resume::Evicted.into());
    house.close().await;
}
