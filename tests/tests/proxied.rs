//! Behind nginx as the README configures it, and behind two of them: every transport passes, a page of the site is of the
//! site, and the client is known by its own address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use abeyance::extract::{ClientIp, State};
use abeyance::{Server, Suspend, Transport, suspend};
use abeyance_tests::net::{
    HookRecorder, Nginx, Peer, RecordingContext, TRANSPORTS, TcpTestServer, curl, eventually, frame,
};

#[suspend(path = "/hold", timeout = "30m", max_idle = "1h", heartbeat = "none")]
async fn hold(State(hooks): State<HookRecorder>, ClientIp(client): ClientIp) -> Suspend<RecordingContext> {
    Suspend::with(hooks.context()).join("news").key(client.to_string())
}

#[suspend(path = "/brief", timeout = "200ms", heartbeat = "none")]
async fn brief() -> Suspend {
    Suspend::new()
}

fn start(hooks: &HookRecorder) -> TcpTestServer {
    let server = Server::new().state(hooks.clone()).trusted_proxies(["127.0.0.1"]);
    TcpTestServer::start(server.mount(hold).mount(brief))
}

/// An address that only the client has.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 9, 9, 9);

/// Asks to be held, as a browser does for a page of this host.
fn ask(proxy: SocketAddr, host: &str, transport: Transport, more: &str) -> Peer {
    let mut peer = Peer::connect_from(CLIENT.into(), proxy, None).expect("a connection");
    let upgrade = match transport {
        Transport::WebSocket => {
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        }
        _ => "",
    };
    let transport = transport.as_str();
    peer.send(format!(
        "GET /hold?transport={transport} HTTP/1.1\r\nHost: {host}\r\nOrigin: https://{host}\r\n{upgrade}{more}\r\n"
    ));
    peer
}

/// Has a hold of each transport hear, speak and leave, through what listens there.
fn pass(server: &TcpTestServer, hooks: &HookRecorder, proxy: SocketAddr, host: &str, more: &str) {
    for transport in TRANSPORTS {
        let mut peer = ask(proxy, host, transport, more);
        peer.begin(transport);
        server.until_held(1);
        // Being held comes a moment before hearing.
        eventually("one who hears", || server.hub.publish("news", "hello") == 1);
        match transport {
            Transport::WebSocket => assert_eq!(peer.frame().expect("a message").payload, b"hello"),
            Transport::LongPoll => assert_eq!(peer.answer().text(), "hello"),
            _ => assert!(peer.read_until(b"hello").len() >= 5),
        }
        if transport == Transport::WebSocket {
            peer.send(frame(0x81, b"from a page"));
            hooks.wait("a message", |calls| {
                calls.messages.iter().any(|heard| heard.as_text() == Some("from a page")).then_some(())
            });
        }
        // By its own address, not by what it or the proxies wrote.
        let key = IpAddr::from(CLIENT).to_string();
        if transport != Transport::LongPoll {
            assert_eq!(server.hub.resume_key(&key), 1, "{transport:?}");
            drop(peer);
        }
        server.until_quiet();
        let peer = hooks.read(|calls| calls.ends.last().map(|(_, ended)| ended.peer().ip()));
        assert_eq!(peer, Some(CLIENT.into()), "{transport:?}");
    }
}

#[test]
fn every_transport_passes_the_proxy_of_the_readme() {
    let hooks = HookRecorder::default();
    let server = start(&hooks);
    let Some(nginx) = Nginx::before(&[server.addr]) else { return };
    pass(&server, &hooks, nginx.addr, "chat.example", "");
    pass(&server, &hooks, nginx.addr, "chat.example:8443", "X-Forwarded-For: 203.0.113.7\r\n");
    assert_eq!(nginx.errors(), "");
}

#[test]
fn every_transport_passes_two_proxies() {
    let hooks = HookRecorder::default();
    let server = start(&hooks);
    let Some(inner) = Nginx::before(&[server.addr]) else { return };
    let Some(outer) = Nginx::before(&[inner.addr]) else { return };
    pass(&server, &hooks, outer.addr, "chat.example", "X-Forwarded-For: 203.0.113.7, 127.0.0.1\r\n");
    assert_eq!(outer.errors() + &inner.errors(), "");
}

#[test]
fn of_proxies_that_change_the_host_the_first_one_says_what_it_was() {
    let hooks = HookRecorder::default();
    let server = start(&hooks);
    let host = "proxy_set_header Host $http_host;";
    let renamed = "proxy_set_header Host inner.example; proxy_set_header X-Forwarded-Host $http_host;";
    let appends = "proxy_set_header Host upstream.example; \
                   proxy_set_header X-Forwarded-Host \"$http_x_forwarded_host, $http_host\";";
    let Some(inner) = Nginx::before_with(&[server.addr], &[(host, appends)]) else { return };
    let Some(outer) = Nginx::before_with(&[inner.addr], &[(host, renamed)]) else { return };
    pass(&server, &hooks, outer.addr, "chat.example", "");
    // Through the inner proxy alone no header says so: a page of the outer host is of another site.
    let mut stranger = ask(inner.addr, "inner.example", Transport::WebSocket, "X-Forwarded-Host: other\r\n");
    assert_eq!(stranger.head().status, 403);
}

#[test]
fn a_proxy_with_tls_answers_a_third_party_client() {
    let hooks = HookRecorder::default();
    let server = start(&hooks);
    let Some(nginx) = Nginx::with_tls(&[server.addr]) else { return };
    let port = nginx.addr.port();
    let resolve = format!("chat.example:{port}:127.0.0.1");
    let url = format!("https://chat.example:{port}/brief?transport=long_poll");
    let arguments = ["--insecure", "--resolve", &resolve, "--write-out", "%{http_code}", &url];
    assert_eq!(curl(&arguments).stdout, b"204");
    eventually("an end", || server.hub.stats().ended("timeout") == 1);
    server.until_quiet();
}
