//! A page loses its connection again and again, and its server once: it comes back by itself, with its last id, and
//! shows every message once.

use std::net::SocketAddr;

use abeyance::{Hub, Retention, Server, ServerHandle, Suspend, suspend};
use abeyance_tests::net::eventually;
use axum::Router;
use axum::response::Html;
use axum::routing::get;
use serde_json::json;
use tokio::runtime::Runtime;

use super::chromium::{Browser, Page};

/// A page never says anything on an event stream, so each is cut by a reset in the middle of what is written.
#[suspend(path = "/feed", transports = [sse], max_idle = "500ms", heartbeat = "none")]
async fn feed() -> Suspend {
    Suspend::new().join("feed")
}

/// Starts it, once the port is free.
fn start(runtime: &Runtime, address: SocketAddr) -> ServerHandle {
    let keep = Retention::new().count(1_000_000).bytes(64 << 20);
    let mut running = None;
    eventually("a server", || {
        let page = Router::new().route("/", get(async || Html("<!doctype html><title>empty</title>")));
        let server = Server::new().mount(feed).topic("feed", keep).fallback(page);
        running = runtime.block_on(server.bind(address)).ok();
        running.is_some()
    });
    running.expect("waited for")
}

/// Publishes numbered messages, until the page was held so often; gives the next number.
fn publish_until(browser: &mut Browser, page: &Page, hub: &Hub, from: usize, holds: usize) -> usize {
    let mut number = from;
    while browser.evaluate(page, "holds").as_u64() < Some(holds as u64) {
        hub.publish("feed", format!("{number} {}", "x".repeat(number % 1_000)));
        number += 1;
    }
    number
}

/// Waits until the page has heard so many, and fails unless it is each of them once, in order.
fn assert_received(browser: &mut Browser, page: &Page, count: usize) {
    browser.wait_until(page, &format!("heard.length >= {count}"));
    let all = format!("heard.length === {count} && heard.every((number, place) => number === place)");
    assert!(browser.evaluate(page, &all) == true, "not {count} but {}", browser.evaluate(page, "heard"));
}

#[test]
fn an_event_source_that_loses_its_connections_and_its_server_shows_every_message_once() {
    let Some(mut browser) = Browser::start() else { return };
    let runtime = Runtime::new().expect("a runtime");
    let running = start(&runtime, ([127, 0, 0, 1], 0).into());
    let (address, hub) = (running.local_addr(), running.hub());
    let page = browser.page(&format!("http://{address}"));
    browser.evaluate(
        &page,
        "heard = []; holds = 0; resyncs = []; source = new EventSource('/feed');
         source.onmessage = event => heard.push(parseInt(event.data));
         source.addEventListener('hold', () => holds++);
         source.addEventListener('resync', event => resyncs.push([event.data, heard.length])); 0",
    );
    browser.wait_until(&page, "holds === 1");
    let count = publish_until(&mut browser, &page, &hub, 0, 3);
    assert_received(&mut browser, &page, count);
    assert_eq!(browser.evaluate(&page, "resyncs"), json!([]));
    assert!(hub.stats().ended("idle") >= 2, "{:?}", hub.stats());

    // As if it had crashed: no hold gets an ending.
    drop(running);
    let running = start(&runtime, address);
    let hub = running.hub();
    hub.publish("feed", "lost");
    browser.wait_until(&page, "resyncs.length");
    assert_eq!(browser.evaluate(&page, "resyncs"), json!([["missed", count]]));
    let held = browser.evaluate(&page, "holds").as_u64().expect("a number") as usize;
    let count = publish_until(&mut browser, &page, &hub, count, held + 1);
    assert_received(&mut browser, &page, count);
    assert_eq!(browser.evaluate(&page, "resyncs.length"), 1);
    browser.close(page);
    runtime.block_on(running.shutdown());
    let stats = hub.stats();
    assert_eq!((stats.held, stats.ending), (0, 0), "{stats:?}");
}
