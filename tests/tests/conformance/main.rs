//! What the standards ask of a server, a case a rule, each with its section: raw bytes over a network in memory.
//!
//! What a rule leaves open ("may", "should") is listed with what this server does.
#![expect(clippy::unwrap_used, reason = "the helpers are used by tests only")]

mod event_source; // HTML, server-sent events
mod fetch; // Fetch, the CORS protocol
mod messages; // RFC 9112, HTTP/1.1
mod semantics; // RFC 9110, HTTP
mod websocket; // RFC 6455

use std::time::Duration;

use abeyance::extract::{Query, State};
use abeyance::{Refusal, Server, Suspend, suspend};
use abeyance_tests::reader::Answer;
use abeyance_tests::test_context::TestContext;
use abeyance_tests::test_server::{QueryParams, TestEndpoint, TestServer, TestServerBuilder, test_server};
use axum::Router;
use axum::routing::{get, post, put};
use tokio::time::timeout;

/// A rule: its section, what it says, what is sent, with which statuses that is answered, and whether the connection is
/// closed then.
type Rule<'a> = (&'a str, &'a str, &'a str, &'a [u16], bool);

#[suspend(path = "/socket", transports = [websocket], max_message = "1KiB")]
async fn socket(
    State(endpoint): State<TestEndpoint>,
    Query(asked): Query<QueryParams>,
) -> Result<Suspend<TestContext>, Refusal> {
    endpoint.hold(asked).await
}

/// `/hold` answers a poll at once with `one`; `/socket` is for WebSockets only. What is not held is a router's.
fn every_route() -> TestServerBuilder {
    let router = Router::new()
        .route("/plain", get(|| async { "plain" }))
        .route("/echo", post(|body: String| async { body }))
        .route("/deaf", post(|| async { "not heard" }))
        .route("/hold", put(|| async { "put" }));
    test_server()
        .hold(|hold| hold.reply("one"))
        .server(|server: Server| server.mount(socket).fallback(router))
}

/// All answers to these bytes, and whether the server has closed the connection behind them. `HEAD` is not for this.
async fn told(server: &TestServer, bytes: impl AsRef<[u8]>) -> (Vec<Answer>, bool) {
    let mut reader = server.dial();
    reader.write(bytes).await;
    let mut answers = Vec::new();
    loop {
        match timeout(Duration::from_millis(500), reader.answer()).await {
            Ok(Ok(answer)) => answers.push(answer),
            Ok(Err(_)) => return (answers, true),
            Err(_) => return (answers, false),
        }
    }
}

/// The one answer to these bytes.
async fn answer(server: &TestServer, bytes: impl AsRef<[u8]>) -> Answer {
    let (mut answers, _) = told(server, bytes).await;
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers.remove(0)
}

/// Tries every rule; tells all that are broken.
async fn keep(rules: &[Rule<'_>]) {
    let server = every_route().start();
    let mut broken = Vec::new();
    for (section, what, bytes, statuses, is_closed) in rules {
        let (answers, closed) = told(&server, bytes).await;
        let told: Vec<_> = answers.iter().map(|answer| answer.head.status).collect();
        if told != *statuses || closed != *is_closed {
            broken.push(format!("{section} ({what}): {told:?}, closed: {closed}\n{bytes:?}"));
        }
        for answer in answers.iter().filter(|answer| answer.head.status >= 200) {
            if answer.head.all("date").len() != 1 {
                broken.push(format!("RFC 9110 6.6.1 (a date) in {section} ({what}): {answer:?}"));
            }
        }
        // What is closed says so before (RFC 9112 9.6).
        if let (true, Some(last)) = (closed, answers.last())
            && last.head.is_kept()
        {
            broken.push(format!("RFC 9112 9.6 (close is said) in {section} ({what}): {last:?}"));
        }
    }
    assert!(broken.is_empty(), "{} broken:\n{}", broken.len(), broken.join("\n"));
    server.close().await;
}
