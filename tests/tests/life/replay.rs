//! Topics that keep their past, as newcomers hear them: the last messages first, then what is live, in order.

use abeyance::{Retention, Suspend, Transport};
use abeyance_tests::guest::Guest;
use abeyance_tests::house::{Plan, TestServer, plan, until};
use tokio::time::sleep;

use super::seconds;

const KEPT: usize = 3;

/// A house whose room keeps its last messages, beside one that is live only, though it keeps its own.
fn keeping(join: impl Fn(Suspend<Guest>) -> Suspend<Guest> + Send + Sync + 'static) -> Plan {
    let few = Retention::new().count(KEPT);
    plan().server(|server| server.topic("room", few).topic("other", few)).hold(join)
}

fn publish_past(house: &TestServer) {
    for number in 1..=5 {
        house.hub.publish("room", format!("past {number}"));
        house.hub.publish("other", "not wanted");
    }
}

/// What a newcomer hears: so many messages that were there before, then those that are published now. A poll hears one
/// with each answer.
async fn heard(house: &TestServer, transport: Transport, past: usize, live: &[&str]) -> Vec<String> {
    if transport != Transport::LongPoll {
        let mut client = house.enter(transport).await;
        for _ in 0..past {
            client.message().await;
        }
        for text in live {
            assert_eq!(house.hub.publish("room", *text), 1);
            client.message().await;
        }
        return client.messages;
    }
    let (mut heard, mut id) = (Vec::new(), None::<String>);
    for count in 0..past + live.len() {
        let visit = house.visit(transport);
        let visit = match &id {
            Some(id) => visit.field("last-event-id", id),
            None => visit,
        };
        let mut client = visit.enter().await;
        if count >= past {
            until("a poll that waits", || house.hub.held_count() == 1).await;
            assert_eq!(house.hub.publish("room", live[count - past]), 1);
        }
        assert_eq!(client.end().await, "200");
        assert_eq!(client.head.get("abeyance-resync"), None);
        id = client.head.get("last-event-id").map(str::to_owned);
        heard.append(&mut client.messages);
    }
    heard
}

contract!(a_newcomer_hears_the_last_messages_first_and_then_what_is_live of all);
async fn a_newcomer_hears_the_last_messages_first_and_then_what_is_live(transport: Transport) {
    let house = keeping(|hold| hold.join_with_history("room")).open();
    publish_past(&house);
    let expected = ["past 3", "past 4", "past 5", "one", "two"];
    assert_eq!(heard(&house, transport, KEPT, &["one", "two"]).await, expected);
    house.close().await;
}

contract!(who_joins_without_the_past_hears_what_is_live of all);
async fn who_joins_without_the_past_hears_what_is_live(transport: Transport) {
    let house = keeping(|hold| hold.join("room")).open();
    publish_past(&house);
    assert_eq!(heard(&house, transport, 0, &["one", "two"]).await, ["one", "two"]);
    house.close().await;
}

contract!(where_there_is_no_past_a_newcomer_waits_for_what_is_live of all);
async fn where_there_is_no_past_a_newcomer_waits_for_what_is_live(transport: Transport) {
    let house = keeping(|hold| hold.join_with_history("room")).open();
    assert_eq!(heard(&house, transport, 0, &["one", "two"]).await, ["one", "two"]);
    house.close().await;
}

contract!(the_past_comes_once_though_the_topic_is_joined_twice of all);
async fn the_past_comes_once_though_the_topic_is_joined_twice(transport: Transport) {
    for is_first in [true, false] {
        let house = keeping(move |hold| match is_first {
            true => hold.join_with_history("room").join("other").join("room"),
            false => hold.join("room").join_with_history("room").join_with_history("room"),
        })
        .on_suspend(|held| async move { held.join("room").unwrap() })
        .open();
        publish_past(&house);
        let expected = ["past 3", "past 4", "past 5", "one"];
        assert_eq!(heard(&house, transport, KEPT, &["one"]).await, expected);
        house.close().await;
    }
}

contract!(the_past_stands_behind_the_replies_and_before_what_is_published_while_a_hold_opens of lasting);
async fn the_past_stands_behind_the_replies_and_before_what_is_published_while_a_hold_opens(
    transport: Transport,
) {
    let house = keeping(|hold| hold.join("other").join_with_history("room").reply("reply"))
        .on_suspend(|held| async move {
            held.publish("room", "while it opens 1");
            held.send("sent").unwrap();
            sleep(seconds(1)).await;
            held.publish("other", "while it opens 2");
        })
        .open();
    publish_past(&house);
    let mut client = house.enter(transport).await;
    sleep(seconds(2)).await;
    house.hub.publish("other", "live 1");
    house.hub.publish("room", "live 2");
    let opening = ["while it opens 1", "while it opens 2"];
    let past = ["sent", "reply", "past 3", "past 4", "past 5"];
    for expected in past.into_iter().chain(opening).chain(["live 1", "live 2"]) {
        assert_eq!(client.message().await, expected);
    }
    assert_eq!(house.record.newest().transport(), transport);
    house.record.newest().resume();
    client.end().await;
    let ended = house.told(1).await.ended;
    assert_eq!((ended.messages_out(), ended.undelivered()), (9, 0));
    house.close().await;
}

contract!(a_topic_that_a_hook_joins_begins_with_what_is_published_later of lasting);
async fn a_topic_that_a_hook_joins_begins_with_what_is_published_later(transport: Transport) {
    let house = keeping(|hold| hold.join_with_history("room"))
        .on_suspend(|held| async move { held.join("other").unwrap() })
        .open();
    publish_past(&house);
    let mut client = house.enter(transport).await;
    house.hub.publish("other", "one");
    house.hub.publish("room", "two");
    for expected in ["past 3", "past 4", "past 5", "one", "two"] {
        assert_eq!(client.message().await, expected);
    }
    house.close().await;
}

contract!(a_past_larger_than_the_backlog_comes_whole_and_in_order_to_who_reads_slowly of lasting);
async fn a_past_larger_than_the_backlog_comes_whole_and_in_order_to_who_reads_slowly(transport: Transport) {
    let house = plan()
        .server(|server| server.topic("room", Retention::default()))
        .hold(|hold| hold.send_buffer(32 << 10).join_with_history("room"))
        .open();
    let text = |number: usize| format!("{number:03}{}", "x".repeat(1_000));
    for number in 0..200 {
        house.hub.publish("room", text(number));
    }
    let mut client = house.enter(transport).await;
    client.stream().window(1_500);
    for number in 0..250 {
        // What is live meanwhile comes behind.
        if number < 50 {
            assert_eq!(house.hub.publish("room", text(200 + number)), 1);
        }
        assert_eq!(client.message().await, text(number));
    }
    assert_eq!(house.hub.publish("room", "live"), 1);
    assert_eq!(client.message().await, "live");
    house.close().await;
}
