//! Peers that leave, in every way there is: noticed at once, without a write of ours, and told with the true cause.

use std::time::Duration;

use abeyance::extract::State;
use abeyance::{Disconnect, End, Ended, Held, Lifecycle, Message, Server, Suspend, Transport, suspend};
use abeyance_tests::net::{Diary, Peer, Site, TRANSPORTS, Witness, curl, frame};
use tokio::time::Instant;

// No heartbeat and no near deadline: whatever is noticed here was noticed by looking at the socket.
#[suspend(path = "/hold", timeout = "1h", max_idle = "2h", heartbeat = "none")]
async fn hold(State(diary): State<Diary>) -> Suspend<Witness> {
    Suspend::with(diary.witness())
}

/// A context whose `on_message` never returns.
struct Stuck(Witness);

#[suspend(path = "/stuck", timeout = "1h", max_idle = "2h", heartbeat = "none")]
async fn stuck(State(diary): State<Diary>) -> Suspend<Stuck> {
    Suspend::with(Stuck(diary.witness()))
}

impl Lifecycle for Stuck {
    async fn on_suspend(&mut self, held: &Held) {
        self.0.on_suspend(held).await;
    }

    async fn on_message(&mut self, held: &Held, message: Message) {
        self.0.on_message(held, message).await;
        std::future::pending().await
    }

    async fn on_end(self, ended: &Ended, end: End) {
        self.0.on_end(ended, end).await;
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Fin,
    Reset,
}

/// What a peer sends before it leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    Nothing,
    StrayByte,
    PipelinedRequest,
}

fn site() -> (Site, Diary) {
    let diary = Diary::default();
    let server = Server::new().state(diary.clone()).mount(hold).mount(stuck).hook_deadline(HOUR);
    (Site::start(server), diary)
}

const HOUR: Duration = Duration::from_secs(3600);

/// Leaves once; says how it ended, after how long, and with how many bytes written.
fn leave(site: &Site, diary: &Diary, transport: Transport, before: Before, way: Way) -> (End, Duration, u64) {
    let suspended = diary.read(|pages| pages.suspended.len());
    let mut peer = Peer::hold(site.addr, "/hold", transport);
    diary.wait("on_suspend", |pages| (pages.suspended.len() > suspended).then_some(()));
    match before {
        Before::Nothing => {}
        // Of a WebSocket it is the beginning of a frame, of the others nothing that anybody asked for.
        Before::StrayByte => peer.send([0x81]),
        Before::PipelinedRequest => peer.send("GET /next HTTP/1.1\r\nHost: test\r\n\r\n"),
    }
    let (addr, began) = (peer.addr(), Instant::now());
    let (end, ended) = match way {
        Way::Fin => {
            peer.fin();
            let end = diary.end_of(addr);
            peer.read_to_end();
            assert_eq!(
                end.1.bytes_out(),
                peer.received(),
                "{transport:?}: nothing is written to whoever left"
            );
            end
        }
        Way::Reset => {
            peer.reset();
            diary.end_of(addr)
        }
    };
    assert_eq!(ended.messages_out(), 0);
    assert!(!ended.is_delivered(), "there is no ending for whoever left");
    (end, began.elapsed(), ended.bytes_out())
}

/// Leaves and checks the cause each time; the time is the best of three, because the machine may be busy.
fn leaving(transport: Transport, before: Before) {
    let (site, diary) = site();
    let mut written = None;
    for (way, cause) in [(Way::Fin, Disconnect::Gone), (Way::Reset, Disconnect::Reset)] {
        let mut quickest = Duration::MAX;
        for _ in 0..3 {
            let (end, took, bytes_out) = leave(&site, &diary, transport, before, way);
            assert_eq!(end, End::Disconnect(cause.clone()), "{transport:?} {before:?} {way:?}");
            assert_eq!(*written.get_or_insert(bytes_out), bytes_out, "{transport:?} {before:?} {way:?}");
            quickest = quickest.min(took);
            if quickest < SECOND {
                break;
            }
        }
        assert!(quickest < SECOND, "{transport:?} {before:?} {way:?} was noticed after {quickest:?}");
    }
    site.until_quiet();
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_peer_that_closes_or_resets_is_noticed() {
    TRANSPORTS.into_iter().for_each(|transport| leaving(transport, Before::Nothing));
}

#[test]
fn a_peer_that_closes_or_resets_behind_a_stray_byte_is_noticed() {
    TRANSPORTS.into_iter().for_each(|transport| leaving(transport, Before::StrayByte));
}

#[test]
fn a_peer_that_closes_or_resets_behind_a_pipelined_request_is_noticed() {
    // Behind a WebSocket's handshake nothing but frames may come.
    for transport in [Transport::Sse, Transport::Stream, Transport::LongPoll] {
        leaving(transport, Before::PipelinedRequest);
    }
}

#[test]
fn a_peer_that_closes_its_side_before_it_is_held_is_noticed() {
    let (site, diary) = site();
    for transport in TRANSPORTS {
        let mut peer = Peer::connect(site.addr);
        peer.ask("/hold", transport);
        peer.fin();
        // hyper may see the FIN with the request; then nothing was held, and nothing may be told.
        peer.read_to_end();
        site.until_quiet();
    }
    let tally = site.hub.tally();
    diary.wait("an end for each hold", |pages| (pages.ends.len() as u64 == tally.suspended).then_some(()));
    assert_eq!(tally.ended("gone"), tally.suspended, "{tally:?}");
}

#[test]
fn a_websocket_says_goodbye_with_and_without_a_code() {
    let (site, diary) = site();
    let goodbyes: [(&[u8], Option<u16>, &str); 3] =
        [(b"", None, ""), (b"\x03\xe8", Some(1000), ""), (b"\x0f\xa1so long", Some(4001), "so long")];
    for (payload, code, reason) in goodbyes {
        let mut peer = Peer::hold(site.addr, "/hold", Transport::WebSocket);
        peer.send(frame(0x88, payload));
        let (end, ended) = diary.end_of(peer.addr());
        let End::Disconnect(Disconnect::Closed { code: given, reason: said, .. }) = end else {
            panic!("{payload:?} ended as {end:?}");
        };
        assert_eq!((given, &*said), (code, reason));
        assert!(peer.frame().is_some_and(|echo| echo.first == 0x88), "a close is answered with a close");
        assert_eq!(peer.read_to_end(), (Vec::new(), true), "then the server closes");
        assert_eq!(ended.messages_out(), 0);
    }
    site.until_quiet();
}

#[test]
fn a_peer_that_leaves_while_a_hook_runs_is_noticed() {
    let (site, diary) = site();
    for way in [Way::Fin, Way::Reset] {
        for stray in [false, true] {
            let heard = diary.read(|pages| pages.heard.len());
            let mut peer = Peer::hold(site.addr, "/stuck", Transport::WebSocket);
            peer.send(frame(0x81, b"hello"));
            diary.wait("the message", |pages| (pages.heard.len() > heard).then_some(()));
            if stray {
                peer.send([0x81]);
            }
            let addr = peer.addr();
            let (end, cause) = match way {
                Way::Fin => {
                    peer.fin();
                    (diary.end_of(addr).0, Disconnect::Gone)
                }
                Way::Reset => {
                    peer.reset();
                    (diary.end_of(addr).0, Disconnect::Reset)
                }
            };
            assert_eq!(end, End::Disconnect(cause), "{way:?}, stray: {stray}");
        }
    }
    site.until_quiet();
}

#[test]
fn a_delete_with_the_token_is_a_goodbye() {
    let (site, diary) = site();
    for transport in [Transport::Sse, Transport::Stream] {
        let mut peer = Peer::connect(site.addr);
        peer.ask("/hold", transport);
        let head = peer.head();
        let token = head.header("abeyance-hold").expect("a token");
        let delete = |token: &str| {
            let url = site.url(&format!("/hold?hold={token}"));
            String::from_utf8(curl(&["-X", "DELETE", &url, "-o", "/dev/null", "-w", "%{http_code}"]).stdout)
        };
        assert_eq!(delete("unknown").unwrap(), "404");
        assert_eq!(site.hub.held(), 1, "nobody else says goodbye");
        assert_eq!(delete(token).unwrap(), "204");
        let goodbye = diary.end_of(peer.addr()).0;
        assert!(matches!(goodbye, End::Disconnect(Disconnect::Closed { code: None, .. })), "{goodbye:?}");
        assert_eq!(delete(token).unwrap(), "404");
    }
    site.until_quiet();
}
