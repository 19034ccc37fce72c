//! Topics with a history, as new clients see them: the last messages first, then what is live, in order.

use abeyance::{Retention, Suspend, Transport};
use abeyance_tests::test_context::TestContext;
use abeyance_tests::test_server::{TestServer, TestServerBuilder, test_server, until};
use tokio::time::sleep;

use super::seconds;

const KEPT: usize = 3;

/// A server whose room keeps its last messages, beside one that is live only, though it keeps its own.
fn keeping(
    join: impl Fn(Suspend<TestContext>) -> Suspend<TestContext> + Send + Sync + 'static,
) -> TestServerBuilder {
    let few = Retention::new().count(KEPT);
    test_server().server(|server| server.topic("room", few).topic("other", few)).hold(join)
}

fn publish_past(server: &TestServer) {
    for number in 1..=5 {
        server.hub.publish("room", format!("past {number}"));
        server.hub.publish("other", "not wanted");
    }
}

/// What a new client gets: so many messages that were kept, then those that are published now. A poll gets one with each
/// answer.
async fn heard(server: &TestServer, transport: Transport, past: usize, live: &[&str]) -> Vec<String> {
    if transport != Transport::LongPoll {
        let mut client = server.hold(transport).await;
        for _ in 0..past {
            client.message().await;
        }
        for text in live {
            assert_eq!(server.hub.publish("room", *text), 1);
            client.message().await;
        }
        return client.messages;
    }
    let (mut heard, mut id) = (Vec::new(), None::<String>);
    for count in 0..past + live.len() {
        let request = server.request(transport);
        let request = match &id {
            Some(id) => request.field("last-event-id", id),
            None => request,
        };
        let mut client = request.hold().await;
        if count >= past {
            until("a poll that waits", || server.hub.held_count() == 1).await;
            assert_eq!(server.hub.publish("room", live[count - past]), 1);
        }
        assert_eq!(client.end().await, "200");
        assert_eq!(client.head.get("abeyance-resync"), None);
        id = client.head.get("last-event-id").map(str::to_owned);
        heard.append(&mut client.messages);
    }
    heard
}

contract!(a_new_client_gets_the_last_messages_first_and_then_what_is_live of all);
async fn a_new_client_gets_the_last_messages_first_and_then_what_is_live(transport: Transport) {
    let server = keeping(|hold| hold.join_with_history("room")).start();
    publish_past(&server);
    let expected = ["past 3", "past 4", "past 5", "one", "two"];
    assert_eq!(heard(&server, transport, KEPT, &["one", "two"]).await, expected);
    server.close().await;
}

contract!(a_client_that_joins_without_history_gets_what_is_live of all);
async fn a_client_that_joins_without_history_gets_what_is_live(transport: Transport) {
    let server = keeping(|hold| hold.join("room")).start();
    publish_past(&server);
    assert_eq!(heard(&server, transport, 0, &["one", "two"]).await, ["one", "two"]);
    server.close().await;
}

contract!(where_there_is_no_past_a_newcomer_waits_for_what_is_live of all);
async fn where_there_is_no_past_a_newcomer_waits_for_what_is_live(transport: Transport) {
    let server = keeping(|hold| hold.join_with_history("room")).start();
    assert_eq!(heard(&server, transport, 0, &["one", "two"]).await, ["one", "two"]);
    server.close().await;
}

contract!(the_past_comes_once_though_the_topic_is_joined_twice of all);
async fn the_past_comes_once_though_the_topic_is_joined_twice(transport: Transport) {
    for is_first in [true, false] {
        let server = keeping(move |hold| match is_first {
            true => hold.join_with_history("room").join("other").join("room"),
            false => hold.join("room").join_with_history("room").join_with_history("room"),
        })
        .on_suspend(|held| async move { held.join("room").unwrap() })
        .start();
        publish_past(&server);
        let expected = ["past 3", "past 4", "past 5", "one"];
        assert_eq!(heard(&server, transport, KEPT, &["one"]).await, expected);
        server.close().await;
    }
}

contract!(the_past_stands_behind_the_replies_and_before_what_is_published_while_a_hold_opens of lasting);
async fn the_past_stands_behind_the_replies_and_before_what_is_published_while_a_hold_opens(
    transport: Transport,
) {
    let server = keeping(|hold| hold.join("other").join_with_history("room").reply("reply"))
        .on_suspend(|held| async move {
            held.publish("room", "while it opens 1");
            held.send("sent").unwrap();
            sleep(seconds(1)).await;
            held.publish("other", "while it opens 2");
        })
        .start();
    publish_past(&server);
    let mut client = server.hold(transport).await;
    sleep(seconds(2)).await;
    server.hub.publish("other", "live 1");
    server.hub.publish("room", "live 2");
    let opening = ["while it opens 1", "while it opens 2"];
    let past = ["sent", "reply", "past 3", "past 4", "past 5"];
    for expected in past.into_iter().chain(opening).chain(["live 1", "live 2"]) {
        assert_eq!(client.message().await, expected);
    }
    assert_eq!(server.hooks.newest().transport(), transport);
    server.hooks.newest().resume();
    client.end().await;
    let ended = server.nth_end(1).await.ended;
    assert_eq!((ended.messages_out(), ended.undelivered()), (9, 0));
    server.close().await;
}

contract!(a_topic_that_a_hook_joins_begins_with_what_is_published_later of lasting);
async fn a_topic_that_a_hook_joins_begins_with_what_is_published_later(transport: Transport) {
    let server = keeping(|hold| hold.join_with_history("room"))
        .on_suspend(|held| async move { held.join("other").unwrap() })
        .start();
    publish_past(&server);
    let mut client = server.hold(transport).await;
    server.hub.publish("other", "one");
    server.hub.publish("room", "two");
    for expected in ["past 3", "past 4", "past 5", "one", "two"] {
        assert_eq!(client.message().await, expected);
    }
    server.close().await;
}

contract!(a_history_larger_than_the_send_buffer_reaches_a_slow_reader_whole_and_in_order of lasting);
async fn a_history_larger_than_the_send_buffer_reaches_a_slow_reader_whole_and_in_order(
    transport: Transport,
) {
    let server = test_server()
        .server(|server| server.topic("room", Retention::default()))
        .hold(|hold| hold.send_buffer(32 << 10).join_with_history("room"))
        .start();
    let text = |number: usize| format!("{number:03}{}", "x".repeat(1_000));
    for number in 0..200 {
        server.hub.publish("room", text(number));
    }
    let mut client = server.hold(transport).await;
    client.stream().window(1_500);
    for number in 0..250 {
        // What is live meanwhile comes behind.
        if number < 50 {
            assert_eq!(server.hub.publish("room", text(200 + number)), 1);
        }
        assert_eq!(client.message().await, text(number));
    }
    assert_eq!(server.hub.publish("room", "live"), 1);
    assert_eq!(client.message().await, "live");
    server.close().await;
}
