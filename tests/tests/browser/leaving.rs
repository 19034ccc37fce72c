//! What a page sees through each of its doors when it is evicted, kicked, or the server drains.

use std::time::Duration;

use abeyance_tests::net::eventually;
use serde_json::{Value, json};

use super::chromium::{Browser, Page};
use super::server::TestServer;

/// Opens a door of each kind to a path, and notes what comes of it: events in `seen`, the last word in `end`.
const DOORS: &str = "seen = []; end = null;
    open_events = path => new Promise(open => {
      const source = new EventSource(path);
      source.addEventListener('hold', open);
      for (const kind of ['resumed', 'disconnected'])
        source.addEventListener(kind, event => { end = [kind, event.data]; source.close(); });
    });
    open_socket = path => new Promise(open => {
      const socket = new WebSocket(path);
      socket.onopen = open;
      socket.onclose = ({ code, reason, wasClean }) => { end = [code, reason, wasClean]; };
    });
    open_stream = async path => {
      const answer = await fetch(path + '?transport=stream', { cache: 'no-store' });
      const reader = answer.body.getReader();
      (async () => { try { while (!(await reader.read()).done); end = ['whole']; } catch { end = ['cut']; } })();
    };
    open_poll = async path => {
      fetch(path + '?transport=long_poll', { cache: 'no-store' }).then(async answer => {
        end = [answer.status, await answer.text(), answer.headers.get('Retry-After') !== null];
      });
    }; 0";

const KINDS: [&str; 4] = ["events", "socket", "stream", "poll"];

/// A page whose door of this kind is held at a path.
fn held(browser: &mut Browser, server: &TestServer, kind: &str, path: &str) -> Page {
    let page = browser.page(&server.origin());
    browser.evaluate(&page, DOORS);
    browser.evaluate(&page, &format!("open_{kind}({path:?}); 0"));
    eventually("a hold", || server.hub().list().iter().any(|listed| listed.path == path));
    page
}

/// What the page saw last; of a reason that says when to come back, only that it does.
fn end(browser: &mut Browser, page: &Page) -> Value {
    browser.wait_until(page, "end !== null");
    browser.evaluate(page, "end.map(word => typeof word === 'string' ? word.replace(/retry-after=[0-9]{4,}$/, 'retry-after') : word)")
}

#[test]
fn a_kicked_page_is_told_so_on_every_transport() {
    let Some(mut browser) = Browser::start() else { return };
    let server = TestServer::start();
    for (kind, told) in KINDS.into_iter().zip([
        json!(["disconnected", "too loud"]),
        json!([1008, "too loud", true]),
        // A stream has no place for it.
        json!(["whole"]),
        json!([410, "too loud", false]),
    ]) {
        let page = held(&mut browser, &server, kind, "/hold");
        let hub = server.hub();
        hub.list().iter().for_each(|listed| assert!(hub.disconnect(listed.id, "too loud")));
        assert_eq!(end(&mut browser, &page), told, "{kind}");
        assert_eq!(server.next_end(), "/hold kicked");
        browser.close(page);
    }
    server.close();
}

#[test]
fn an_evicted_page_is_told_so_on_every_transport() {
    let Some(mut browser) = Browser::start() else { return };
    let server = TestServer::start();
    for (kind, told) in KINDS.into_iter().zip([
        json!(["resumed", "evicted"]),
        json!([1013, "evicted; retry-after", true]),
        json!(["whole"]),
        json!([503, "evicted", true]),
    ]) {
        let page = held(&mut browser, &server, kind, "/evicting");
        eventually("one that is old enough", || {
            server.hub().list().iter().any(|listed| listed.held_for > Duration::from_millis(1_100))
        });
        let newcomer = browser.page(&server.origin());
        browser.evaluate(&newcomer, DOORS);
        browser.evaluate(&newcomer, "open_events('/evicting')");
        assert_eq!(end(&mut browser, &page), told, "{kind}");
        assert_eq!(server.next_end(), "/evicting evicted");
        browser.close(newcomer);
        assert_eq!(server.next_end(), "/evicting gone");
        browser.close(page);
    }
    server.close();
}

#[test]
fn a_page_of_a_server_that_stops_is_told_when_to_come_back_on_every_transport() {
    let Some(mut browser) = Browser::start() else { return };
    for (kind, told) in KINDS.into_iter().zip([
        json!(["resumed", "drained"]),
        json!([1001, "drained; retry-after", true]),
        json!(["whole"]),
        json!([503, "drained", true]),
    ]) {
        let server = TestServer::start();
        let page = held(&mut browser, &server, kind, "/hold");
        server.close();
        assert_eq!(end(&mut browser, &page), told, "{kind}");
        browser.close(page);
    }
}
