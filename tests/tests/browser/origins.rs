//! Pages of another origin: a second server on another port.

use serde_json::json;

use super::chromium::Browser;
use super::server::TestServer;

/// Tries each way from a page and says how each went.
fn attempts(to: &str) -> String {
    format!(
        "(async () => {{
           const went = {{}}, to = {to:?};
           went.socket = await new Promise(tell => {{
             const socket = new WebSocket(to.replace('http', 'ws') + '/hold');
             socket.onopen = () => {{ socket.close(); tell('open'); }};
             socket.onerror = () => tell('refused');
           }});
           let token;
           went.events = await new Promise(tell => {{
             const source = new EventSource(to + '/hold');
             source.addEventListener('hold', async event => {{
               token = event.data;
               const answer = await fetch(to + '/hold', {{ method: 'POST', body: 'release', headers: {{ 'Abeyance-Hold': token }} }});
               went.speak = answer.status;
             }});
             source.addEventListener('resumed', () => {{ source.close(); tell('open'); }});
             source.onerror = () => {{ source.close(); tell('refused'); }};
           }});
           const stop = new AbortController();
           went.stream = await fetch(to + '/hold?transport=stream', {{ cache: 'no-store', signal: stop.signal }})
             .then(answer => {{ stop.abort(); return answer.headers.get('Abeyance-Hold') ? 'open' : 'no token'; }}, () => 'refused');
           went.poll = await fetch(to + '/brief', {{ cache: 'no-store', headers: {{ 'Last-Event-ID': '7-1' }} }})
             .then(answer => answer.status, () => 'refused');
           return went;
         }})()"
    )
}

#[test]
fn a_page_of_another_origin_is_refused() {
    let Some(mut browser) = Browser::start() else { return };
    let (here, there) = (TestServer::start(), TestServer::start());
    let page = browser.page(&here.origin());
    let went = browser.evaluate(&page, &attempts(&there.origin()));
    assert_eq!(
        went,
        json!({ "socket": "refused", "events": "refused", "stream": "refused", "poll": "refused" })
    );
    assert_eq!(there.hub().stats().suspended, 0);
    // A script cannot see the status of what it may not read, so ask without its page.
    let answer = there.ask(&here.origin());
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    for host in [here.origin(), there.origin().replace("http://", "")] {
        assert!(answer.contains(&host), "{host} is not in: {answer}");
    }
    browser.close(page);
    here.close();
    there.close();
}

#[test]
fn a_page_of_an_allowed_origin_does_what_an_own_page_does() {
    let Some(mut browser) = Browser::start() else { return };
    let here = TestServer::start();
    let there = TestServer::start_to(&[here.origin()]);
    let page = browser.page(&here.origin());
    let went = browser.evaluate(&page, &attempts(&there.origin()));
    assert_eq!(
        went,
        json!({ "socket": "open", "events": "open", "speak": 202, "stream": "open", "poll": 204 })
    );
    let own = browser.evaluate(&page, &attempts(&here.origin()));
    assert_eq!(own, went);
    browser.close(page);
    here.close();
    there.close();
}

#[test]
fn a_page_of_an_allowed_origin_may_send_what_is_allowed_and_read_why_it_is_refused() {
    let Some(mut browser) = Browser::start() else { return };
    let here = TestServer::start();
    let origin = here.origin();
    let there =
        TestServer::start_with(|server| server.allowed_origins([origin]).allowed_headers(["X-CSRF-Token"]));
    let page = browser.page(&here.origin());
    let went = browser.evaluate(
        &page,
        &format!(
            "(async () => {{
               const went = {{}}, to = {:?};
               const ask = (path, headers) => fetch(to + path, {{ cache: 'no-store', headers }})
                 .then(answer => answer.status, () => 'refused');
               went.token = await ask('/brief', {{ 'X-CSRF-Token': 'x' }});
               went.other = await ask('/brief', {{ 'X-Other': 'x' }});
               const first = new EventSource(to + '/once');
               await new Promise(tell => first.addEventListener('hold', tell));
               // It is refused behind its function, which said whose it is.
               went.second = await ask('/once', {{}});
               first.close();
               return went;
             }})()",
            there.origin()
        ),
    );
    assert_eq!(went, json!({ "token": 204, "other": "refused", "second": 429 }));
    browser.close(page);
    here.close();
    there.close();
}

#[test]
fn a_page_without_an_origin_connects_where_all_may_but_never_with_credentials() {
    let Some(mut browser) = Browser::start() else { return };
    let here = TestServer::start();
    let (all, null) = (
        TestServer::start_with(|server| server.allowed_origins(["*"])),
        TestServer::start_with(|server| server.allowed_origins(["null"])),
    );
    let page = browser.page(&here.origin());
    let mut tried = |to: &TestServer| {
        let script = format!(
            "const to = {:?};
             const ask = credentials => fetch(to + '/brief', {{ cache: 'no-store', credentials }})
               .then(answer => answer.status, () => 'refused');
             const socket = new Promise(tell => {{
               const socket = new WebSocket(to.replace('http', 'ws') + '/hold');
               socket.onopen = () => {{ socket.close(); tell('open'); }};
               socket.onerror = () => tell('refused');
             }});
             Promise.all([ask('omit'), ask('include'), socket]).then(went => parent.postMessage(went, '*'));",
            to.origin()
        );
        // A sandboxed frame has the origin `null`.
        browser.evaluate(
            &page,
            &format!(
                "new Promise(tell => {{
                   addEventListener('message', event => tell(event.data), {{ once: true }});
                   const frame = document.createElement('iframe');
                   frame.sandbox = 'allow-scripts';
                   frame.srcdoc = '<script>' + {} + '</' + 'script>';
                   document.body.append(frame);
                 }})",
                json!(script)
            ),
        )
    };
    assert_eq!(tried(&all), json!([204, "refused", "open"]));
    assert_eq!(tried(&null), json!([204, 204, "open"]));
    assert_eq!(tried(&here), json!(["refused", "refused", "refused"]));
    browser.close(page);
    here.close();
    all.close();
    null.close();
}
