//! Pages of another origin: a second server on another port.

use serde_json::json;

use super::chromium::Browser;
use super::server::House;

/// Tries each way from a page and says how each went.
fn attempts(to: &str) -> String {
    format!(
        "(async () => {{
           const went = {{}}, to = {to:?};
           went.socket = await new Promise(tell => {{
             const socket = new WebSocket(to.replace('http', 'ws') + '/guest');
             socket.onopen = () => {{ socket.close(); tell('open'); }};
             socket.onerror = () => tell('refused');
           }});
           let token;
           went.events = await new Promise(tell => {{
             const source = new EventSource(to + '/guest');
             source.addEventListener('hold', async event => {{
               token = event.data;
               const answer = await fetch(to + '/guest', {{ method: 'POST', body: 'release', headers: {{ 'Abeyance-Hold': token }} }});
               went.speak = answer.status;
             }});
             source.addEventListener('resumed', () => {{ source.close(); tell('open'); }});
             source.onerror = () => {{ source.close(); tell('refused'); }};
           }});
           const stop = new AbortController();
           went.stream = await fetch(to + '/guest?transport=stream', {{ cache: 'no-store', signal: stop.signal }})
             .then(answer => {{ stop.abort(); return answer.headers.get('Abeyance-Hold') ? 'open' : 'no token'; }}, () => 'refused');
           went.poll = await fetch(to + '/brief', {{ cache: 'no-store', headers: {{ 'Last-Event-ID': '7-1' }} }})
             .then(answer => answer.status, () => 'refused');
           return went;
         }})()"
    )
}

#[test]
fn a_page_of_another_origin_is_refused() {
    let Some(mut browser) = Browser::open() else { return };
    let (here, there) = (House::open(), House::open());
    let page = browser.page(&here.origin());
    let went = browser.evaluate(&page, &attempts(&there.origin()));
    assert_eq!(
        went,
        json!({ "socket": "refused", "events": "refused", "stream": "refused", "poll": "refused" })
    );
    assert_eq!(there.hub().tally().suspended, 0);
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
    let Some(mut browser) = Browser::open() else { return };
    let here = House::open();
    let there = House::open_to(&[here.origin()]);
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
