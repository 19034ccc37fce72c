//! Evictions that say "stay away": what each client is told, and that the clients who obey settle.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use abeyance::extract::{LastEventId, Query, State};
use abeyance::{Refusal, Resume, Retention, Suspend, Transport, WhenEvicted, suspend};
use abeyance_tests::event_reader::EventReader;
use abeyance_tests::reader::{Answer, Reader};
use abeyance_tests::test_context::TestContext;
use abeyance_tests::test_server::{QueryParams, TestEndpoint, TestServer, test_server, until};
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::seconds;

/// How many tabs of one user may be held.
const PLACES: usize = 5;

#[suspend(path = "/tabs", max_per_key = 5, when_full = "resume_oldest", when_evicted = "stay_away")]
async fn tabs(
    State(endpoint): State<TestEndpoint>,
    Query(asked): Query<QueryParams>,
) -> Result<Suspend<TestContext>, Refusal> {
    endpoint.hold(asked).await
}

#[suspend(path = "/turns", max_per_key = 5, when_full = "resume_oldest")]
async fn turns(
    State(endpoint): State<TestEndpoint>,
    Query(asked): Query<QueryParams>,
) -> Result<Suspend<TestContext>, Refusal> {
    endpoint.hold(asked).await
}

/// Says otherwise for this hold than its endpoint does; and what its client brought back.
#[suspend(path = "/own", max_per_key = 1, when_full = "resume_oldest")]
async fn own(
    State(endpoint): State<TestEndpoint>,
    LastEventId(last): LastEventId,
    Query(asked): Query<QueryParams>,
) -> Result<Suspend<TestContext>, Refusal> {
    let is_asked = asked.contains_key("tell");
    let suspend = endpoint.hold(asked).await?.when_evicted(WhenEvicted::StayAway);
    Ok(if is_asked { suspend.reply(format!("came with {last:?}")) } else { suspend })
}

fn open() -> TestServer {
    let keep = Retention::new().age(seconds(3600));
    test_server()
        .server(|server| server.mount(tabs).mount(turns).mount(own).topic("news", keep))
        .hold(|hold| {
            hold.join("news").timeout(seconds(7000)).max_idle(seconds(7200)).heartbeat(seconds(3600))
        })
        .start()
}

fn stay_away(transport: Transport) -> &'static str {
    match transport {
        Transport::WebSocket => "1008 evicted",
        Transport::Sse => "retry disconnected evicted, last",
        Transport::Stream => "last",
        _ => "410 evicted",
    }
}

contract!(an_ending_tells_the_client_to_stay_away of all);
async fn an_ending_tells_the_client_to_stay_away(transport: Transport) {
    let server = open();
    let mut clients = Vec::new();
    for _ in 0..=PLACES {
        clients.push(server.request(transport).path("/tabs").query("key=ada").hold().await);
        sleep(seconds(2)).await;
    }
    assert_eq!(clients[0].end().await, stay_away(transport));
    let told = server.nth_end(1).await;
    assert_eq!(told.end, Resume::Evicted.into(), "the same cause");
    assert!(told.ended.is_delivered());
    assert_eq!((server.hub.held_count(), server.hooks.causes().len()), (PLACES, 1));
    server.close().await;
}

contract!(one_hold_may_say_otherwise_than_its_endpoint of all);
async fn one_hold_may_say_otherwise_than_its_endpoint(transport: Transport) {
    let server = open();
    let request = || server.request(transport).path("/own").query("key=ada");
    let mut first = request().hold().await;
    sleep(seconds(2)).await;
    let _second = request().hold().await;
    assert_eq!(first.end().await, stay_away(transport));
    server.close().await;
}

/// What an `EventSource` of a page that does nothing has seen.
#[derive(Default)]
struct Seen {
    opens: Cell<usize>,
    requests: Cell<usize>,
    is_closed: Cell<bool>,
}

/// Asks for events, with the id that the client was given last.
async fn ask(server: &TestServer, path: &str, port: u16, id: Option<&str>) -> Reader {
    let from = SocketAddr::from(([10, 0, 0, 1], port));
    let mut reader = Reader::new(server.dialer.connect(from).expect("the server listens"));
    let id = id.map_or(String::new(), |id| format!("last-event-id: {id}\r\n"));
    reader.write(format!("GET {path} HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n{id}\r\n")).await;
    reader
}

/// An `EventSource`: it comes back after each end with the id that it was given last, after the wait that it was told, and
/// is closed for good by a status other than 200.
async fn event_source(server: &TestServer, path: &str, port: u16, seen: &Seen) {
    let (mut id, mut retry) = (None, seconds(3));
    loop {
        let mut reader = ask(server, path, port, id.as_deref()).await;
        seen.requests.set(seen.requests.get() + 1);
        if reader.head().await.expect("a head").status != 200 {
            seen.is_closed.set(true);
            return;
        }
        seen.opens.set(seen.opens.get() + 1);
        let mut events = EventReader::default();
        while !events.is_over() {
            events.feed(&reader.some(1 << 10).await.expect("a body"));
        }
        id = events.last_event_id.or(id);
        retry = events.retry.unwrap_or(retry);
        sleep(retry).await;
    }
}

/// One tab after the other is opened; then most of a minute passes. Gives how often each was opened and how many are closed.
async fn six_tabs(server: &Rc<TestServer>, path: &'static str) -> (usize, usize, usize) {
    let tabs: Vec<_> = (0..=PLACES).map(|_| Rc::new(Seen::default())).collect();
    let local = LocalSet::new();
    for (tab, port) in tabs.iter().zip(1..) {
        let (tab, server) = (tab.clone(), server.clone());
        local.spawn_local(async move {
            sleep(Duration::from_secs(2) * u32::from(port)).await;
            event_source(&server, path, port, &tab).await;
        });
    }
    local.run_until(sleep(seconds(60))).await;
    let opens = |tabs: &[Rc<Seen>]| tabs.iter().map(|tab| tab.opens.get()).sum::<usize>();
    let requests = tabs.iter().map(|tab| tab.requests.get()).sum::<usize>();
    (opens(&tabs), requests, tabs.iter().filter(|tab| tab.is_closed.get()).count())
}

#[tokio::test(start_paused = true)]
async fn six_tabs_for_five_places_settle_though_no_page_does_anything() {
    let server = Rc::new(open());
    let (opens, requests, closed) = six_tabs(&server, "/tabs?key=ada").await;
    // The one that was evicted came back once, and was closed for good.
    assert_eq!((opens, requests, closed), (6, 7, 1));
    until("the end of all", || server.hub.held_count() == 0).await;
    assert_eq!(server.hub.stats().ended("evicted"), 1);
    assert_eq!(server.hooks.holds().len(), 6, "its function did not run");
    Rc::into_inner(server).expect("the tabs are gone").close().await;
}

#[tokio::test(start_paused = true)]
async fn six_tabs_for_five_places_that_may_come_back_take_turns() {
    let server = Rc::new(open());
    let (opens, _, closed) = six_tabs(&server, "/turns?key=ada").await;
    assert!(opens > 10 && closed == 0, "{opens} opened, {closed} closed");
    until("the end of all", || server.hub.held_count() == 0).await;
    Rc::into_inner(server).expect("the tabs are gone").close().await;
}

/// Evicts one that was held on `/tabs`, and gives the id of its last event.
async fn evicted(server: &TestServer) -> String {
    let mut first = ask(server, "/tabs?key=ada", 1, None).await;
    assert_eq!(first.head().await.expect("a head").status, 200);
    sleep(seconds(2)).await;
    let mut others = Vec::new();
    for port in 2..=PLACES as u16 + 1 {
        let mut other = ask(server, "/tabs?key=ada", port, None).await;
        assert_eq!(other.head().await.expect("a head").status, 200);
        others.push(other);
    }
    let mut events = EventReader::default();
    while !events.is_over() {
        events.feed(&first.some(1 << 10).await.expect("a body"));
    }
    let told: Vec<_> =
        std::iter::from_fn(|| events.next_event()).map(|event| event.kind + " " + &event.data).collect();
    assert_eq!(told.last().map(String::as_str), Some("disconnected evicted"), "{told:?}");
    drop(others);
    until("the end of the others", || server.hub.held_count() == 0).await;
    events.last_event_id.expect("an id")
}

#[tokio::test(start_paused = true)]
async fn a_page_that_comes_back_because_its_user_says_so_gets_what_it_missed() {
    let server = open();
    let id = evicted(&server).await;
    server.hub.publish("news", "missed");

    // The same `EventSource` again, and on any path.
    for path in ["/tabs?key=ada", "/hold", "/tabs?key=ada&last_event_id=x"] {
        let answer: Answer = ask(&server, path, 9, Some(&id)).await.answer().await.expect("an answer");
        assert_eq!((answer.head.status, answer.body.as_str()), (204, ""), "{path}");
        assert_eq!(answer.head.get("cache-control"), Some("no-store"));
    }
    assert_eq!(server.hub.held_count(), 0);

    // A new one has no such header; it may say where the old one was.
    for (query, missed) in [(format!("last_event_id={id}"), &["missed"][..]), ("none".into(), &[])] {
        let mut reader = ask(&server, &format!("/tabs?key=ada&{query}"), 9, None).await;
        assert_eq!(reader.head().await.expect("a head").status, 200);
        until("a hold", || server.hub.held_count() == 1).await;
        server.hooks.newest().resume();
        let mut events = EventReader::default();
        while !events.is_over() {
            events.feed(&reader.some(1 << 10).await.expect("a body"));
        }
        let messages: Vec<_> =
            std::iter::from_fn(|| events.next_event()).filter(|event| event.kind.is_empty()).collect();
        let texts: Vec<_> = messages.iter().map(|event| event.data.as_str()).collect();
        assert_eq!(texts, missed);
    }

    // The function hears where its client was, without the mark.
    let mut reader = ask(&server, &format!("/own?tell=1&last_event_id={id}"), 9, None).await;
    assert_eq!(reader.head().await.expect("a head").status, 200);
    until("a hold", || server.hub.held_count() == 1).await;
    server.hooks.newest().resume();
    let (body, _) = reader.rest().await;
    let (_, behind) = id.split_once('/').expect("where it was stands behind the mark");
    assert!(String::from_utf8_lossy(&body).contains(&format!("came with Some(\"{behind}\")")), "{body:?}");
    server.close().await;
}

/// A poll or a WebSocket that carries the mark is no `EventSource` that comes back by itself.
#[tokio::test(start_paused = true)]
async fn only_an_event_source_is_kept_away_by_its_id() {
    let server = open();
    for transport in [Transport::WebSocket, Transport::Stream, Transport::LongPoll] {
        let request = server.request(transport).field("last-event-id", "abeyance-stay-away");
        let client = request.hold().await;
        drop(client);
        until("the end", || server.hub.held_count() == 0).await;
    }
    server.close().await;
}
