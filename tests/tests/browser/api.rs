//! What scripts see through `EventSource`, `WebSocket` and `fetch`, and what the application hears of it.

use serde_json::{Value, json};

use super::chromium::{Browser, Page};
use super::server::TestServer;

fn open(browser: &mut Browser, server: &TestServer) -> Page {
    browser.page(&server.origin())
}

/// Waits until `script` has a value, and gives it.
fn value(browser: &mut Browser, page: &Page, script: &str) -> Value {
    browser.wait_until(page, &format!("({script}) != null"));
    browser.evaluate(page, script)
}

#[test]
fn an_event_source_gets_messages_and_comes_back_after_a_resume() {
    let Some(mut browser) = Browser::start() else { return };
    let server = TestServer::start();
    let page = open(&mut browser, &server);
    browser.evaluate(
        &page,
        "heard = []; source = new EventSource('/hold');
         source.onmessage = event => heard.push(event.data);
         for (const name of ['hold', 'binary', 'resumed', 'news', 'disconnected'])
           source.addEventListener(name, event => heard.push(`${name}: ${event.data}`));
         speak = text => fetch('/hold', {
           method: 'POST', body: text, headers: { 'Abeyance-Hold': heard.findLast(line => line.startsWith('hold: ')).slice(6) },
         }).then(answer => answer.status)",
    );
    browser.wait_until(&page, "heard.length === 1 && heard[0].startsWith('hold: ')");
    let hub = server.hub();
    assert_eq!(hub.publish("all", "one\r\ntwo\n"), 1);
    hub.publish("all", vec![0, 255]);
    hub.publish("all", abeyance::Message::from("named").named("news"));
    browser.wait_until(&page, "heard.length === 4");
    let heard = browser.evaluate(&page, "heard.slice(1)");
    assert_eq!(heard, json!(["one\ntwo\n", "binary: AP8=", "news: named"]));

    assert_eq!(browser.evaluate(&page, "speak('hello')"), 202);
    browser.wait_until(&page, "heard.at(-1) === 'heard hello'");

    // Resumed, it comes back by itself, as another hold.
    assert_eq!(browser.evaluate(&page, "speak('release')"), 202);
    browser.wait_until(&page, "heard.includes('resumed: released')");
    assert_eq!(server.next_end(), "/hold released");
    browser.wait_until(&page, "source.readyState === EventSource.OPEN && heard.at(-1).startsWith('hold: ')");
    assert_ne!(browser.evaluate(&page, "heard[0]"), browser.evaluate(&page, "heard.at(-1)"));

    assert_eq!(browser.evaluate(&page, "speak('kick')"), 202);
    browser.wait_until(&page, "heard.includes('disconnected: out')");
    assert_eq!(server.next_end(), "/hold kicked");
    browser.evaluate(&page, "source.close()");
    browser.close(page);
    server.close();
}

#[test]
fn an_evicted_event_source_waits_as_long_as_it_is_told() {
    let Some(mut browser) = Browser::start() else { return };
    let server = TestServer::start();
    let page = open(&mut browser, &server);
    browser.evaluate(
        &page,
        "times = {}; source = new EventSource('/evicting');
         source.addEventListener('hold', () => { times[times.evicted ? 'back' : 'first'] ??= performance.now(); });
         source.addEventListener('resumed', event => { times[event.data] = performance.now(); })",
    );
    browser.wait_until(&page, "times.first");
    // The newcomer is refused while the oldest is younger than a second.
    browser.evaluate(
        &page,
        "(async function ask() {
           const answer = await fetch('/evicting?transport=stream', { cache: 'no-store' });
           if (answer.status === 503) setTimeout(ask, 50); else newcomer = answer;
         })(); 0",
    );
    browser.wait_until(&page, "times.evicted");
    assert_eq!(server.next_end(), "/evicting evicted");
    browser.wait_until(&page, "times.back");
    let waited = browser.evaluate(&page, "times.back - times.evicted").as_f64().expect("a number");
    assert!((900.0..30_000.0).contains(&waited), "came back after {waited} ms, not 1 to 5 s");
    assert_eq!(server.next_end(), "/evicting evicted");
    browser.close(page);
    server.close();
}

const SOCKET: &str = "connect = (path, ...more) => {
    end = null; heard = []; socket = new WebSocket(path, ...more); socket.binaryType = 'arraybuffer';
    socket.onmessage = ({ data }) => heard.push(typeof data === 'string' ? data : [...new Uint8Array(data)]);
    socket.onclose = ({ code, reason, wasClean }) => { end = [code, reason, wasClean]; };
    return new Promise((open, failed) => { socket.onopen = () => open(socket.protocol); socket.onerror = () => open('failed'); });
}";

#[test]
fn a_web_socket_agrees_on_a_subprotocol() {
    let Some(mut browser) = Browser::start() else { return };
    let server = TestServer::start();
    let page = open(&mut browser, &server);
    browser.evaluate(&page, SOCKET);
    assert_eq!(browser.evaluate(&page, "connect('/hold', ['v1'])"), "v1");
    browser.evaluate(&page, "socket.close()");
    assert_eq!(browser.evaluate(&page, "connect('/hold', ['v2', 'v1'])"), "v1");
    browser.evaluate(&page, "socket.close()");
    assert_eq!(browser.evaluate(&page, "connect('/hold')"), "");
    browser.evaluate(&page, "socket.close()");
    // A browser does not stay where none of its subprotocols is spoken.
    assert_eq!(browser.evaluate(&page, "connect('/hold', ['v3'])"), "failed");
    browser.close(page);
    server.close();
}

#[test]
fn a_web_socket_is_told_why_it_was_closed() {
    let Some(mut browser) = Browser::start() else { return };
    let server = TestServer::start();
    let page = open(&mut browser, &server);
    browser.evaluate(&page, SOCKET);

    browser.evaluate(&page, "connect('/hold')");
    browser.evaluate(&page, "socket.send('hello'); socket.send(new Uint8Array([0, 255])); 0");
    browser.wait_until(&page, "heard.length === 2");
    assert_eq!(browser.evaluate(&page, "heard"), json!(["heard hello", [0, 255]]));
    browser.evaluate(&page, "socket.close(4100, 'enough')");
    assert_eq!(value(&mut browser, &page, "end"), json!([4100, "", true]));
    assert_eq!(server.next_end(), "/hold closed");

    for (said, end, cause) in [
        ("release", json!([1000, "released", true]), "released"),
        ("kick", json!([4001, "out", true]), "kicked"),
        ("object", json!([1008, "no such thing", true]), "kicked"),
        (&"x".repeat(1025), json!([1009, "too_large", true]), "too_large"),
    ] {
        browser.evaluate(&page, "connect('/hold')");
        browser.evaluate(&page, &format!("socket.send({said:?})"));
        assert_eq!(value(&mut browser, &page, "end"), end);
        assert_eq!(server.next_end(), format!("/hold {cause}"));
    }

    browser.evaluate(&page, "connect('/brief')");
    assert_eq!(value(&mut browser, &page, "end"), json!([1000, "timeout", true]));
    assert_eq!(server.next_end(), "/brief timeout");

    browser.evaluate(&page, "connect('/evicting')");
    browser.evaluate(
        &page,
        "(function ask() {
           newcomer = new WebSocket('/evicting');
           newcomer.onerror = () => setTimeout(ask, 50); // refused while the oldest is younger than a second
         })(); 0",
    );
    let end = value(&mut browser, &page, "end");
    let after = end[1].as_str().and_then(|reason| reason.strip_prefix("evicted; retry-after="));
    assert_eq!((&end[0], &end[2]), (&json!(1013), &json!(true)), "{end}");
    assert!(after.expect("a reason").parse::<u32>().is_ok_and(|ms| ms >= 1000), "{end}");
    assert_eq!(server.next_end(), "/evicting evicted");
    browser.close(page);
    server.close();
}

#[test]
fn a_page_polls_through_every_answer() {
    let Some(mut browser) = Browser::start() else { return };
    let server = TestServer::start();
    let page = open(&mut browser, &server);
    let hub = server.hub();
    // Two of one URL at a time: without `no-store` the browser would serialise them.
    browser.evaluate(
        &page,
        "poll = async path => {
           const answer = await fetch(path, { cache: 'no-store' });
           return [answer.status, await answer.text(), answer.headers.get('Retry-After') !== null];
         }; answers = []; 0",
    );
    assert_eq!(browser.evaluate(&page, "poll('/brief')"), json!([204, "", false]));
    assert_eq!(server.next_end(), "/brief timeout");

    browser.evaluate(&page, "for (const n of [1, 2]) poll('/hold').then(answer => answers.push(answer)); 0");
    browser.evaluate(&page, "done = n => new Promise(tell => { (function look() { answers.length >= n ? tell(answers) : setTimeout(look, 10); })(); })");
    while hub.publish("all", "news") == 0 {}
    assert_eq!(server.next_end(), "/hold answered");
    while browser.evaluate(&page, "answers.length") != 2 {
        hub.publish("all", "news");
    }
    assert_eq!(browser.evaluate(&page, "answers"), json!([[200, "news", false], [200, "news", false]]));
    assert_eq!(server.next_end(), "/hold answered");

    // Where one sits already, the second is sent away at once, and the first stays.
    browser.evaluate(&page, "answers = []; poll('/full').then(answer => answers.push(answer)); 0");
    while !hub.list().iter().any(|hold| hold.path == "/full") {}
    let full = json!([503, "too many held connections", true]);
    assert_eq!(browser.evaluate(&page, "poll('/full')"), full);
    assert_eq!(hub.publish("full", "still here"), 1);
    browser.wait_until(&page, "answers.length === 1");
    assert_eq!(browser.evaluate(&page, "answers[0]"), json!([200, "still here", false]));
    assert_eq!(server.next_end(), "/full answered");

    // And where the newcomer is preferred, the oldest is told so.
    browser.evaluate(&page, "answers = []; poll('/evicting').then(answer => answers.push(answer)); 0");
    while !hub.list().iter().any(|hold| hold.path == "/evicting") {}
    browser.evaluate(
        &page,
        "(async function ask() { if ((await poll('/evicting'))[1] === 'too many held connections') setTimeout(ask, 50); })(); 0",
    );
    browser.wait_until(&page, "answers.length === 1");
    assert_eq!(browser.evaluate(&page, "answers[0]"), json!([503, "evicted", true]));
    assert_eq!(server.next_end(), "/evicting evicted");
    browser.close(page);
    server.close();
}
