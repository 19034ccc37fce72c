//! Limits: which request is held, which hold is evicted for it, and how the others are refused.

use abeyance::extract::{Query, State};
use abeyance::{Disconnect, JoinError, Refusal, Resume, Suspend, Transport, WhenFull, suspend};
use abeyance_tests::test_context::TestContext;
use abeyance_tests::test_server::{QueryParams, TestEndpoint, TestServer, test_server};
use tokio::time::sleep;

use super::seconds;

#[suspend(path = "/two", max_suspended = 2, when_full = "resume_oldest")]
async fn two(
    State(endpoint): State<TestEndpoint>,
    Query(asked): Query<QueryParams>,
) -> Result<Suspend<TestContext>, Refusal> {
    endpoint.hold(asked).await
}

#[suspend(path = "/each", max_per_peer = 2, max_per_key = 1)]
async fn each(
    State(endpoint): State<TestEndpoint>,
    Query(asked): Query<QueryParams>,
) -> Result<Suspend<TestContext>, Refusal> {
    endpoint.hold(asked).await
}

#[suspend(path = "/newest", max_per_key = 1, when_full = "resume_oldest")]
async fn newest(
    State(endpoint): State<TestEndpoint>,
    Query(asked): Query<QueryParams>,
) -> Result<Suspend<TestContext>, Refusal> {
    endpoint.hold(asked).await
}

fn open() -> TestServer {
    test_server()
        .server(|server| server.mount(two).mount(each).mount(newest).trusted_proxies(["10.9.0.0/16"]))
        .function(|asked| async move {
            if asked.contains_key("deny") { Err(Refusal::forbidden("not you")) } else { Ok(()) }
        })
        .hold(|hold| hold.join("news"))
        .start()
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
    let server = open();
    let mut clients = std::collections::VecDeque::new();
    for round in 0..6 {
        clients.push_back(server.request(transport).path("/two").hold().await);
        sleep(seconds(2)).await;
        if round >= 2 {
            let mut oldest = clients.pop_front().unwrap();
            assert_eq!(oldest.end().await, evicted(transport));
            let told = server.nth_end(round - 1).await;
            assert_eq!(told.end, Resume::Evicted.into());
            assert_eq!(told.ended.id(), server.hooks.holds()[round - 2].id());
            assert!(told.ended.is_delivered());
        }
        assert_eq!(server.hub.held_count(), clients.len());
        assert_eq!(server.hooks.holds().len(), clients.len() + server.hooks.ends().len());
    }
    assert_eq!(server.hub.peak(), 2);
    server.close().await;
}

contract!(an_evicted_hold_joins_no_topic_and_its_later_messages_are_ignored of all);
async fn an_evicted_hold_joins_no_topic_and_its_later_messages_are_ignored(transport: Transport) {
    let server = open();
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(server.request(transport).path("/two").hold().await);
        sleep(seconds(2)).await;
    }
    let evicted_one = &server.hooks.holds()[0];
    assert_eq!(evicted_one.join("news"), Err(JoinError::Ended));
    if transport == Transport::WebSocket {
        // Its socket is still open for a moment; what arrives there is not handled.
        clients[0].send("from the grave").await;
        sleep(seconds(1)).await;
        assert!(server.hooks.messages().is_empty());
    }
    let reached = server.hub.publish("news", "hello");
    assert_eq!(reached, 2);
    assert_eq!(clients[0].end().await, evicted(transport));
    assert!(clients[0].messages.is_empty());
    server.close().await;
}

contract!(a_refused_request_evicts_no_hold of all);
async fn a_refused_request_evicts_no_hold(transport: Transport) {
    let server = open();
    let mut clients = Vec::new();
    for _ in 0..2 {
        clients.push(server.request(transport).path("/two").hold().await);
    }
    sleep(seconds(2)).await;
    for _ in 0..100 {
        let answer = server.request(transport).path("/two").query("deny=1").refused().await;
        assert_eq!((answer.head.status, answer.body.as_str()), (403, "not you"));
    }
    assert_eq!((server.hub.held_count(), server.hooks.causes().len()), (2, 0));
    server.close().await;
}

/// Fails unless the answer has this status and says when to come back.
fn assert_sent_away(answer: &abeyance_tests::reader::Answer, status: u16) {
    assert_eq!(answer.head.status, status, "{answer:?}");
    let after: u64 = answer.head.get("retry-after").expect("a time").parse().expect("seconds");
    assert!((1..=5).contains(&after));
}

contract!(a_hold_younger_than_a_second_is_not_evicted of all);
async fn a_hold_younger_than_a_second_is_not_evicted(transport: Transport) {
    let server = open();
    let _first = server.request(transport).path("/two").hold().await;
    let _second = server.request(transport).path("/two").hold().await;
    assert_sent_away(&server.request(transport).path("/two").refused().await, 503);
    sleep(seconds(1)).await;
    let _third = server.request(transport).path("/two").hold().await;
    assert_eq!(server.nth_end(1).await.ended.id(), server.hooks.holds()[0].id());
    assert_eq!(server.hub.peak(), 2);
    server.close().await;
}

contract!(a_full_server_sends_newcomers_away_before_their_function_runs of all);
async fn a_full_server_sends_newcomers_away_before_their_function_runs(transport: Transport) {
    let server = test_server()
        .server(|server| server.max_suspended(2))
        .function(|asked| async move {
            assert!(!asked.contains_key("third"));
            Ok(())
        })
        .start();
    let first = server.hold(transport).await;
    let _second = server.hold(transport).await;
    for _ in 0..3 {
        assert_sent_away(&server.request(transport).query("third=1").refused().await, 503);
    }
    drop(first);
    server.nth_end(1).await;
    server.hold(transport).await;
    assert_eq!(server.hub.peak(), 2);
    server.close().await;
}

contract!(a_full_server_may_end_the_oldest of all);
async fn a_full_server_may_end_the_oldest(transport: Transport) {
    let server =
        test_server().server(|server| server.max_suspended(3).when_full(WhenFull::ResumeOldest)).start();
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(server.hold(transport).await);
        sleep(seconds(2)).await;
    }
    assert_eq!((server.hub.held_count(), server.hub.peak(), server.hooks.causes().len()), (3, 3, 7));
    for (place, told) in server.hooks.ends().iter().enumerate() {
        assert_eq!(told.ended.id(), server.hooks.holds()[place].id());
    }
    server.close().await;
}

contract!(one_peer_cannot_take_everything of all);
async fn one_peer_cannot_take_everything(transport: Transport) {
    let server = open();
    let request = || server.request(transport).path("/each");
    let first = request().hold().await;
    let _second = request().hold().await;
    assert_sent_away(&request().refused().await, 429);
    let _other = request().from([10, 0, 0, 2]).hold().await;
    drop(first);
    assert_eq!(server.nth_end(1).await.end, Disconnect::Gone.into());
    request().hold().await;
    server.close().await;
}

contract!(behind_a_trusted_proxy_the_forwarded_address_counts of all);
async fn behind_a_trusted_proxy_the_forwarded_address_counts(transport: Transport) {
    let server = open();
    let request =
        |from, named| server.request(transport).path("/each").from(from).field("x-forwarded-for", named);
    let proxy = [10, 9, 0, 1];
    let _a = request(proxy, "203.0.113.1").hold().await;
    let _b = request(proxy, "203.0.113.1, 10.9.0.2").hold().await;
    assert_eq!(server.hooks.newest().peer().to_string(), "203.0.113.1:0");
    assert_sent_away(&request(proxy, "203.0.113.1").refused().await, 429);
    let _c = request(proxy, "203.0.113.2").hold().await;
    // A peer that is not a trusted proxy cannot name another client.
    let _d = request([10, 0, 0, 7], "203.0.113.1").hold().await;
    assert_eq!(server.hooks.newest().peer().ip().to_string(), "10.0.0.7");
    server.close().await;
}

contract!(one_key_cannot_take_everything of all);
async fn one_key_cannot_take_everything(transport: Transport) {
    let server = open();
    let request = |key, from| server.request(transport).path("/each").query(key).from([10, 0, 0, from]);
    let first = request("key=ada", 1).hold().await;
    assert_sent_away(&request("key=ada", 2).refused().await, 429);
    let _other = request("key=bob", 2).hold().await;
    drop(first);
    server.nth_end(1).await;
    request("key=ada", 2).hold().await;
    server.close().await;
}

contract!(of_one_key_the_oldest_may_leave of all);
async fn of_one_key_the_oldest_may_leave(transport: Transport) {
    let server = open();
    let mut first = server.request(transport).path("/newest").query("key=ada").hold().await;
    let _other = server.request(transport).path("/newest").query("key=bob").hold().await;
    sleep(seconds(2)).await;
    let _second = server.request(transport).path("/newest").query("key=ada").hold().await;
    assert_eq!(first.end().await, evicted(transport));
    assert_eq!(server.nth_end(1).await.ended.id(), server.hooks.holds()[0].id());
    assert_eq!((server.hub.held_count(), server.hooks.causes().len()), (2, 1));
    server.close().await;
}

contract!(one_key_cannot_take_everything_over_all_endpoints_together of all);
async fn one_key_cannot_take_everything_over_all_endpoints_together(transport: Transport) {
    let server = test_server().server(|server| server.mount(each).max_per_key(2)).start();
    let request = |path, key| server.request(transport).path(path).query(key);
    let first = request("/hold", "key=ada").hold().await;
    let _second = request("/hold", "key=ada").hold().await;
    assert_sent_away(&request("/hold", "key=ada").refused().await, 429);
    assert_sent_away(&request("/each", "key=ada").refused().await, 429);
    let _other = request("/each", "key=bob").hold().await;
    // Who has no key is not counted.
    let _clients = [server.hold(transport).await, server.hold(transport).await, server.hold(transport).await];
    drop(first);
    server.nth_end(1).await;
    // Now its own limit is the narrower one.
    let _third = request("/each", "key=ada").hold().await;
    assert_sent_away(&request("/each", "key=ada").refused().await, 429);
    assert_eq!(server.hub.resume_key("ada"), 2);
    server.nth_end(3).await;
    let _again = [request("/hold", "key=ada").hold().await, request("/hold", "key=ada").hold().await];
    assert_eq!(server.hub.held_count(), 6);
    server.close().await;
}

contract!(of_one_key_the_oldest_of_all_endpoints_may_leave of all);
async fn of_one_key_the_oldest_of_all_endpoints_may_leave(transport: Transport) {
    let server =
        |server: abeyance::Server| server.mount(two).max_per_key(2).when_full(WhenFull::ResumeOldest);
    let server = test_server().server(server).start();
    let mut first = server.request(transport).path("/two").query("key=ada").hold().await;
    let _other = server.request(transport).path("/two").query("key=bob").hold().await;
    sleep(seconds(2)).await;
    let _second = server.request(transport).query("key=ada").hold().await;
    // The younger than a second stays, and there is an older one.
    let _third = server.request(transport).query("key=ada").hold().await;
    assert_eq!(first.end().await, evicted(transport));
    assert_eq!(server.nth_end(1).await.ended.id(), server.hooks.holds()[0].id());
    // Now both are too young.
    assert_sent_away(&server.request(transport).path("/two").query("key=ada").refused().await, 429);
    assert_eq!((server.hub.held_count(), server.hooks.causes().len()), (3, 1));
    server.close().await;
}

contract!(an_evicted_hold_whose_hook_hangs_is_ended_all_the_same of all);
async fn an_evicted_hold_whose_hook_hangs_is_ended_all_the_same(transport: Transport) {
    let server =
        test_server().server(|server| server.mount(two)).on_suspend(|_| std::future::pending()).start();
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(server.request(transport).path("/two").hold().await);
        sleep(seconds(2)).await;
    }
    assert_eq!(clients[0].end().await, evicted(transport));
    assert_eq!(server.hub.held_count(), 2);
    // Its hook has its deadline; the place is another's already, and its connection is done with.
    assert_eq!(server.hooks.causes(), []);
    assert_eq!(server.nth_end(1).await.end, Resume::Evicted.into());
    server.close().await;
}
