//! Ids and tokens that are not what they should be: the right status, and nothing is held.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use abeyance::extract::{Query, State};
use abeyance::{Held, Refusal, Suspend, Transport, WhenFull, suspend};
use abeyance_tests::event_reader::EventReader;
use abeyance_tests::reader::{Answer, Reader};
use abeyance_tests::test_context::TestContext;
use abeyance_tests::test_server::{QueryParams, TestEndpoint, TestServer, test_server, until};
use tokio::time::sleep;

use super::{EVERYTHING, seconds};

/// Where the clients of event streams come from.
const FROM: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7);

#[suspend(path = "/elsewhere")]
async fn elsewhere(
    State(endpoint): State<TestEndpoint>,
    Query(asked): Query<QueryParams>,
) -> Result<Suspend<TestContext>, Refusal> {
    endpoint.hold(asked).await
}

fn open() -> TestServer {
    let hold = |hold: Suspend<TestContext>| {
        hold.join("news").timeout(seconds(7000)).max_idle(seconds(7200)).heartbeat(seconds(3600))
    };
    test_server().server(|server| server.topic("news", EVERYTHING).mount(elsewhere)).hold(hold).start()
}

/// The id of the latest message.
async fn latest(server: &TestServer) -> String {
    server.hub.publish("news", "one");
    let mut client = server.hold(Transport::LongPoll).await;
    server.hooks.newest().resume();
    client.end().await;
    client
        .head
        .get("last-event-id")
        .expect("an answer of a held poll says where its client stands")
        .to_owned()
}

/// Asks with these lines in the head, or this query.
async fn ask(server: &TestServer, transport: Transport, query: &str, lines: &[u8]) -> Answer {
    let start = format!("GET /hold?transport={}{query} HTTP/1.1\r\nhost: a\r\n", transport.as_str());
    server.ask([start.as_bytes(), lines, b"\r\n"].concat()).await
}

fn assert_nothing_held(server: &TestServer, suspended: u64) {
    let stats = server.hub.stats();
    assert_eq!((stats.held, stats.ending, stats.suspended), (0, 0, suspended), "{stats:?}");
    assert_eq!(server.hooks.ends().len() as u64, suspended);
}

#[tokio::test(start_paused = true)]
async fn an_id_of_what_is_yet_to_come_is_a_bad_request_and_nothing_is_held() {
    let server = open();
    let id = latest(&server).await;
    let suspended = server.hub.stats().suspended;
    let (epoch, offset) = id.split_once('-').unwrap();
    let next = u64::from_str_radix(offset, 16).unwrap() + 1;
    let wrong = [
        format!("{epoch}-{next:012x}"),
        format!("{epoch}-ffffffffffff"),
        format!("{epoch}.{offset}.{next:012x}"),
    ];
    for transport in [Transport::Sse, Transport::LongPoll] {
        for wrong in &wrong {
            let answer = ask(&server, transport, "", format!("last-event-id: {wrong}\r\n").as_bytes()).await;
            assert_eq!(answer.head.status, 400, "{wrong}: {answer:?}");
            assert!(answer.body.contains("Last-Event-ID"), "{answer:?}");
            assert!(answer.head.get("cache-control").is_none_or(|value| value == "no-store"));
            let answer = ask(&server, transport, &format!("&last_event_id={wrong}"), b"").await;
            assert_eq!(answer.head.status, 400, "{wrong}: {answer:?}");
        }
        // More than a head may have.
        let lines = format!("last-event-id: {}\r\n", "0".repeat(1 << 20));
        let answer = ask(&server, transport, "", lines.as_bytes()).await;
        assert_eq!(answer.head.status, 431);
    }
    assert_nothing_held(&server, suspended);
    assert_eq!(server.hub.peak(), 1);
    server.close().await;
}

/// Reads from an event stream until the word of a resync has come; gives the id that comes with it.
async fn resynced(server: &TestServer, query: &str, lines: &[u8]) -> String {
    let mut reader = Reader::new(server.dialer.connect(FROM).expect("the server listens"));
    let start = format!("GET /hold?transport=sse{query} HTTP/1.1\r\nhost: a\r\n");
    reader.write([start.as_bytes(), lines, b"\r\n"].concat()).await;
    let head = reader.head().await.expect("a head");
    assert_eq!(head.status, 200, "{query} {}: {head:?}", String::from_utf8_lossy(lines));
    let mut events = EventReader::default();
    loop {
        events.feed(&reader.some(1 << 10).await.expect("a body"));
        while let Some(event) = events.next_event() {
            match event.kind.as_str() {
                "hold" => assert_eq!(event.id, None),
                "resync" => return event.id.expect("the id to go on from"),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// An `EventSource` brings back what it was given at this URL, by any server that lived there. A status other than `200`
/// would close it for good.
#[tokio::test(start_paused = true)]
async fn what_may_be_an_id_of_another_server_is_held_and_told_to_load_anew() {
    let server = open();
    let id = latest(&server).await;
    let (epoch, offset) = id.split_once('-').unwrap();
    let next = u64::from_str_radix(offset, 16).unwrap() + 1;
    let mut foreign: Vec<Vec<u8>> = [
        "42".into(),
        "0".into(),
        "-".into(),
        "-1".into(),
        "null".into(),
        "undefined".into(),
        "1526919030474-55".into(),
        "urn:uuid:e1096c7b-9d4b-4a6f-a4c1-2a3e6c9a0d2f".into(),
        "{\"at\":[1,2]}".into(),
        "a, b;c=\"d\"".into(),
        "000000000000-ffffffffffff".into(),
        format!("{epoch}{offset}"),
        format!("{epoch}-{offset}-"),
        format!("{epoch}-{offset}0"),
        format!("0{id}"),
        format!("\"{id}\""),
        format!("{id},{id}"),
        format!("{id} {id}"),
        format!("{epoch}-+00000000001"),
        format!("{epoch}.{offset}.{offset}"),
        format!("{epoch}-{offset}-{next:012x}"),
        "abcdefghijkl-mnopqrstuvwx".into(),
        "1".repeat(1_000),
        format!("{id}{}", "0".repeat(5_000)),
    ]
    .map(String::into_bytes)
    .into();
    foreign.extend((1..id.len()).map(|end| id.as_bytes()[..end].to_vec()));
    foreign.extend((1..id.len()).map(|begin| id.as_bytes()[begin..].to_vec()));
    foreign.extend([b"\xff\xfe".to_vec(), [id.as_bytes(), b"\xc3"].concat(), "å".repeat(25).into_bytes()]);
    for foreign in &foreign {
        let text = String::from_utf8_lossy(foreign);
        let line = [b"last-event-id: ", &foreign[..], b"\r\n"].concat();
        let escaped: String = foreign.iter().map(|byte| format!("%{byte:02X}")).collect();
        let query = format!("&last_event_id={escaped}");
        assert_eq!(resynced(&server, "", &line).await, id, "{text}");
        assert_eq!(resynced(&server, &query, b"").await, id, "{text}");
        for (query, line) in [("", &line[..]), (&query, b"")] {
            let answer = ask(&server, Transport::LongPoll, query, line).await;
            let told =
                (answer.head.status, answer.head.get("abeyance-resync"), answer.head.get("last-event-id"));
            assert_eq!(told, (204, Some("true"), Some(&*id)), "{text}: {answer:?}");
        }
    }
    // Two ids: it cannot be known which of them is meant.
    for (one, other) in [(&*id, &*id), (&id, "0"), ("0", &id)] {
        let lines = format!("last-event-id: {one}\r\nlast-event-id: {other}\r\n");
        assert_eq!(resynced(&server, "", lines.as_bytes()).await, id, "{lines}");
        let query = format!("&last_event_id={one}&last_event_id={other}");
        assert_eq!(resynced(&server, &query, b"").await, id, "{query}");
    }
    until("the end of all", || server.hub.held_count() == 0 && server.hub.stats().ending == 0).await;
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_id_in_the_head_stands_before_one_in_the_query() {
    let server = open();
    let id = latest(&server).await;
    server.hub.publish("news", "two");
    let line = format!("last-event-id: {id}\r\n");
    let answer = ask(&server, Transport::LongPoll, "&last_event_id=wrong", line.as_bytes()).await;
    assert_eq!((answer.head.status, answer.body.as_str()), (200, "two"));
    let answer =
        ask(&server, Transport::LongPoll, &format!("&last_event_id={id}"), b"last-event-id: \r\n").await;
    assert_eq!((answer.head.status, answer.body.as_str()), (200, "two"));
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn transports_that_carry_no_ids_ask_for_none() {
    let server = open();
    for transport in [Transport::WebSocket, Transport::Stream] {
        let mut client = server.request(transport).field("last-event-id", "wrong").hold().await;
        assert_eq!(server.hub.publish("news", "live"), 1);
        assert_eq!(client.message().await, "live");
        assert_eq!(client.head.get("last-event-id"), None);
        client.fin().await;
        until("the end", || server.hub.stats().held == 0).await;
    }
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_forged_id_evicts_no_hold_and_takes_no_place() {
    for when_full in [WhenFull::Reject, WhenFull::ResumeOldest] {
        let server = test_server()
            .server(|server| server.topic("news", EVERYTHING).max_suspended(2).when_full(when_full))
            .hold(|hold| hold.join("news"))
            .start();
        let id = latest(&server).await.replace('-', ".") + ".ffffffffffff";
        let wrong = async |times| {
            for _ in 0..times {
                let line = format!("last-event-id: {id}\r\n");
                let answer = ask(&server, Transport::Sse, "", line.as_bytes()).await;
                let is_full = when_full == WhenFull::Reject && server.hub.held_count() == 2;
                assert_eq!(answer.head.status, if is_full { 503 } else { 400 });
            }
        };
        wrong(10).await;
        let mut clients = Vec::new();
        for _ in 0..2 {
            clients.push(server.hold(Transport::Sse).await);
        }
        sleep(seconds(5)).await;
        wrong(10).await;
        assert_eq!(
            (server.hub.held_count(), server.hooks.causes().len()),
            (2, 1),
            "and that was the one before"
        );
        server.close().await;
    }
}

/// A `POST` and a `DELETE` with these lines in the head, or this query.
async fn speak(server: &TestServer, path: &str, lines: &[u8]) -> [Answer; 2] {
    let ask = async |method: &str| {
        let start = format!("{method} {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n");
        server.ask([start.as_bytes(), lines, b"\r\nhi"].concat()).await
    };
    [ask("POST").await, ask("DELETE").await]
}

fn token_line(token: &[u8]) -> Vec<u8> {
    [b"abeyance-hold: ", token, b"\r\n"].concat()
}

#[tokio::test(start_paused = true)]
async fn an_unknown_token_finds_no_hold_and_changes_none() {
    let (server, other) = (open(), open());
    let client = server.hold(Transport::Sse).await;
    let token = client.token();

    let mut wrong: Vec<Vec<u8>> = Vec::new();
    // Forged, truncated, longer.
    wrong.extend((0..token.len()).map(|at| {
        let mut forged = token.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        forged
    }));
    wrong.extend((0..token.len()).map(|end| token.as_bytes()[..end].to_vec()));
    wrong.extend(
        [format!("{token}A"), format!("{token}="), token.repeat(100), "/".repeat(32)].map(String::into_bytes),
    );
    wrong.push([token.as_bytes(), b"\xff"].concat());
    wrong.push(b"\xff\xfe".to_vec());
    // Foreign: the same place in another server.
    wrong.push(other.hold(Transport::Sse).await.token().into_bytes());
    // Of holds that do not speak by `POST`.
    let (socket, poll) = (server.hold(Transport::WebSocket).await, server.hold(Transport::LongPoll).await);
    wrong.extend(server.hooks.holds()[1..].iter().map(|held: &Held| held.token().into_bytes()));
    // Expired: its place is another's by now.
    let gone = server.hold(Transport::Sse).await;
    wrong.push(gone.token().into_bytes());
    server.hooks.newest().resume();
    drop(gone);
    until("the end", || server.hub.held_count() == 3 && server.hub.stats().ending == 0).await;
    let next = server.hold(Transport::Sse).await;
    // Of another endpoint.
    let elsewhere = server.request(Transport::Sse).path("/elsewhere").hold().await;
    wrong.push(elsewhere.token().into_bytes());

    let before = server.hub.stats();
    for wrong in &wrong {
        let escaped: String = wrong.iter().map(|byte| format!("%{byte:02X}")).collect();
        let by_query = speak(&server, &format!("/hold?hold={escaped}"), b"").await;
        for answer in speak(&server, "/hold", &token_line(wrong)).await.iter().chain(&by_query) {
            assert_eq!(answer.head.status, 404, "{}: {answer:?}", String::from_utf8_lossy(wrong));
        }
    }
    // The first counts, and a right one elsewhere does not help.
    let twice = [token_line(b"wrong"), token_line(token.as_bytes())].concat();
    let in_query = format!("/hold?hold={token}");
    for answer in speak(&server, "/hold", &twice)
        .await
        .iter()
        .chain(&speak(&server, &in_query, &token_line(b"x")).await)
    {
        assert_eq!(answer.head.status, 404, "{answer:?}");
    }
    let mut after = server.hub.stats();
    assert!(after.refusals("token") > before.refusals("token"));
    after.refusals.clone_from(&before.refusals);
    assert_eq!(after, before);
    assert!(server.hooks.messages().is_empty());

    // And the right ones still do.
    for client in [&client, &next] {
        assert_eq!(client.post("hello").await.head.status, 202);
        let [_, goodbye] = speak(&server, &format!("/hold?hold={}", client.token()), b"").await;
        assert_eq!(goodbye.head.status, 204);
        let [late, again] = speak(&server, &format!("/hold?hold={}", client.token()), b"").await;
        assert_eq!((late.head.status, again.head.status), (404, 404));
    }
    assert_eq!(server.hub.held_count(), 3);
    drop((socket, poll, elsewhere));
    server.close().await;
    other.close().await;
}
