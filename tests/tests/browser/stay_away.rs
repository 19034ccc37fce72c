//! Pages that are one too many, and are told to stay away: each is closed for good, by itself or by its browser.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use abeyance::{End, Ended, Lifecycle, Retention, Server, Suspend, Transport, suspend};
use abeyance_tests::net::eventually;
use axum::Router;
use axum::response::Html;
use axum::routing::get;
use serde_json::json;
use tokio::runtime::Runtime;

use super::chromium::Browser;

#[suspend(path = "/seat", max_per_key = 2, when_full = "resume_oldest", when_evicted = "stay_away")]
async fn seat() -> Suspend<Seat> {
    Suspend::with(Seat).join("seat").key("ada")
}

struct Seat;

/// How many end hooks have run.
static ENDS: AtomicU64 = AtomicU64::new(0);

impl Lifecycle for Seat {
    async fn on_end(self, _: &Ended, _: End) {
        ENDS.fetch_add(1, Relaxed);
    }
}

#[test]
fn three_event_sources_for_two_places_settle_and_a_new_one_gets_what_was_missed() {
    let Some(mut browser) = Browser::start() else { return };
    let runtime = Runtime::new().expect("a runtime");
    let page = Router::new().route("/", get(async || Html("<!doctype html><title>empty</title>")));
    let server = Server::new().mount(seat).topic("seat", Retention::default()).fallback(page);
    let running = runtime.block_on(server.bind("127.0.0.1:0")).expect("a server");
    let hub = running.hub();
    let page = browser.page(&format!("http://{}", running.local_addr()));
    // This page does nothing but look on.
    browser.evaluate(
        &page,
        "seen = []; requests = 0;
         look = (name, url) => {
           const source = new EventSource(url);
           for (const kind of ['hold', 'disconnected', 'resumed', 'resync', 'message'])
             source.addEventListener(kind, event => seen.push([name, kind, event.data, event.lastEventId]));
           source.onerror = () => seen.push([name, 'error', source.readyState]);
           return source;
         };
         a = look('a', '/seat'); 0",
    );
    browser.wait_until(&page, "seen.some(([name, kind]) => name === 'a' && kind === 'hold')");
    // Who was held for less than a second is not evicted.
    let old_enough = || {
        eventually("one that is old enough", || {
            hub.list().iter().any(|listed| listed.held_for >= Duration::from_millis(1_100))
        });
    };
    old_enough();
    browser.evaluate(&page, "b = look('b', '/seat'); 0");
    browser.wait_until(&page, "seen.some(([name, kind]) => name === 'b' && kind === 'hold')");
    browser.evaluate(&page, "c = look('c', '/seat'); 0");
    browser.wait_until(&page, "seen.some(([name, kind]) => name === 'c' && kind === 'hold')");
    browser.wait_until(&page, "a.readyState === EventSource.CLOSED");
    let told =
        "seen.filter(([name, kind]) => name === 'a' && kind !== 'hold').map(event => event.slice(1, 3))";
    // It lost its connection, came back by itself (connecting: 0), and was refused (closed: 2).
    assert_eq!(
        browser.evaluate(&page, told),
        json!([["disconnected", "evicted"], ["error", 0], ["error", 2]])
    );
    assert_eq!((hub.held_count(), hub.stats().ended("evicted"), hub.stats().suspended), (2, 1, 3));
    assert_eq!(
        browser.evaluate(&page, "[b, c].map(source => source.readyState)"),
        json!([1, 1]),
        "the others do not notice"
    );

    // Its user wants it back: a new one, from where the old one was.
    hub.publish("seat", "missed");
    browser.evaluate(&page, "b.close(); 0");
    eventually("a place", || hub.held_count() == 1);
    let again = "d = look('d', '/seat?last_event_id=' +
        encodeURIComponent(seen.find(([name, kind]) => name === 'a' && kind === 'disconnected')[3])); 0";
    browser.evaluate(&page, again);
    browser.wait_until(&page, "seen.some(([name, kind, data]) => name === 'd' && data === 'missed')");
    assert_eq!(browser.evaluate(&page, "seen.filter(([, kind]) => kind === 'resync').length"), 0);
    assert!(hub.list().iter().all(|listed| listed.transport == Transport::Sse));
    browser.close(page);
    runtime.block_on(running.shutdown());
    assert_eq!(ENDS.load(Relaxed), hub.stats().suspended, "each hold has one end");
}
