//! Behind nginx with two upstreams: a long poll always gets an answer. One that is closed without is taken for a dead
//! server; nginx would send it to the other, mark both as failed, and refuse every client with 502.

#![allow(clippy::unwrap_used, reason = "helpers of tests, which fail by panicking")]

use std::time::Duration;

use abeyance::extract::State;
use abeyance::{Held, Lifecycle, Retention, Server, Suspend, suspend};
use abeyance_tests::net::{HookRecorder, Nginx, Peer, RecordingContext, TcpTestServer, eventually};

#[suspend(path = "/hold", transports = [long_poll], timeout = "30m", max_idle = "1h", heartbeat = "none")]
async fn hold(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    Suspend::with(hooks.context())
}

#[suspend(path = "/timeout", transports = [long_poll], timeout = "200ms", heartbeat = "none")]
async fn timeout(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    Suspend::with(hooks.context())
}

#[suspend(path = "/idle", transports = [long_poll], timeout = "30m", max_idle = "200ms", heartbeat = "none")]
async fn idle(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    Suspend::with(hooks.context())
}

#[suspend(
    path = "/evict",
    transports = [long_poll],
    timeout = "30m",
    max_idle = "1h",
    heartbeat = "none",
    max_suspended = 1,
    when_full = "resume_oldest"
)]
async fn evict(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    Suspend::with(hooks.context())
}

#[suspend(path = "/news", transports = [long_poll], timeout = "200ms", heartbeat = "none")]
async fn news(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    Suspend::with(hooks.context()).join("news")
}

struct Failing;

#[suspend(path = "/fail", transports = [long_poll])]
async fn fail(State(hooks): State<HookRecorder>) -> Suspend<Failing> {
    drop(hooks.context());
    Suspend::with(Failing)
}

impl Lifecycle for Failing {
    async fn on_suspend(&mut self, _: &Held) {
        panic!("on purpose");
    }
}

fn start(hooks: &HookRecorder) -> TcpTestServer {
    let server = Server::new().state(hooks.clone()).mount(hold).mount(timeout).mount(idle).mount(evict);
    TcpTestServer::start(server.mount(fail).mount(news).topic("news", Retention::default()))
}

fn functions(hooks: &HookRecorder) -> usize {
    hooks.read(|calls| calls.functions)
}

#[test]
fn every_end_of_a_long_poll_reaches_the_client_once() {
    let hooks = HookRecorder::default();
    let sites = [start(&hooks), start(&hooks)];
    let Some(nginx) = Nginx::before(&[sites[0].addr, sites[1].addr]) else { return };
    let held = |count: usize| {
        eventually("holds", || sites.iter().map(|server| server.hub.held_count()).sum::<usize>() == count);
    };
    let each = |act: &dyn Fn(&TcpTestServer, abeyance::HoldId)| {
        for server in &sites {
            server.hub.list().iter().for_each(|hold| act(server, hold.id));
        }
    };

    let mut asked = 0;
    // Twice, so that both servers have their turn, and each again.
    for _ in 0..4 {
        let mut peer = nginx.ask("/hold");
        held(1);
        each(&|server, id| assert!(server.hub.resume(id)));
        assert_eq!(peer.answer().status, 204, "released");

        let mut peer = nginx.ask("/hold");
        held(1);
        each(&|server, id| assert!(server.hub.disconnect(id, "not you")));
        let answer = peer.answer();
        assert_eq!((answer.status, answer.text().as_str()), (410, "not you"), "kicked");

        assert_eq!(nginx.get("/timeout").status, 204, "timed out");
        assert_eq!(nginx.get("/idle").status, 408, "idle");
        assert_eq!(nginx.get("/fail").status, 500, "failed");
        asked += 5;
        assert_eq!(functions(&hooks), asked, "each request arrives once");
    }

    // The third takes the place of one of the first two, which have had theirs for more than a second.
    let mut polls: Vec<_> = (0..2).map(|_| nginx.ask("/evict")).collect();
    held(2);
    assert!(sites.iter().all(|server| server.hub.held_count() == 1), "nginx takes turns");
    eventually("holds of a second", || {
        let mut listed = sites.iter().flat_map(|server| server.hub.list());
        listed.all(|hold| hold.held_for > Duration::from_millis(1100))
    });
    let evicted = |server: &TcpTestServer| server.hub.stats().ended("evicted");
    polls.push(nginx.ask("/evict"));
    eventually("an eviction", || sites.iter().map(evicted).sum::<u64>() == 1);
    each(&|server, id| assert!(server.hub.resume(id)));
    let mut answers: Vec<_> = polls.iter_mut().map(|peer| peer.answer().status).collect();
    answers.sort_unstable();
    assert_eq!(answers, [204, 204, 503], "evicted");
    asked += 3;
    assert_eq!(functions(&hooks), asked, "each request arrives once");
    assert!(!nginx.errors().contains("upstream"), "{}", nginx.errors());
    sites.iter().for_each(TcpTestServer::until_quiet);
}

#[test]
fn a_long_poll_of_a_server_that_stops_is_answered_and_the_other_serves_on() {
    let hooks = HookRecorder::default();
    let [first, second] = [start(&hooks), start(&hooks)];
    let Some(nginx) = Nginx::before(&[first.addr, second.addr]) else { return };
    let mut polls: Vec<_> = (0..4).map(|_| nginx.ask("/hold")).collect();
    eventually("two holds on each", || first.hub.held_count() == 2 && second.hub.held_count() == 2);
    let statuses = first.stop_beside(|| {
        eventually("the drain", || hooks.read(|calls| calls.ends.len()) == 2);
        second.hub.list().iter().for_each(|hold| assert!(second.hub.resume(hold.id)));
        let mut statuses: Vec<_> = polls.iter_mut().map(|peer| peer.answer().status).collect();
        statuses.sort_unstable();
        statuses
    });
    assert_eq!(statuses, [204, 204, 503, 503]);
    assert_eq!(functions(&hooks), 4, "each request arrives once");
    // nginx finds out by itself that the first is gone, and its clients see nothing.
    for _ in 0..8 {
        assert_eq!(nginx.get("/timeout").status, 204);
    }
    assert_eq!(functions(&hooks), 12, "each request arrives once");
    assert!(!nginx.errors().contains("prematurely"), "{}", nginx.errors());
    second.until_quiet();
}

#[test]
fn a_poll_that_comes_back_through_a_proxy_gets_what_it_missed_or_is_told() {
    let hooks = HookRecorder::default();
    let [server, other] = [start(&hooks), start(&hooks)];
    let Some(nginx) = Nginx::before(&[server.addr, server.addr]) else { return };
    let mut id = String::new();
    let mut poll = |from: &Nginx| {
        let mut peer = Peer::connect(from.addr);
        let line = if id.is_empty() { String::new() } else { format!("Last-Event-ID: {id}\r\n") };
        peer.send(format!("GET /news HTTP/1.1\r\nHost: test\r\n{line}\r\n"));
        let answer = peer.answer();
        answer.header("last-event-id").expect("an id").clone_into(&mut id);
        let is_lost = answer.header("abeyance-resync").is_some();
        (answer.status, answer.text(), is_lost)
    };
    let nothing = || (204, String::new(), false);
    assert_eq!(poll(&nginx), nothing());
    for text in ["one", "two"] {
        server.hub.publish("news", text);
    }
    for text in ["one", "two"] {
        assert_eq!(poll(&nginx), (200, text.to_owned(), false));
    }
    assert_eq!(poll(&nginx), nothing());
    // Another server knows nothing of it.
    let Some(nginx) = Nginx::before(&[other.addr, other.addr]) else { return };
    assert_eq!(poll(&nginx), (204, String::new(), true));
    other.hub.publish("news", "three");
    assert_eq!(poll(&nginx), (200, "three".to_owned(), false));
    server.until_quiet();
    other.until_quiet();
}
