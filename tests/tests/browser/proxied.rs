//! Pages behind nginx as the README configures it, with TLS and without.

use abeyance_tests::net::Nginx;
use serde_json::json;

use super::chromium::Browser;
use super::server::TestServer;

#[test]
fn a_page_behind_the_proxy_of_the_readme_is_held_on_every_transport() {
    let Some(mut browser) = Browser::start() else { return };
    for scheme in ["http", "https"] {
        let server = TestServer::start();
        let nginx = match scheme {
            "http" => Nginx::before(&[server.local_addr()]),
            _ => Nginx::with_tls(&[server.local_addr()]),
        };
        let Some(nginx) = nginx else { return };
        let page = browser.page(&format!("{scheme}://{}/", nginx.addr));
        browser.evaluate(
            &page,
            "heard = []; note = kind => event => heard.push([kind, event.data]);
             socket = new WebSocket('/hold'.replace(/^/, location.origin.replace('http', 'ws')));
             socket.onopen = () => socket.send('from a page');
             socket.onmessage = note('socket');
             socket.onclose = ({ code, reason, wasClean }) => heard.push(['closed', code, reason, wasClean]);
             source = new EventSource('/hold');
             source.addEventListener('hold', ({ data }) => fetch('/hold', {
               method: 'POST', body: 'from the events', headers: { 'Abeyance-Hold': data },
             }));
             source.onmessage = note('events');
             fetch('/hold?transport=stream').then(async answer => {
               const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
               for (;;) { const { done, value } = await reader.read(); if (done) return; if (value.trim()) heard.push(['stream', value.trim()]); }
             });
             fetch('/hold?transport=long_poll', { cache: 'no-store' }).then(async answer => heard.push(['poll', await answer.text()])); 0",
        );
        browser.wait_until(
            &page,
            "heard.some(([kind, data]) => kind === 'socket' && data === 'heard from a page')",
        );
        browser.wait_until(
            &page,
            "heard.some(([kind, data]) => kind === 'events' && data === 'heard from the events')",
        );
        let hub = server.hub();
        abeyance_tests::net::eventually("four holds", || hub.held_count() == 4);
        while hub.publish("all", "news") < 4 {}
        for kind in ["socket", "events", "stream", "poll"] {
            browser.wait_until(
                &page,
                &format!("heard.some(([kind, data]) => kind === '{kind}' && data.includes('news'))"),
            );
        }
        assert_eq!(server.next_end(), "/hold answered");
        browser.evaluate(&page, "socket.send('kick'); 0");
        browser.wait_until(&page, "heard.some(([kind]) => kind === 'closed')");
        let closed = browser.evaluate(&page, "heard.find(([kind]) => kind === 'closed').slice(1)");
        assert_eq!(closed, json!([4001, "out", true]), "{scheme}");
        browser.close(page);
        assert_eq!(nginx.errors(), "");
        server.close();
    }
}
