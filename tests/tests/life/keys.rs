//! Keys: all holds of one user are ended together, wherever they are, and nobody else's.

use abeyance::extract::{Query, State};
use abeyance::{Disconnect, End, Refusal, Resume, Suspend, Transport, suspend};
use abeyance_tests::client::Client;
use abeyance_tests::guest::Guest;
use abeyance_tests::house::{Asked, Stage, TestServer, plan};

#[suspend(path = "/limited", max_per_key = 2)]
async fn limited(State(stage): State<Stage>, Query(asked): Query<Asked>) -> Result<Suspend<Guest>, Refusal> {
    stage.enter(asked).await
}

/// Whose end is told to everybody else.
fn open() -> TestServer {
    plan()
        .server(|server| server.mount(limited))
        .hold(|hold| hold.join("news"))
        .on_end(|ended, _| async move {
            ended.publish("news", "somebody left");
        })
        .open()
}

async fn enter(house: &TestServer, transport: Transport, path: &str, key: &str) -> Client {
    house.visit(transport).path(path).query(&format!("key={key}")).enter().await
}

/// Three of Ada's at two endpoints, and two that are not.
async fn guests(house: &TestServer, transport: Transport) -> (Vec<Client>, Vec<Client>) {
    let (mut hers, mut others) = (Vec::new(), Vec::new());
    for path in ["/hold", "/hold", "/limited"] {
        hers.push(enter(house, transport, path, "ada").await);
    }
    others.push(enter(house, transport, "/limited", "bob").await);
    others.push(house.enter(transport).await);
    (hers, others)
}

contract!(all_of_a_key_are_released_at_every_endpoint_and_nobody_else of all);
async fn all_of_a_key_are_released_at_every_endpoint_and_nobody_else(transport: Transport) {
    let house = open();
    let (hers, others) = guests(&house, transport).await;
    assert_eq!(house.hub.resume_key("ada"), 3);
    assert_eq!(house.hub.held_count(), 2);
    assert_eq!(house.hub.resume_key("ada"), 0);
    assert_eq!(house.hub.resume_key("nobody"), 0);
    let row = match transport {
        Transport::WebSocket => "1000 released",
        Transport::Sse => "resumed released, last",
        Transport::Stream => "last",
        _ => "204",
    };
    for mut client in hers {
        assert_eq!(client.end().await, row);
        assert!(client.messages.is_empty(), "what another's end hook said: {:?}", client.messages);
    }
    house.told(3).await;
    let is_hers = |end: &&End| **end == Resume::Released.into();
    assert_eq!(house.record.ends().iter().filter(is_hers).count(), 3);
    for mut client in others {
        assert_eq!(client.message().await, "somebody left");
    }
    house.close().await;
}

contract!(all_of_a_key_are_disconnected_and_told_why of all);
async fn all_of_a_key_are_disconnected_and_told_why(transport: Transport) {
    let house = open();
    let (hers, others) = guests(&house, transport).await;
    assert_eq!(house.hub.disconnect_key("ada", "signed out"), 3);
    let row = match transport {
        Transport::WebSocket => "1008 signed out",
        Transport::Sse => "disconnected signed out, last",
        Transport::Stream => "last",
        _ => "410 signed out",
    };
    for mut client in hers {
        assert_eq!(client.end().await, row);
        assert!(client.messages.is_empty());
    }
    house.told(3).await;
    let is_hers = |end: &&End| match end {
        End::Disconnect(Disconnect::Kicked { code: None, reason, .. }) => &**reason == "signed out",
        _ => false,
    };
    assert_eq!(house.record.ends().iter().filter(is_hers).count(), 3);
    drop(others);
    house.close().await;
}

contract!(a_key_whose_holds_were_ended_has_room_again of all);
async fn a_key_whose_holds_were_ended_has_room_again(transport: Transport) {
    let house = open();
    for _ in 0..3 {
        let mut hers = Vec::new();
        for _ in 0..2 {
            hers.push(enter(&house, transport, "/limited", "ada").await);
        }
        let refused = house.visit(transport).path("/limited").query("key=ada").refused().await;
        assert_eq!(refused.head.status, 429);
        assert_eq!(house.hub.resume_key("ada"), 2);
    }
    house.close().await;
}
