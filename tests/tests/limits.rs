//! Storms: many clients at the same moment, a limit, and what the limit says happens to the rest.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread::spawn;
use std::time::Duration;

use abeyance::extract::State;
use abeyance::{End, Resume, Server, Suspend, Transport, suspend};
use abeyance_tests::net::{
    Answer, HookRecorder, Peer, RecordingContext, TEST_TIMEOUT, TRANSPORTS, TcpTestServer, descriptors,
    eventually,
};

const LIMIT: usize = 50;
const CLIENTS: usize = 200;

/// The tests count the descriptors of their process, so they run one after the other.
static ALONE: Mutex<()> = Mutex::new(());

#[suspend(
    path = "/reject",
    max_suspended = 50,
    when_full = "reject",
    heartbeat = "none",
    max_idle = "1h",
    timeout = "30m"
)]
async fn reject(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    Suspend::with(hooks.context())
}

#[suspend(
    path = "/resume_oldest",
    max_suspended = 50,
    when_full = "resume_oldest",
    heartbeat = "none",
    max_idle = "1h",
    timeout = "30m"
)]
async fn resume_oldest(State(hooks): State<HookRecorder>) -> Suspend<RecordingContext> {
    // So that many run at once.
    tokio::task::yield_now().await;
    Suspend::with(hooks.context())
}

/// All clients connect, wait for each other and ask at the same moment; gives what each was answered, as it comes.
fn storm(server: &TcpTestServer, path: &'static str, transport: Transport) -> Receiver<(Peer, Answer)> {
    let start = Arc::new(Barrier::new(CLIENTS));
    let (tell, told) = channel();
    for _ in 0..CLIENTS {
        let (start, addr, tell) = (start.clone(), server.addr, tell.clone());
        spawn(move || {
            let mut peer = Peer::connect(addr);
            start.wait();
            peer.ask(path, transport);
            let answer = peer.answer();
            // The receiver is gone only when the test has failed.
            let _ = tell.send((peer, answer));
        });
    }
    told
}

/// The next so many answers.
fn next(answers: &Receiver<(Peer, Answer)>, count: usize) -> Vec<(Peer, Answer)> {
    (0..count).map(|_| answers.recv_timeout(TEST_TIMEOUT).expect("an answer")).collect()
}

/// Those that are held and those that are not. A held long poll shows nothing, so the first answers are all refusals.
fn sorted(answers: &Receiver<(Peer, Answer)>, transport: Transport) -> (Vec<Peer>, Vec<Answer>) {
    let count = if transport == Transport::LongPoll { CLIENTS - LIMIT } else { CLIENTS };
    let (refused, held): (Vec<_>, Vec<_>) =
        next(answers, count).into_iter().partition(|(_, answer)| answer.status == 503);
    let held = held.into_iter().map(|(peer, answer)| {
        assert!([101, 200].contains(&answer.status), "{transport:?}: {answer:?}");
        peer
    });
    let refused: Vec<_> = refused.into_iter().map(|(_, answer)| answer).collect();
    for answer in &refused {
        let wait: u64 = answer.header("retry-after").expect("Retry-After").parse().expect("seconds");
        assert!((1..=600).contains(&wait), "{answer:?}");
    }
    (held.collect(), refused)
}

/// Lets go of all that are held; gives back what the long polls among them were answered.
fn release(server: &TcpTestServer, answers: &Receiver<(Peer, Answer)>, transport: Transport) {
    let listed = server.hub.list();
    assert_eq!(listed.len(), LIMIT);
    if transport == Transport::LongPoll {
        listed.iter().for_each(|listed| assert!(server.hub.resume(listed.id)));
        for (_, answer) in next(answers, LIMIT) {
            assert_eq!(answer.status, 204);
        }
    }
}

#[test]
fn a_storm_on_a_limit_is_refused_without_a_trace() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for transport in TRANSPORTS {
        let hooks = HookRecorder::default();
        let server = TcpTestServer::start(Server::new().state(hooks.clone()).mount(reject));
        let before = descriptors();
        let answers = storm(&server, "/reject", transport);
        let (held, refused) = sorted(&answers, transport);
        assert_eq!(refused.len(), CLIENTS - LIMIT, "{transport:?}");
        server.until_held(LIMIT);
        assert_eq!(server.hub.peak(), LIMIT);
        hooks.wait("on_suspend of all", |calls| (calls.suspended.len() == LIMIT).then_some(()));
        assert_eq!(hooks.read(|calls| (calls.functions, calls.ends.len())), (LIMIT, 0), "no hook for them");
        // The refused have closed by now; the server must not keep its side of them.
        eventually("the sockets of the refused", || descriptors() <= before + 2 * LIMIT);
        release(&server, &answers, transport);
        drop(held);
        server.until_quiet();
        eventually("the sockets of the held", || descriptors() <= before);
        hooks.wait("an end for each", |calls| (calls.ends.len() == LIMIT).then_some(()));
    }
}

#[test]
fn a_storm_on_a_limit_that_evicts_never_exceeds_it() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for transport in TRANSPORTS {
        let hooks = HookRecorder::default();
        let server = TcpTestServer::start(Server::new().state(hooks.clone()).mount(resume_oldest));
        let hold = |_| Peer::hold(server.addr, "/resume_oldest", transport);
        let oldest: Vec<_> = (0..LIMIT).map(hold).collect();
        // Younger ones are not evicted.
        eventually("holds of a second", || {
            let listed = server.hub.list();
            listed.len() == LIMIT && listed.iter().all(|hold| hold.held_for >= Duration::from_millis(1100))
        });
        let answers = storm(&server, "/resume_oldest", transport);
        let (held, refused) = sorted(&answers, transport);
        assert_eq!(refused.len(), CLIENTS - LIMIT, "{transport:?}");
        for mut peer in oldest {
            let (end, ended) = hooks.end_of(peer.local_addr());
            assert_eq!(end, End::Resume(Resume::Evicted), "{transport:?}");
            assert!(ended.is_delivered());
            match transport {
                Transport::LongPoll => assert_eq!(peer.answer().status, 503),
                Transport::WebSocket => {
                    let close = peer.frame().expect("a close");
                    let (code, reason) = close.close().expect("a code");
                    assert!(code == 1013 && reason.starts_with("evicted; retry-after="), "{code} {reason}");
                }
                _ => {
                    let (said, is_fin) = peer.read_to_end();
                    assert!(is_fin && said.ends_with(b"0\r\n\r\n"), "{transport:?}: {said:?}");
                }
            }
        }
        server.until_held(LIMIT);
        assert_eq!(server.hub.peak(), LIMIT, "{transport:?}");
        release(&server, &answers, transport);
        drop(held);
        server.until_quiet();
        let stats = server.hub.stats();
        assert_eq!((stats.suspended, stats.ended("evicted")), (2 * LIMIT as u64, LIMIT as u64));
    }
}
