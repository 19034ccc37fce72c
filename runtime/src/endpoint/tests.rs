//! From the annotation to the hold that was asked for, through the record and everything generated.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use http::StatusCode;

use abeyance::suspend;

use super::Response;
use super::check::check;
use super::extract::{ClientIp, LastEventId, Path, Query, State};
use super::record::Endpoint;
use super::refusal::Refusal;
use super::router::Router;
use super::states::States;
use super::suspend::Suspend;
use super::suspension::Suspension;
use abeyance_settings::endpoint::{EndpointOptions, Transport, WhenFull};

#[derive(serde::Deserialize)]
struct Who {
    nick: String,
}

#[derive(Clone)]
struct Greeting(&'static str);

#[suspend(
    path = "/tests/rooms/{room}",
    transports(websocket, sse),
    timeout = "1m30s",
    max_idle = "none",
    when_full = "resume_oldest",
    send_buffer = "1MiB"
)]
async fn enter(
    Path(room): Path<String>,
    Query(who): Query<Who>,
    State(Greeting(greeting)): State<Greeting>,
    ClientIp(ip): ClientIp,
    LastEventId(last): LastEventId,
) -> Result<Suspend, Refusal> {
    if who.nick.is_empty() {
        return Err(Refusal::unauthorized(format!("{ip} has no name")));
    }
    Ok(Suspend::new().join(room).reply(format!("{greeting} {}", who.nick)).key(last.unwrap_or_default()))
}

#[suspend(path = "/tests/two")]
#[suspend(path = "/tests/one")]
async fn twice() -> Suspend {
    Suspend::new()
}

#[suspend]
async fn r#move() -> Suspend {
    Suspend::new()
}

/// The only record of a function, found by its type.
fn record<F: 'static>(_: &F) -> &'static Endpoint {
    match Endpoint::of::<F>()[..] {
        [record] => record,
        ref records => panic!("{} records", records.len()),
    }
}

async fn ask(uri: &'static str, states: States) -> Result<Suspension, Response> {
    let endpoint = record(&enter);
    let router = Router::new(&[(endpoint.path, endpoint)]).expect("no conflict");
    let request = http::Request::builder().uri(uri).header("Last-Event-ID", "7");
    let (mut parts, ()) = request.body(()).expect("a request").into_parts();
    let (_, captures) = router.at(parts.uri.path()).expect("the path of `enter`");
    parts.extensions.insert(captures);
    parts.extensions.insert(ClientIp(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    (endpoint.run)(parts, states).await
}

fn greeting() -> States {
    States::default().with(Greeting("welcome"))
}

#[tokio::test]
async fn a_request_becomes_the_hold_that_was_asked_for() {
    let hold = ask("/tests/rooms/blue%20one?nick=ada", greeting()).await.expect("held");
    assert_eq!(hold.topics, [("blue one".into(), false)]);
    assert_eq!(hold.replies, ["welcome ada".into()]);
    assert_eq!(hold.key.as_deref(), Some("7"));
}

#[tokio::test]
async fn what_cannot_be_extracted_is_answered_before_the_function_runs() {
    let refused = ask("/tests/rooms/blue", greeting()).await.expect_err("no nick");
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let refused = ask("/tests/rooms/blue?nick=", greeting()).await.expect_err("an empty nick");
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let refused = ask("/tests/rooms/blue?nick=ada", States::default()).await.expect_err("no state");
    assert_eq!(refused.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[test]
fn a_record_says_what_was_written_and_where() {
    let endpoint = record(&enter);
    assert_eq!((endpoint.name, endpoint.path), ("enter", "/tests/rooms/{room}"));
    assert_eq!((endpoint.module, endpoint.name), ("abeyance::endpoint::tests", "enter"));
    assert!(endpoint.file.ends_with("endpoint/tests.rs"), "{}", endpoint.file);
    let expected = EndpointOptions {
        transports: Some(&[Transport::WebSocket, Transport::Sse]),
        timeout: Some(Some(Duration::from_secs(90))),
        max_idle: Some(None),
        when_full: Some(WhenFull::ResumeOldest),
        send_buffer: Some(1 << 20),
        ..EndpointOptions::NONE
    };
    assert_eq!(endpoint.settings, expected);
}

#[test]
fn a_missing_state_is_reported_at_start() {
    let faults = check(&[record(&enter)], &States::default(), None);
    let [fault] = &faults[..] else { panic!("{faults:?}") };
    let told = fault.to_string();
    assert!(told.contains("`enter` takes `State<abeyance::endpoint::tests::Greeting>`"), "{told}");
    assert_eq!(check(&[record(&enter)], &greeting(), None), []);
}

#[test]
fn a_function_annotated_twice_has_two_records_in_the_order_of_their_paths() {
    fn paths<F: 'static>(_: &F) -> Vec<&'static str> {
        Endpoint::of::<F>().iter().map(|endpoint| endpoint.path).collect()
    }
    assert_eq!(paths(&twice), ["/tests/one", "/tests/two"]);
    assert_eq!(paths(&check), [""; 0]);
}

#[test]
fn the_path_of_a_raw_name_is_without_the_hashes() {
    assert_eq!(record(&r#move).path, "/move");
    assert_eq!(record(&r#move).name, "move");
    assert_eq!(record(&r#move).settings, EndpointOptions::NONE);
}
