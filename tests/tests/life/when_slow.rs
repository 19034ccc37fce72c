//! What happens to a peer that does not keep up: as its annotation says, or its hold.

use abeyance::extract::{Query, State};
use abeyance::{Disconnect, Refuse, Suspend, Transport, WhenSlow, suspend};
use abeyance_tests::guest::Guest;
use abeyance_tests::house::{Asked, House, Stage, plan};

use super::seconds;

/// More than the backlog and the line of a peer take.
const MESSAGES: usize = 50;

#[suspend(path = "/oldest", backlog = "64KiB", when_slow = "drop_oldest")]
async fn oldest(State(stage): State<Stage>, Query(asked): Query<Asked>) -> Result<Suspend<Guest>, Refuse> {
    stage.enter(asked).await
}

#[suspend(path = "/newest", backlog = "64KiB", when_slow = "drop_newest")]
async fn newest(State(stage): State<Stage>, Query(asked): Query<Asked>) -> Result<Suspend<Guest>, Refuse> {
    stage.enter(asked).await
}

fn open(overridden: Option<WhenSlow>) -> House {
    plan()
        .server(|server| server.mount(oldest).mount(newest))
        .hold(move |hold| match overridden {
            Some(rule) => hold.join("news").when_slow(rule),
            None => hold.join("news"),
        })
        .open()
}

/// Publishes to a client that reads only afterwards, and gives the numbers of what it gets then.
async fn got(house: &House, path: &str, transport: Transport) -> Vec<usize> {
    let mut client = house.visit(transport).path(path).enter().await;
    client.stream().window(1024);
    for number in 0..MESSAGES {
        house.hub.publish("news", format!("{number:02}{}", "x".repeat(10_000)));
    }
    client.stream().window(1 << 20);
    client.stay(seconds(1)).await;
    client.messages.iter().map(|message| message[..2].parse().unwrap()).collect()
}

contract!(a_peer_that_does_not_keep_up_loses_what_its_annotation_says of lasting);
async fn a_peer_that_does_not_keep_up_loses_what_its_annotation_says(transport: Transport) {
    let house = open(None);
    // The first was half written.
    let numbers = got(&house, "/oldest", transport).await;
    let last: Vec<_> = (MESSAGES - numbers.len() + 1..MESSAGES).collect();
    assert!(numbers[0] == 0 && numbers[1..] == last && last.len() > 2, "{numbers:?}");

    let numbers = got(&house, "/newest", transport).await;
    let first: Vec<_> = (0..numbers.len()).collect();
    assert!(numbers == first && first.len() > 3 && first.len() < MESSAGES, "{numbers:?}");
    house.close().await;
}

contract!(a_hold_can_have_a_rule_of_its_own of lasting);
async fn a_hold_can_have_a_rule_of_its_own(transport: Transport) {
    let house = open(Some(WhenSlow::DropNewest));
    let numbers = got(&house, "/oldest", transport).await;
    let first: Vec<_> = (0..numbers.len()).collect();
    assert!(numbers == first && first.len() < MESSAGES, "{numbers:?}");
    house.close().await;

    let house = open(Some(WhenSlow::Disconnect));
    let mut client = house.visit(transport).path("/newest").enter().await;
    client.stream().window(1024);
    let accepted = (0..MESSAGES).take_while(|_| house.hub.publish("news", "x".repeat(10_000)) == 1);
    assert!(accepted.count() < MESSAGES);
    assert_eq!(house.cause().await, Disconnect::Slow.into());
    house.close().await;
}
