//! Ends: what is given back, and that no waker runs under a lock.

use std::task::Wake;

use super::*;
use crate::keeper::ended::Ended;
use crate::keeper::held::Held;
use abeyance_core::mechanisms::send_buffer::{Kind, Piece};
use abeyance_core::words::cause::{Disconnect, Resume};

/// A waker that does at once what a task would do later.
struct Inline<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Inline<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

/// A woken task may use the hold at once.
fn user_of(test_hold: &TestHold) -> Waker {
    let hold = test_hold.hold.clone();
    Waker::from(Arc::new(Inline(move || {
        let keeper = hold.keeper();
        assert!(keeper.registry.try_lock().is_some(), "woken under the registry");
        assert!(hold.is_outbox_free(), "woken under the outbox");
    })))
}

#[test]
fn no_waker_runs_under_a_lock() {
    let server = TestServer::of(STILL);
    let test_hold = server.suspend(SSE);
    let waker = user_of(&test_hold);
    let cx = &mut Context::from_waker(&waker);
    assert!(test_hold.hold.poll_end_requested(cx).is_pending());
    test_hold.hold.post("posted".into()).unwrap();
    test_hold.peer_io.window(1);
    let held = Held::new(test_hold.hold.clone());
    held.send("blocks").unwrap();
    let room = test_hold.hold.room();
    let mut told = std::pin::pin!(room.notified());
    assert!(told.as_mut().poll(cx).is_pending());
    test_hold.peer_io.window(usize::MAX);
    assert!(test_hold.flush().is_ready());
    let room = test_hold.hold.room();
    let mut told = std::pin::pin!(room.notified());
    assert!(told.as_mut().poll(cx).is_pending());
    let quiet = server.keeper.quiet();
    let mut quiet = std::pin::pin!(quiet);
    assert!(quiet.as_mut().poll(cx).is_pending());
    assert!(server.keeper.end(&test_hold.hold, Resume::Released.into()));
    assert!(told.as_mut().poll(cx).is_ready());
    server.keeper.settle(&test_hold.hold);
    assert!(quiet.as_mut().poll(cx).is_ready());
}

#[test]
fn an_end_that_begins_before_the_head_is_written_still_has_a_head() {
    let server = TestServer::of(STILL);
    let test_hold = server.seat(server.admit(0, 1).unwrap(), 0, SSE, None).unwrap();
    assert!(server.keeper.end(&test_hold.hold, Resume::Drained.into()));
    test_hold.hold.write_head("head ".into()).unwrap();
    test_hold.hold.open(vec!["reply".into()]);
    test_hold.hold.write_last([Piece { bytes: "ending".into(), kind: Kind::Other }]).unwrap();
    assert!(test_hold.flush().is_ready());
    assert_eq!(test_hold.peer_io.text(), "head ending");
    assert!(test_hold.hold.write("heartbeat".into()).is_err());
}

#[test]
fn a_settled_hold_keeps_no_io_and_no_bytes_although_handles_remain() {
    let server = TestServer::of(STILL);
    let test_hold = server.suspend(SSE);
    let held = Held::new(test_hold.hold.clone());
    test_hold.peer_io.window(0);
    held.send("never arrives").unwrap();
    test_hold.hold.post("never read".into()).unwrap();
    let peer_io = Arc::downgrade(&test_hold.peer_io);
    server.keeper.end(&test_hold.hold, Disconnect::Gone.into());
    server.keeper.settle(&test_hold.hold);
    drop(test_hold.peer_io);
    assert!(peer_io.upgrade().is_none(), "the socket stays open");
    assert_eq!(Ended::of(&test_hold.hold, false).undelivered(), 1);
    assert_eq!(test_hold.hold.take_posted(), None);
}

#[test]
fn what_an_opening_line_did_not_take_counts_as_undelivered() {
    let server = TestServer::of(STILL);
    let test_hold = server.seat(server.admit(0, 1).unwrap(), 0, SSE, None).unwrap();
    test_hold.peer_io.fail(std::io::ErrorKind::ConnectionReset);
    test_hold.hold.open(vec!["one".into(), "two".into(), "three".into()]);
    assert_eq!(test_hold.cause(), Some("reset"));
    server.keeper.settle(&test_hold.hold);
    assert_eq!(Ended::of(&test_hold.hold, false).undelivered(), 3);
}

#[test]
fn endings_beyond_the_limit_are_cut_oldest_first_each_once() {
    let server = TestServer::new(ServerConfig { max_suspended: 2, ..ServerConfig::default() }, &[STILL]);
    let ending: Vec<TestHold> = (0..5)
        .map(|_| {
            let test_hold = server.suspend(SSE);
            server.keeper.end(&test_hold.hold, Resume::Released.into());
            test_hold
        })
        .collect();
    let cut: Vec<bool> =
        ending.iter().map(|test_hold| poll_once(|cx| test_hold.hold.poll_cut(cx)).is_ready()).collect();
    assert_eq!(cut, [true, true, true, false, false]);
}

#[test]
fn all_of_a_key_end_in_one_step_oldest_first_and_others_stay() {
    let server =
        TestServer::new(ServerConfig::default(), &[STILL, EndpointOptions { max_per_key: Some(9), ..STILL }]);
    let seat = |endpoint, key| {
        let test_hold = server.seat(server.admit(endpoint, 1).unwrap(), endpoint, SSE, key).unwrap();
        test_hold.hold.open(Vec::new());
        server.keeper.join(&test_hold.hold, "news".into()).unwrap();
        test_hold
    };
    let hers = [seat(1, Some("ada")), seat(0, Some("ada")), seat(1, Some("ada"))];
    let others = [seat(0, Some("bob")), seat(0, None)];
    // An end hook that runs at once.
    let keeper = server.keeper.clone();
    let publishes = Waker::from(Arc::new(Inline(move || {
        keeper.publish("news", &"she left".into());
    })));
    for test_hold in &hers {
        assert!(test_hold.hold.poll_end_requested(&mut Context::from_waker(&publishes)).is_pending());
    }
    assert_eq!(server.keeper.end_key("ada", &Resume::Released.into()), 3);
    assert_eq!(
        others.each_ref().map(|test_hold| test_hold.peer_io.text().matches("she left").count()),
        [3, 3]
    );
    assert!(
        hers.iter()
            .all(|test_hold| test_hold.cause() == Some("released") && test_hold.peer_io.text().is_empty())
    );
    assert!(others.iter().all(|test_hold| test_hold.cause().is_none()));
    let mut ending = Vec::new();
    while ending.len() < 3 {
        ending.push(server.keeper.registry.lock().ledger.cut().unwrap().id);
    }
    assert_eq!(ending, hers.each_ref().map(|test_hold| test_hold.hold.id));
    assert_eq!(server.keeper.end_key("ada", &Resume::Released.into()), 0);
    assert_eq!(server.keeper.end_key("bob", &Resume::Released.into()), 1);
}
