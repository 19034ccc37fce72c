//! A peer that does not keep up: the rule of its endpoint, or of its hold, decides.

use abeyance::extract::{Query, State};
use abeyance::{Disconnect, Refusal, Suspend, Transport, WhenSlow, suspend};
use abeyance_tests::test_context::TestContext;
use abeyance_tests::test_server::{QueryParams, TestEndpoint, TestServer, test_server};

use super::seconds;

/// More than the send buffer and the line of a peer take.
const MESSAGES: usize = 50;

#[suspend(path = "/oldest", send_buffer = "64KiB", when_slow = "drop_oldest")]
async fn oldest(
    State(endpoint): State<TestEndpoint>,
    Query(asked): Query<QueryParams>,
) -> Result<Suspend<TestContext>, Refusal> {
    endpoint.hold(asked).await
}

#[suspend(path = "/newest", send_buffer = "64KiB", when_slow = "drop_newest")]
async fn newest(
    State(endpoint): State<TestEndpoint>,
    Query(asked): Query<QueryParams>,
) -> Result<Suspend<TestContext>, Refusal> {
    endpoint.hold(asked).await
}

fn open(overridden: Option<WhenSlow>) -> TestServer {
    test_server()
        .server(|server| server.mount(oldest).mount(newest))
        .hold(move |hold| match overridden {
            Some(rule) => hold.join("news").when_slow(rule),
            None => hold.join("news"),
        })
        .start()
}

/// Publishes to a client that reads only afterwards, and gives the numbers of what it gets then.
async fn got(server: &TestServer, path: &str, transport: Transport) -> Vec<usize> {
    let mut client = server.request(transport).path(path).hold().await;
    client.stream().window(1024);
    for number in 0..MESSAGES {
        server.hub.publish("news", format!("{number:02}{}", "x".repeat(10_000)));
    }
    client.stream().window(1 << 20);
    client.stay_held(seconds(1)).await;
    client.messages.iter().map(|message| message[..2].parse().unwrap()).collect()
}

contract!(a_peer_that_does_not_keep_up_loses_what_its_annotation_says of lasting);
async fn a_peer_that_does_not_keep_up_loses_what_its_annotation_says(transport: Transport) {
    let server = open(None);
    // The first was half written.
    let numbers = got(&server, "/oldest", transport).await;
    let last: Vec<_> = (MESSAGES - numbers.len() + 1..MESSAGES).collect();
    assert!(numbers[0] == 0 && numbers[1..] == last && last.len() > 2, "{numbers:?}");

    let numbers = got(&server, "/newest", transport).await;
    let first: Vec<_> = (0..numbers.len()).collect();
    assert!(numbers == first && first.len() > 3 && first.len() < MESSAGES, "{numbers:?}");
    server.close().await;
}

contract!(a_hold_can_have_a_rule_of_its_own of lasting);
async fn a_hold_can_have_a_rule_of_its_own(transport: Transport) {
    let server = open(Some(WhenSlow::DropNewest));
    let numbers = got(&server, "/oldest", transport).await;
    let first: Vec<_> = (0..numbers.len()).collect();
    assert!(numbers == first && first.len() < MESSAGES, "{numbers:?}");
    server.close().await;

    let server = open(Some(WhenSlow::Disconnect));
    let mut client = server.request(transport).path("/newest").hold().await;
    client.stream().window(1024);
    let accepted = (0..MESSAGES).take_while(|_| server.hub.publish("news", "x".repeat(10_000)) == 1);
    assert!(accepted.count() < MESSAGES);
    assert_eq!(server.cause().await, Disconnect::Slow.into());
    server.close().await;
}

/// How many bytes a message of so many letters is on the wire.
fn framed(transport: Transport, letters: usize) -> usize {
    let chunk = |body: usize| format!("{body:x}").len() + body + "\r\n\r\n".len();
    match transport {
        Transport::WebSocket => letters + 4,
        Transport::Sse => chunk(letters + "data: \n\n".len()),
        _ => chunk(letters + "\"\"\n".len()),
    }
}

contract!(exactly_what_fits_is_kept_and_the_rest_is_counted of lasting);
async fn exactly_what_fits_is_kept_and_the_rest_is_counted(transport: Transport) {
    const COUNT: usize = 200;
    for (path, length) in [("/oldest", 700), ("/oldest", 10_000), ("/newest", 700), ("/newest", 10_000)] {
        let server = open(None);
        let mut client = server.request(transport).path(path).hold().await;
        client.stream().window(0);
        let publish = |number| server.hub.publish("news", format!("{number:03}{}", "x".repeat(length - 3)));
        let accepted: usize = (0..COUNT).map(publish).sum();
        // Each takes its place as well, 64 bytes; the last needs no more than its own.
        let bytes = framed(transport, length);
        let most = ((64 << 10) - bytes) / (bytes + 64) + 1;
        assert_eq!(server.hub.stats().waiting, most * (bytes + 64), "{path} {length}");
        client.stream().window(1 << 20);
        client.stay_held(seconds(1)).await;
        let numbers: Vec<usize> = client.messages.iter().map(|text| text[..3].parse().unwrap()).collect();
        let (kept, queued) = match path {
            "/oldest" => (COUNT - most..COUNT, COUNT),
            _ => (0..most, most),
        };
        assert_eq!(numbers, kept.collect::<Vec<_>>(), "{path} {length}");
        assert_eq!(accepted, queued, "{path} {length}");
        client.fin().await;
        let ended = server.nth_end(1).await.ended;
        let lost = (COUNT - most) as u64;
        assert_eq!((ended.messages_out(), ended.dropped(), ended.undelivered()), (most as u64, lost, 0));
        let stats = server.hub.stats();
        assert_eq!((stats.dropped, stats.waiting), (lost, 0));
        let by_endpoint = server.hub.stats_by_endpoint();
        let dropped = |name| by_endpoint.iter().find(|(endpoint, _)| *endpoint == name).unwrap().1.dropped;
        assert_eq!((dropped(path), dropped("/hold")), (lost, 0));
        server.close().await;
    }
}

contract!(the_largest_backlog_pays_when_too_much_waits_for_all of lasting);
async fn the_largest_backlog_pays_when_too_much_waits_for_all(transport: Transport) {
    const MEMORY: usize = 200 << 10;
    let server =
        test_server().server(|server| server.max_buffered(MEMORY)).hold(|hold| hold.join("news")).start();
    let mut reader = server.hold(transport).await;
    let mut starving = Vec::new();
    // 150 KiB, then 20 each, until it is too much.
    for length in [150, 20, 20, 20] {
        let mut client = server.hold(transport).await;
        client.stream().window(0);
        assert!(server.hooks.ends().is_empty());
        server.hooks.newest().send("x".repeat(length << 10)).unwrap();
        starving.push((client, server.hooks.newest().id()));
    }
    let told = server.nth_end(1).await;
    assert_eq!((told.end, told.ended.id()), (Disconnect::Slow.into(), starving[0].1));
    assert_eq!((told.ended.undelivered(), told.ended.dropped()), (1, 0));
    assert_eq!(server.hub.stats().waiting, 3 * (framed(transport, 20 << 10) + 64));
    assert_eq!(server.hub.publish("news", "x"), 4);
    assert_eq!(reader.message().await, "x");
    for (client, _) in &mut starving[1..] {
        client.stream().window(1 << 20);
        assert_eq!((client.message().await.len(), client.message().await.len()), (20 << 10, 1));
    }
    assert_eq!((server.hub.stats().waiting, server.hooks.ends().len()), (0, 1));
    server.close().await;
}
