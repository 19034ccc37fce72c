//! Keys: all holds of one user are ended together, at every endpoint, and no others.

use abeyance::extract::{Query, State};
use abeyance::{Disconnect, End, Refusal, Resume, Suspend, Transport, suspend};
use abeyance_tests::client::Client;
use abeyance_tests::test_context::TestContext;
use abeyance_tests::test_server::{QueryParams, TestEndpoint, TestServer, test_server};

#[suspend(path = "/limited", max_per_key = 2)]
async fn limited(
    State(endpoint): State<TestEndpoint>,
    Query(asked): Query<QueryParams>,
) -> Result<Suspend<TestContext>, Refusal> {
    endpoint.hold(asked).await
}

/// A server that publishes each end to all other holds.
fn open() -> TestServer {
    test_server()
        .server(|server| server.mount(limited))
        .hold(|hold| hold.join("news"))
        .on_end(|ended, _| async move {
            ended.publish("news", "one left");
        })
        .start()
}

async fn enter(server: &TestServer, transport: Transport, path: &str, key: &str) -> Client {
    server.request(transport).path(path).query(&format!("key={key}")).hold().await
}

/// Three of Ada's at two endpoints, and two that are not.
async fn clients_of_two_keys(server: &TestServer, transport: Transport) -> (Vec<Client>, Vec<Client>) {
    let (mut hers, mut others) = (Vec::new(), Vec::new());
    for path in ["/hold", "/hold", "/limited"] {
        hers.push(enter(server, transport, path, "ada").await);
    }
    others.push(enter(server, transport, "/limited", "bob").await);
    others.push(server.hold(transport).await);
    (hers, others)
}

contract!(all_holds_of_a_key_and_no_others_are_released_at_every_endpoint of all);
async fn all_holds_of_a_key_and_no_others_are_released_at_every_endpoint(transport: Transport) {
    let server = open();
    let (hers, others) = clients_of_two_keys(&server, transport).await;
    assert_eq!(server.hub.resume_key("ada"), 3);
    assert_eq!(server.hub.held_count(), 2);
    assert_eq!(server.hub.resume_key("ada"), 0);
    assert_eq!(server.hub.resume_key("empty"), 0);
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
    server.nth_end(3).await;
    let is_hers = |end: &&End| **end == Resume::Released.into();
    assert_eq!(server.hooks.causes().iter().filter(is_hers).count(), 3);
    for mut client in others {
        assert_eq!(client.message().await, "one left");
    }
    server.close().await;
}

contract!(all_of_a_key_are_disconnected_and_told_why of all);
async fn all_of_a_key_are_disconnected_and_told_why(transport: Transport) {
    let server = open();
    let (hers, others) = clients_of_two_keys(&server, transport).await;
    assert_eq!(server.hub.disconnect_key("ada", "signed out"), 3);
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
    server.nth_end(3).await;
    let is_hers = |end: &&End| match end {
        End::Disconnect(Disconnect::Kicked { code: None, reason, .. }) => &**reason == "signed out",
        _ => false,
    };
    assert_eq!(server.hooks.causes().iter().filter(is_hers).count(), 3);
    drop(others);
    server.close().await;
}

contract!(a_key_whose_holds_were_ended_has_room_again of all);
async fn a_key_whose_holds_were_ended_has_room_again(transport: Transport) {
    let server = open();
    for _ in 0..3 {
        let mut hers = Vec::new();
        for _ in 0..2 {
            hers.push(enter(&server, transport, "/limited", "ada").await);
        }
        let refused = server.request(transport).path("/limited").query("key=ada").refused().await;
        assert_eq!(refused.head.status, 429);
        assert_eq!(server.hub.resume_key("ada"), 2);
    }
    server.close().await;
}
