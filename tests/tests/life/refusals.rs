//! What is refused is counted and logged, once, under a word that says why.

use abeyance::extract::{Query, State};
use abeyance::{Refusal, Suspend, Transport, suspend};
use abeyance_tests::log::Log;
use abeyance_tests::test_context::TestContext;
use abeyance_tests::test_server::{QueryParams, TestEndpoint, TestServer, TestServerBuilder, test_server};
use tokio::time::sleep;

use super::seconds;

#[derive(serde::Deserialize)]
struct Count {
    #[serde(rename = "count")]
    _count: u32,
}

#[suspend(path = "/counted", max_suspended = 2, max_per_peer = 1, max_per_key = 1)]
async fn counted(
    State(endpoint): State<TestEndpoint>,
    Query(asked): Query<QueryParams>,
    Query(_): Query<Count>,
) -> Result<Suspend<TestContext>, Refusal> {
    endpoint.hold(asked).await
}

#[suspend(path = "/events", transports(sse))]
async fn events(
    State(endpoint): State<TestEndpoint>,
    Query(asked): Query<QueryParams>,
) -> Result<Suspend<TestContext>, Refusal> {
    endpoint.hold(asked).await
}

#[suspend(path = "/socket", transports(websocket))]
async fn socket(
    State(endpoint): State<TestEndpoint>,
    Query(asked): Query<QueryParams>,
) -> Result<Suspend<TestContext>, Refusal> {
    endpoint.hold(asked).await
}

fn every_endpoint() -> TestServerBuilder {
    test_server().server(|server| server.mount(counted).mount(events).mount(socket)).function(
        |asked| async move {
            match asked.get("do").map(String::as_str) {
                Some("refuse") => Err(Refusal::forbidden("not you")),
                Some("panic") => panic!("on purpose"),
                Some("sleep") => {
                    sleep(seconds(60)).await;
                    Ok(())
                }
                _ => Ok(()),
            }
        },
    )
}

/// Since the last look, one was refused for this reason, with one line in the log.
fn assert_refused_as(server: &TestServer, log: &Log, told: &mut Vec<(&'static str, u64)>, why: &'static str) {
    match told.iter_mut().find(|(word, _)| *word == why) {
        Some((_, count)) => *count += 1,
        None => told.push((why, 1)),
    }
    let mut counted = server.hub.stats().refusals;
    counted.sort();
    told.sort();
    assert_eq!(counted, *told);
    let word = format!("why={why:?}");
    let lines = log.lines(&["DEBUG", "refused", &word]);
    assert_eq!(lines.len() as u64, server.hub.stats().refusals(why), "{why}: {lines:?}");
}

contract!(a_refusal_is_counted_and_logged_once_under_its_word of all);
async fn a_refusal_is_counted_and_logged_once_under_its_word(transport: Transport) {
    let (log, server) = (Log::listen(), every_endpoint().server(|server| server.max_suspended(3)).start());
    let mut told = Vec::new();
    let request = |query: &str| server.request(transport).query(query);
    let counted = |query: &str| server.request(transport).path("/counted").query(query);
    let address = |last| [10, 0, 0, last];

    assert_eq!(request("do=refuse").refused().await.head.status, 403);
    assert_refused_as(&server, &log, &mut told, "function");
    assert_eq!(request("do=panic").refused().await.head.status, 500);
    assert_refused_as(&server, &log, &mut told, "failed");
    assert_eq!(request("do=sleep").refused().await.head.status, 503);
    assert_refused_as(&server, &log, &mut told, "function_late");
    assert_eq!(counted("count=many").refused().await.head.status, 400);
    assert_refused_as(&server, &log, &mut told, "argument");
    let foreign = request("").field("origin", "http://evil.example");
    assert_eq!(foreign.refused().await.head.status, 403);
    assert_refused_as(&server, &log, &mut told, "origin");

    let _one = counted("count=1&key=ada").hold().await;
    assert_eq!(counted("count=1").refused().await.head.status, 429);
    assert_refused_as(&server, &log, &mut told, "endpoint_max_per_peer");
    let same_key = counted("count=1&key=ada").from(address(2));
    assert_eq!(same_key.refused().await.head.status, 429);
    assert_refused_as(&server, &log, &mut told, "endpoint_max_per_key");
    let _two = counted("count=1").from(address(3)).hold().await;
    assert_eq!(counted("count=1").from(address(4)).refused().await.head.status, 503);
    assert_refused_as(&server, &log, &mut told, "endpoint_max_suspended");
    let _three = request("").hold().await;
    assert_eq!(request("").refused().await.head.status, 503);
    assert_refused_as(&server, &log, &mut told, "max_suspended");
    let by_endpoint = server.hub.stats_by_endpoint();
    assert!(by_endpoint.iter().all(|(_, stats)| stats.refusals.is_empty()));
    server.close().await;
}

contract!(limits_of_the_server_for_a_peer_and_a_key_have_their_words of all);
async fn limits_of_the_server_for_a_peer_and_a_key_have_their_words(transport: Transport) {
    let server = test_server().server(|server| server.max_per_peer(2).max_per_key(1)).start();
    let (log, mut told) = (Log::listen(), Vec::new());
    let _one = server.request(transport).query("key=ada").hold().await;
    assert_eq!(server.request(transport).query("key=ada").refused().await.head.status, 429);
    assert_refused_as(&server, &log, &mut told, "max_per_key");
    let _two = server.request(transport).hold().await;
    assert_eq!(server.request(transport).refused().await.head.status, 429);
    assert_refused_as(&server, &log, &mut told, "max_per_peer");
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_held_at_all_has_its_words_too() {
    let (log, server, mut told) = (Log::listen(), every_endpoint().start(), Vec::new());
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n";
    let post = "abeyance-hold: nonsense\r\ncontent-length: 0\r\n";
    for (first, fields, status, why) in [
        ("GET /nowhere HTTP/1.1", "", 404, "not_found"),
        ("PATCH /hold HTTP/1.1", "", 405, "method"),
        ("BREW /hold HTTP/1.1", "", 501, "method"),
        ("BREW /nowhere HTTP/1.1", "", 501, "method"),
        ("POST /hold HTTP/1.1", "content-length: 0\r\n", 405, "method"),
        ("GET /events?transport=stream HTTP/1.1", "", 406, "transport"),
        ("GET /socket HTTP/1.1", "", 426, "upgrade"),
        ("GET /hold HTTP/1.1", "sec-websocket-key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n", 426, "upgrade"),
        ("GET /hold HTTP/1.1", upgrade, 400, "handshake"),
        ("POST /events HTTP/1.1", post, 404, "token"),
        ("GET /hold HTTP/1.1", "transfer-encoding: gzip, chunked\r\n", 400, "malformed"),
        ("GET /ho ld HTTP/1.1", "", 400, "malformed"),
    ] {
        let answer = server.ask(format!("{first}\r\nhost: a\r\n{fields}\r\n")).await;
        assert_eq!(answer.head.status, status, "{first}");
        assert_refused_as(&server, &log, &mut told, why);
    }
    assert_eq!(server.ask("GET /hold HTTP/1.1\nhost: a\r\n\r\n").await.head.status, 400);
    assert_refused_as(&server, &log, &mut told, "malformed");
    let slow = server.ask("GET /hold HTTP/1.1\r\nhos").await;
    assert_eq!(slow.head.status, 408);
    assert_refused_as(&server, &log, &mut told, "head_late");
    let odd =
        log.lines(&["why=\"not_found\"", "path=\"/nowhere\"", "method=GET", "status=404", "peer=10.0.0.1:1"]);
    assert_eq!(odd.len(), 1);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_turned_away_is_counted_under_its_reason() {
    let server = test_server().server(|server| server.max_connects_per_peer(1)).start();
    let (log, mut told) = (Log::listen(), Vec::new());
    let _first = server.hold(Transport::Sse).await;
    let answer = server.request(Transport::Sse).refused().await;
    assert_eq!(answer.head.status, 429);
    assert_refused_as(&server, &log, &mut told, "max_connects_per_peer");
    assert_eq!(server.hub.stats().turned_away, 1);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_during_a_drain_is_refused_as_that() {
    let server = test_server().start();
    let log = Log::listen();
    let mut reader = server.dial();
    reader.write("GET /hold HTTP/1.1\r\n").await;
    let _held = server.hold(Transport::Sse).await;
    let (hub, record) = (server.hub.clone(), server.hooks.clone());
    let close = server.close();
    let ask = async {
        tokio::task::yield_now().await;
        reader.write("host: a\r\n\r\n").await;
        reader.answer().await.expect("an answer")
    };
    let (_, answer) = tokio::join!(close, ask);
    assert_eq!(answer.head.status, 503);
    assert_eq!((hub.stats().refusals, record.causes().len()), (vec![("draining", 1)], 1));
    assert_eq!(log.lines(&["DEBUG", "why=\"draining\""]).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fallbacks_own_answers_are_no_refusals() {
    let router = axum::Router::new().route("/", axum::routing::get(|| async { "hello" }));
    let server = test_server().server(|server| server.fallback(router)).start();
    for (first, status) in [("GET / HTTP/1.1", 200), ("GET /nowhere HTTP/1.1", 404), ("POST / HTTP/1.1", 405)]
    {
        let answer = server.ask(format!("{first}\r\nhost: a\r\ncontent-length: 0\r\n\r\n")).await;
        assert_eq!(answer.head.status, status);
    }
    assert_eq!(server.hub.stats().refusals, []);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn of_foreign_origins_there_is_a_warning_once_a_minute_that_says_what_was_compared() {
    let (log, server) = (Log::listen(), test_server().start());
    for _ in 0..130 {
        let request = server.request(Transport::Sse).field("origin", "http://evil.example");
        assert_eq!(request.refused().await.head.status, 403);
        sleep(seconds(1)).await;
    }
    assert_eq!(server.hub.stats().refusals("origin"), 130);
    let warnings = log.lines(&["WARN", "evil.example", "is not the host", "allowed_origins"]);
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings[1].contains("count=6"), "{warnings:?}");
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_client_chose_cannot_forge_a_line_of_the_log() {
    let (log, server) = (Log::listen(), every_endpoint().start());
    let answer = server.ask("GET /events?transport=a%0AERROR%20b HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(answer.head.status, 406);
    let lines = log.lines(&["why=\"transport\""]);
    assert!(lines.len() == 1 && !lines[0].contains('\n'), "{lines:?}");
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_preflight_for_a_header_that_is_not_allowed_is_told_since_its_browser_does_not_say_why() {
    let site = "https://friend.example";
    let server = test_server()
        .server(|server| server.allowed_origins([site]).allowed_headers(["x-csrf-token"]))
        .start();
    let (log, mut told) = (Log::listen(), Vec::new());
    let ask = |names: &str| {
        format!(
            "OPTIONS /hold HTTP/1.1\r\nhost: a\r\norigin: {site}\r\naccess-control-request-method: POST\r\n\
             access-control-request-headers: {names}\r\nconnection: close\r\n\r\n"
        )
    };
    assert_eq!(server.ask(ask("last-event-id, X-CSRF-Token")).await.head.status, 204);
    assert!(server.hub.stats().refusals.is_empty());
    assert_eq!(server.ask(ask("last-event-id, traceparent")).await.head.status, 204);
    assert_refused_as(&server, &log, &mut told, "preflight");
    assert_eq!(log.lines(&["traceparent", "allowed_headers"]).len(), 1);
    server.close().await;
}
