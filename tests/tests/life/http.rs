//! Around the hold: keep-alive, versions, methods, tokens, origins, and which transport a request gets.

use std::future::pending;

use abeyance::extract::{Query, State};
use abeyance::{Disconnect, End, Refusal, Server, Suspend, Transport, suspend};
use abeyance_tests::reader::Answer;
use abeyance_tests::test_context::TestContext;
use abeyance_tests::test_server::{
    QueryParams, TestEndpoint, TestServer, TestServerBuilder, test_server, until,
};
use axum::Router;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::routing::{any, get};
use tokio::time::sleep;

use super::seconds;

#[suspend(path = "/socket", transports = [websocket])]
async fn socket(
    State(endpoint): State<TestEndpoint>,
    Query(asked): Query<QueryParams>,
) -> Result<Suspend<TestContext>, Refusal> {
    endpoint.hold(asked).await
}

#[suspend(path = "/events", transports = [sse, stream], max_message = "1KiB")]
async fn events(
    State(endpoint): State<TestEndpoint>,
    Query(asked): Query<QueryParams>,
) -> Result<Suspend<TestContext>, Refusal> {
    endpoint.hold(asked).await
}

#[suspend(path = "/alone", max_per_key = 1)]
async fn alone(
    State(endpoint): State<TestEndpoint>,
    Query(asked): Query<QueryParams>,
) -> Result<Suspend<TestContext>, Refusal> {
    endpoint.hold(asked).await
}

#[suspend(path = "/newest", max_suspended = 1, when_full = "resume_oldest")]
async fn newest(
    State(endpoint): State<TestEndpoint>,
    Query(asked): Query<QueryParams>,
) -> Result<Suspend<TestContext>, Refusal> {
    endpoint.hold(asked).await
}

#[suspend(path = "/known")]
async fn known(
    State(endpoint): State<TestEndpoint>,
    headers: HeaderMap,
) -> Result<Suspend<TestContext>, Refusal> {
    match headers.contains_key("cookie") {
        true => endpoint.hold(QueryParams::new()).await,
        false => Err(Refusal::unauthorized("no cookie")),
    }
}

fn with_more_paths() -> TestServerBuilder {
    let router = Router::new().route("/plain", get(|| async { "plain" }));
    test_server().server(|server| server.mount(socket).mount(events).fallback(router))
}

const PLAIN: &str = "GET /plain HTTP/1.1\r\nhost: a\r\n\r\n";

/// A request without the last line of its head.
fn request(first: &str, fields: &[&str]) -> String {
    let mut text = format!("{first}\r\nhost: a\r\n");
    for field in fields {
        text += &format!("{field}\r\n");
    }
    text + "\r\n"
}

async fn ask(server: &TestServer, first: &str, fields: &[&str]) -> Answer {
    server.ask(request(first, fields)).await
}

#[tokio::test(start_paused = true)]
async fn a_connection_goes_on_after_a_long_poll() {
    let server = with_more_paths().start();
    let mut reader = server.dial();
    for round in 1..=3 {
        reader.write(PLAIN).await;
        assert_eq!(reader.answer().await.unwrap().body, "plain");
        reader.write(server.request(Transport::LongPoll).text()).await;
        until("a hold", || server.hooks.holds().len() == round).await;
        match round {
            1 => server.hooks.newest().send("news").unwrap(),
            2 => _ = server.hooks.newest().resume(),
            _ => _ = server.hooks.newest().disconnect("out"),
        }
        let answer = reader.answer().await.unwrap();
        assert_eq!(answer.head.status, [200, 204, 410][round - 1]);
        assert!(answer.head.is_kept());
    }
    reader.write(PLAIN).await;
    assert_eq!(reader.answer().await.unwrap().body, "plain");
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn pipelined_requests_are_answered_in_order() {
    let server = with_more_paths().hold(|hold| hold.timeout(seconds(30))).start();
    let mut reader = server.dial();
    let poll = server.request(Transport::LongPoll).text();
    reader.write([PLAIN, &poll, PLAIN, PLAIN, &poll, PLAIN].concat()).await;
    for expected in ["plain", "", "plain", "plain", "", "plain"] {
        assert_eq!(reader.answer().await.unwrap().body, expected);
    }
    assert_eq!(server.hub.stats().ended("timeout"), 2);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_not_kept_says_so() {
    let server = with_more_paths().hold(|hold| hold.reply("one")).start();
    for text in [
        request("GET /hold HTTP/1.1", &["connection: close"]),
        // What is left of a body cannot be told from the next request once hyper is gone.
        request("GET /hold HTTP/1.1", &["content-length: 4"]) + "body",
        request("GET /hold HTTP/1.0", &["connection: keep-alive"]),
        request("GET /hold HTTP/1.0", &[]),
    ] {
        let mut reader = server.dial();
        reader.write(&text).await;
        let answer = reader.answer().await.unwrap();
        assert_eq!((answer.head.status, answer.body.as_str()), (200, "one"));
        assert!(!answer.head.is_kept(), "{text}{:?}", answer.head);
        assert_eq!(reader.rest().await, (Vec::new(), "FIN"));
    }
    server.close().await;
}

contract!(an_old_version_is_served_up_to_the_end_of_the_connection of streams);
async fn an_old_version_is_served_up_to_the_end_of_the_connection(transport: Transport) {
    let server = test_server().hold(|hold| hold.reply("one")).start();
    let mut client = server.request(transport).http10().hold().await;
    assert_eq!((client.head.version.as_str(), client.head.get("transfer-encoding")), ("HTTP/1.0", None));
    server.hooks.newest().resume();
    assert!(client.end().await.ends_with("FIN"));
    assert_eq!(client.messages, ["one"]);
    server.close().await;
}

contract!(a_head_runs_no_function_and_is_not_allowed of all);
async fn a_head_runs_no_function_and_is_not_allowed(transport: Transport) {
    let server = test_server().function(|_| async { panic!("a HEAD runs no function") }).start();
    let query = if transport == Transport::WebSocket { "" } else { transport.as_str() };
    let answer = {
        let mut reader = server.dial();
        let query = if query.is_empty() { String::new() } else { format!("?transport={query}") };
        reader.write(request(&format!("HEAD /hold{query} HTTP/1.1"), &["connection: close"])).await;
        reader.head().await.unwrap()
    };
    assert_eq!((answer.status, answer.get("allow")), (405, Some("GET, OPTIONS, POST, DELETE")));
    assert_eq!(server.hub.stats().suspended, 0);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn other_methods_are_told_which_there_are() {
    let server = test_server().server(|server| server.mount(socket)).start();
    let answer = ask(&server, "PUT /hold HTTP/1.1", &[]).await;
    assert_eq!(answer.head.status, 405);
    assert_eq!(answer.head.get("allow"), Some("GET, OPTIONS, POST, DELETE"));
    let answer = ask(&server, "PUT /socket HTTP/1.1", &[]).await;
    assert_eq!(answer.head.get("allow"), Some("GET, OPTIONS"));
    server.close().await;
}

/// An application whose own routes have the paths of its holds.
fn with_routes_at_the_same_paths() -> TestServerBuilder {
    let said = async |method: Method, headers: HeaderMap| {
        let origin = headers.get("origin").cloned().unwrap_or_else(|| HeaderValue::from_static("none"));
        (
            [("access-control-allow-origin", origin), ("x-said", HeaderValue::from_static("route"))],
            method.to_string(),
        )
    };
    let router = Router::new().route("/hold", any(said));
    test_server().server(|server| server.mount(events).fallback(router))
}

#[tokio::test(start_paused = true)]
async fn methods_that_hold_nothing_are_the_fallbacks_also_at_the_path_of_a_hold() {
    let server = with_routes_at_the_same_paths().start();
    for method in ["PUT", "PATCH", "POST", "DELETE", "TRACE", "BREW"] {
        let answer = ask(&server, &format!("{method} /hold HTTP/1.1"), &["content-length: 0"]).await;
        assert_eq!((answer.head.status, answer.body.as_str()), (200, method));
    }
    // What a `GET` answers is not the fallback's to say.
    let mut reader = server.dial();
    reader.write(request("HEAD /hold HTTP/1.1", &[])).await;
    assert_eq!(reader.head().await.unwrap().status, 405);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_fallback_decides_which_origins_may_ask_it() {
    let server = with_routes_at_the_same_paths().start();
    let evil = "origin: https://evil.example";
    for method in ["POST", "PUT", "DELETE"] {
        let answer = ask(&server, &format!("{method} /hold HTTP/1.1"), &[evil, "content-length: 0"]).await;
        assert_eq!((answer.head.status, answer.body.as_str()), (200, method));
        // Its own word, and no second one of ours.
        assert_eq!(answer.head.all("access-control-allow-origin"), ["https://evil.example"]);
        let asks = format!("access-control-request-method: {method}");
        let answer = ask(&server, "OPTIONS /hold HTTP/1.1", &[evil, &asks]).await;
        assert_eq!((answer.head.status, answer.head.get("x-said")), (200, Some("route")), "{method}");
    }
    for (first, fields) in [
        ("GET /hold HTTP/1.1", &[evil][..]),
        ("POST /hold?hold=x HTTP/1.1", &[evil, "content-length: 0"]),
        ("OPTIONS /hold HTTP/1.1", &[evil, "access-control-request-method: GET"]),
        ("OPTIONS /hold?hold=x HTTP/1.1", &[evil, "access-control-request-method: POST"]),
    ] {
        assert_eq!(ask(&server, first, fields).await.head.status, 403, "{first}");
    }
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_offered_is_refused_with_what_is() {
    let server = with_more_paths().start();
    for (path, offered) in
        [("/socket?transport=sse", "websocket"), ("/events?transport=pigeon", "sse, stream")]
    {
        let answer = ask(&server, &format!("GET {path} HTTP/1.1"), &[]).await;
        assert_eq!(answer.head.status, 406);
        assert!(answer.body.ends_with(&format!("offered: {offered}")), "{}", answer.body);
    }
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_lacks_something_is_told_what() {
    const UPGRADE: &str = "upgrade: websocket";
    const CONNECTION: &str = "connection: Upgrade";
    const VERSION: &str = "sec-websocket-version: 13";
    const KEY: &str = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
    let server = with_more_paths().start();
    for (fields, status, text) in [
        (&[CONNECTION, VERSION, KEY][..], 426, "a proxy removed `Upgrade`"),
        (&[UPGRADE, CONNECTION, "sec-websocket-version: 8", KEY], 426, "version 13"),
        (&[UPGRADE, CONNECTION, KEY], 426, "version 13"),
        (&[UPGRADE, CONNECTION, VERSION], 400, "`Sec-WebSocket-Key` is missing"),
        (&[UPGRADE, CONNECTION, VERSION, "sec-websocket-key: short"], 400, "16 bytes"),
        (&[], 426, "only WebSocket"),
    ] {
        let answer = ask(&server, "GET /socket HTTP/1.1", fields).await;
        assert_eq!(answer.head.status, status, "{fields:?}");
        assert!(answer.body.contains(text), "{fields:?}: {}", answer.body);
        if status == 426 {
            assert_eq!(answer.head.get("sec-websocket-version"), Some("13"));
        }
    }
    assert_eq!(server.hub.stats().suspended, 0);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_query_wins_then_upgrade_then_accept() {
    let server = test_server().start();
    for (first, field, content_type) in [
        ("GET /hold HTTP/1.1", "accept: text/event-stream", Some("text/event-stream")),
        ("GET /hold?transport=stream HTTP/1.1", "accept: text/event-stream", Some("application/x-ndjson")),
        ("GET /hold HTTP/1.1", "accept: */*", None),
    ] {
        let mut reader = server.dial();
        let before = server.hooks.holds().len();
        reader.write(request(first, &[field])).await;
        until("a hold", || server.hooks.holds().len() > before).await;
        match content_type {
            Some(_) => assert_eq!(reader.head().await.unwrap().get("content-type"), content_type),
            None => assert_eq!(server.hooks.newest().transport(), Transport::LongPoll),
        }
    }
    server.close().await;
}

contract!(only_its_token_speaks_for_a_hold of streams);
async fn only_its_token_speaks_for_a_hold(transport: Transport) {
    let server = with_more_paths().start();
    let mut client = server.hold(transport).await;
    let mut elsewhere = server.request(transport).path("/events").hold().await;
    let token = client.token();
    let mut forged = token.clone();
    forged.replace_range(..1, if forged.starts_with('A') { "B" } else { "A" });
    for token in [forged.as_str(), "", "nonsense", &elsewhere.token()] {
        for method in ["POST", "DELETE"] {
            assert_eq!(
                client.hold_request(method, token, "hello").await.head.status,
                404,
                "{method} {token:?}"
            );
        }
    }
    assert_eq!(server.hub.held_count(), 2);
    let answer = client.hold_request("POST", &token, "hello").await;
    assert_eq!((answer.head.status, answer.body.as_str()), (202, ""));
    let first = format!("POST /hold?hold={token} HTTP/1.1");
    let answer = server.ask(request(&first, &["content-length: 3"]) + "you").await;
    assert_eq!(answer.head.status, 202);
    until("both", || server.hooks.messages().len() == 2).await;
    assert_eq!(server.hooks.messages(), ["hello", "you"]);
    assert_eq!(client.hold_request("DELETE", &token, "").await.head.status, 204);
    assert!(matches!(server.cause().await, End::Disconnect(Disconnect::Closed { code: None, .. })));
    assert_eq!(server.hooks.ends()[0].ended.bytes_in(), "helloyou".len() as u64);
    for method in ["POST", "DELETE"] {
        assert_eq!(client.hold_request(method, &token, "late").await.head.status, 404);
    }
    client.end().await;
    elsewhere.stay_held(seconds(1)).await;
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_token_a_post_is_none_of_ours() {
    let server = test_server().start();
    let answer = ask(&server, "POST /hold HTTP/1.1", &["content-length: 0"]).await;
    assert_eq!(answer.head.status, 405);
    for transport in [Transport::WebSocket, Transport::LongPoll] {
        let client = server.hold(transport).await;
        let token = server.hooks.newest().token();
        assert_eq!(client.hold_request("POST", &token, "x").await.head.status, 404);
    }
    server.close().await;
}

contract!(what_is_said_is_bounded of streams);
async fn what_is_said_is_bounded(transport: Transport) {
    let server = with_more_paths().on_message(|_, _| pending()).start();
    let client = server.request(transport).path("/events").hold().await;
    assert_eq!(client.post(&"x".repeat(1025)).await.head.status, 413);
    assert_eq!(client.post(&"x".repeat(1024)).await.head.status, 202);
    until("the first", || server.hooks.messages().len() == 1).await;
    for _ in 0..8 {
        assert_eq!(client.post("one more").await.head.status, 202);
    }
    let answer = client.post("the ninth").await;
    assert_eq!((answer.head.status, answer.head.get("retry-after")), (429, Some("1")));
    assert_eq!(server.hub.held_count(), 1);
    server.close().await;
}

contract!(a_page_of_another_site_is_refused_and_told_why of all);
async fn a_page_of_another_site_is_refused_and_told_why(transport: Transport) {
    let server = test_server().server(|server| server.allowed_origins(["https://friend.example"])).start();
    let answer = server.request(transport).field("origin", "https://evil.example").refused().await;
    assert_eq!(answer.head.status, 403);
    assert!(
        answer.body.contains("\"https://evil.example\"") && answer.body.contains("\"a\""),
        "{}",
        answer.body
    );
    assert_eq!(answer.head.get("access-control-allow-origin"), None);
    let mut own = server.request(transport).field("origin", "http://a").hold().await;
    let mut friend = server.request(transport).field("origin", "https://friend.example").hold().await;
    for held in server.hooks.holds() {
        held.resume();
    }
    own.end().await;
    friend.end().await;
    assert_eq!(own.head.get("access-control-allow-origin"), None);
    assert_eq!(friend.head.get("access-control-allow-origin"), Some("https://friend.example"));
    server.close().await;
}

contract!(a_page_of_another_site_cannot_speak_for_a_hold_though_it_has_the_token of streams);
async fn a_page_of_another_site_cannot_speak_for_a_hold_though_it_has_the_token(transport: Transport) {
    let server = test_server().server(|server| server.allowed_origins(["https://friend.example"])).start();
    let mut client = server.hold(transport).await;
    let token = format!("abeyance-hold: {}", client.token());
    for method in ["POST", "DELETE", "GET", "HEAD", "OPTIONS", "PUT"] {
        let fields = [token.as_str(), "content-length: 0", "origin: https://evil.example"];
        let mut reader = server.dial();
        reader.write(request(&format!("{method} /hold HTTP/1.1"), &fields)).await;
        let head = reader.head().await.unwrap();
        assert_eq!((head.status, head.get("access-control-allow-origin")), (403, None), "{method}");
    }
    let fields = [token.as_str(), "content-length: 0", "origin: https://friend.example"];
    let answer = ask(&server, "POST /hold HTTP/1.1", &fields).await;
    assert_eq!(answer.head.status, 202);
    assert_eq!(answer.head.get("access-control-allow-origin"), Some("https://friend.example"));
    until("the friend's word", || server.hooks.messages().len() == 1).await;
    assert_eq!(server.hub.held_count(), 1);
    client.stay_held(seconds(1)).await;
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_preflight_of_a_friend_is_let_through() {
    let server = test_server().server(|server| server.allowed_origins(["https://friend.example"])).start();
    let asked = ["origin: https://friend.example", "access-control-request-method: GET"];
    let answer = ask(&server, "OPTIONS /hold HTTP/1.1", &asked).await;
    assert_eq!(answer.head.status, 204);
    assert_eq!(answer.head.get("access-control-allow-origin"), Some("https://friend.example"));
    assert!(answer.head.get("access-control-allow-headers").unwrap().contains("Last-Event-ID"));
    assert!(answer.head.get("access-control-allow-methods").unwrap().contains("DELETE"));
    let answer = ask(&server, "OPTIONS /hold HTTP/1.1", &["origin: https://evil.example"]).await;
    assert_eq!(answer.head.status, 403);
    sleep(seconds(1)).await;
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_preflight_may_ask_for_headers_of_the_applications_own() {
    let names = ["X-CSRF-Token", "traceparent"];
    let set_up =
        move |server: Server| server.allowed_origins(["https://friend.example"]).allowed_headers(names);
    let server = test_server().server(set_up).start();
    let asked =
        ["origin: https://friend.example", "access-control-request-headers: traceparent,x-csrf-token"];
    let answer = ask(&server, "OPTIONS /hold HTTP/1.1", &asked).await;
    let allowed = answer.head.get("access-control-allow-headers").unwrap();
    assert!(
        allowed.contains("Last-Event-ID") && names.iter().all(|name| allowed.contains(name)),
        "{allowed}"
    );
    server.close().await;
}

contract!(whom_a_function_knows_may_connect of all);
async fn whom_a_function_knows_may_connect(transport: Transport) {
    let judge = |origin: &str| match origin {
        "https://broken.example" => panic!("the judgement"),
        origin => origin.ends_with(".friend.example"),
    };
    let server = test_server().server(move |server| server.allow_origins_if(judge)).start();
    let request = |origin| server.request(transport).field("origin", origin);
    assert_eq!(request("https://evil.example").refused().await.head.status, 403);
    assert_eq!(request("https://broken.example").refused().await.head.status, 500);
    let mut friend = request("https://a.friend.example").hold().await;
    server.hooks.newest().resume();
    friend.end().await;
    assert_eq!(friend.head.get("access-control-allow-origin"), Some("https://a.friend.example"));
    server.close().await;
}

contract!(where_every_origin_is_allowed_cookies_are_not of all);
async fn where_every_origin_is_allowed_cookies_are_not(transport: Transport) {
    let set_up = |server: Server| server.mount(known).allowed_origins(["*", "https://friend.example"]);
    let server = test_server().server(set_up).start();
    let request = |origin| {
        server.request(transport).path("/known").field("cookie", "session=1").field("origin", origin)
    };
    let answer = request("https://any.example").refused().await;
    assert_eq!((answer.head.status, answer.body.as_str()), (401, "no cookie"));
    assert_eq!(answer.head.get("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.head.get("access-control-allow-credentials"), None);
    // Those that are named may, and the site's own calls.
    for origin in ["https://friend.example", "http://a"] {
        let mut client = request(origin).hold().await;
        server.hooks.newest().resume();
        client.end().await;
    }
    server.close().await;
}

contract!(a_page_that_may_connect_can_read_every_refusal of all);
async fn a_page_that_may_connect_can_read_every_refusal(transport: Transport) {
    let set_up =
        |server: Server| server.mount(alone).mount(newest).allowed_origins(["https://friend.example"]);
    let server = test_server().server(set_up).start();
    let request = || server.request(transport).path("/alone").field("origin", "https://friend.example");
    // Of the key the function says whose it is, so this is known only when the connection is no longer hyper's.
    let first = request().query("key=ada").hold().await;
    let answer = request().query("key=ada").refused().await;
    assert_eq!(answer.head.status, 429);
    for field in ["access-control-allow-origin", "access-control-allow-credentials", "date", "retry-after"] {
        assert_eq!(answer.head.all(field).len(), 1, "{field}: {answer:?}");
    }
    assert_eq!(answer.head.get("access-control-allow-origin"), Some("https://friend.example"));
    let answer = ask(&server, "GET /nothing HTTP/1.1", &["origin: https://friend.example"]).await;
    assert_eq!(answer.head.status, 404);
    assert_eq!(answer.head.get("access-control-allow-origin"), Some("https://friend.example"));
    drop(first);
    // Nor is it known before that no hold may be evicted for a newcomer.
    let young = server.request(transport).path("/newest").hold().await;
    let request = server.request(transport).path("/newest").field("origin", "https://friend.example");
    let answer = request.refused().await;
    assert_eq!((answer.head.status, answer.head.all("date").len()), (503, 1));
    assert_eq!(answer.head.get("access-control-allow-origin"), Some("https://friend.example"));
    drop(young);
    server.close().await;
}
