//! Peers that leave with a goodbye, or before they are held. (All other ways to leave are in `faults`.)

use abeyance::extract::State;
use abeyance::{Disconnect, End, Server, Suspend, Transport, suspend};
use abeyance_tests::net::{HookRecorder, Peer, RecordingContext, TRANSPORTS, TcpTestServer, curl, frame};

// No heartbeat and only long timeouts: what is noticed here was noticed on the socket.
#[suspend(path = "/hold", timeout = "1h", max_idle = "2h", heartbeat = "none")]
async fn hold(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    Suspend::with(hooks.context())
}

fn start() -> (TcpTestServer, HookRecorder) {
    let hooks = HookRecorder::default();
    let server = Server::new().state(hooks.clone()).mount(hold);
    (TcpTestServer::start(server), hooks)
}

#[test]
fn a_peer_that_closes_its_side_before_it_is_held_is_noticed() {
    let (server, hooks) = start();
    for transport in TRANSPORTS {
        let mut peer = Peer::connect(server.addr);
        peer.ask("/hold", transport);
        peer.fin();
        // hyper may see the FIN with the request; then nothing was held, and nothing may be told.
        peer.read_to_end();
        server.until_all_ended(&hooks);
    }
    let stats = server.hub.stats();
    hooks.wait("an end for each hold", |calls| (calls.ends.len() as u64 == stats.suspended).then_some(()));
    assert_eq!(stats.ended("gone"), stats.suspended, "{stats:?}");
}

#[test]
fn a_websocket_closes_with_and_without_a_code() {
    let (server, hooks) = start();
    let goodbyes: [(&[u8], Option<u16>, &str); 3] =
        [(b"", None, ""), (b"\x03\xe8", Some(1000), ""), (b"\x0f\xa1so long", Some(4001), "so long")];
    for (payload, code, reason) in goodbyes {
        let mut peer = Peer::hold(server.addr, "/hold", Transport::WebSocket);
        peer.send(frame(0x88, payload));
        let (end, ended) = hooks.end_of(peer.local_addr());
        let End::Disconnect(Disconnect::Closed { code: given, reason: said, .. }) = end else {
            panic!("{payload:?} ended as {end:?}");
        };
        assert_eq!((given, &*said), (code, reason));
        assert!(peer.frame().is_some_and(|echo| echo.first == 0x88), "a close is answered with a close");
        assert_eq!(peer.read_to_end(), (Vec::new(), true), "then the server closes");
        assert_eq!(ended.messages_out(), 0);
    }
    server.until_all_ended(&hooks);
}

#[test]
fn a_delete_with_the_token_closes_the_hold() {
    let (server, hooks) = start();
    for transport in [Transport::Sse, Transport::Stream] {
        let mut peer = Peer::connect(server.addr);
        peer.ask("/hold", transport);
        let head = peer.head();
        let token = head.header("abeyance-hold").expect("a token");
        let delete = |token: &str| {
            let url = server.url(&format!("/hold?hold={token}"));
            String::from_utf8(curl(&["-X", "DELETE", &url, "-o", "/dev/null", "-w", "%{http_code}"]).stdout)
        };
        assert_eq!(delete("unknown").unwrap(), "404");
        assert_eq!(server.hub.held_count(), 1, "no other hold ends");
        assert_eq!(delete(token).unwrap(), "204");
        let goodbye = hooks.end_of(peer.local_addr()).0;
        assert!(matches!(goodbye, End::Disconnect(Disconnect::Closed { code: None, .. })), "{goodbye:?}");
        assert_eq!(delete(token).unwrap(), "404");
    }
    server.until_all_ended(&hooks);
}
