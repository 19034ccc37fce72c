//! Ends: what is given back, and that nobody is woken under a lock.

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

/// Whoever is woken may use the hold at once.
fn user_of(guest: &TestHold) -> Waker {
    let hold = guest.hold.clone();
    Waker::from(Arc::new(Inline(move || {
        let keeper = hold.keeper();
        assert!(keeper.registry.try_lock().is_some(), "woken under the books");
        assert!(hold.is_outbox_free(), "woken under the pen");
    })))
}

#[test]
fn nobody_is_woken_under_a_lock() {
    let house = TestKeeper::of(STILL);
    let guest = house.suspend(SSE);
    let waker = user_of(&guest);
    let cx = &mut Context::from_waker(&waker);
    assert!(guest.hold.poll_noted(cx).is_pending());
    guest.hold.post("posted".into()).unwrap();
    guest.line.window(1);
    let held = Held::new(guest.hold.clone());
    held.send("blocks").unwrap();
    let room = guest.hold.room();
    let mut told = std::pin::pin!(room.notified());
    assert!(told.as_mut().poll(cx).is_pending());
    guest.line.window(usize::MAX);
    assert!(guest.flush().is_ready());
    let room = guest.hold.room();
    let mut told = std::pin::pin!(room.notified());
    assert!(told.as_mut().poll(cx).is_pending());
    let quiet = house.keeper.quiet();
    let mut quiet = std::pin::pin!(quiet);
    assert!(quiet.as_mut().poll(cx).is_pending());
    assert!(house.keeper.end(&guest.hold, Resume::Released.into()));
    assert!(told.as_mut().poll(cx).is_ready());
    house.keeper.settle(&guest.hold);
    assert!(quiet.as_mut().poll(cx).is_ready());
}

#[test]
fn an_end_that_begins_before_the_head_is_written_still_has_a_head() {
    let house = TestKeeper::of(STILL);
    let guest = house.seat(house.admit(0, 1).unwrap(), 0, SSE, None).unwrap();
    assert!(house.keeper.end(&guest.hold, Resume::Drained.into()));
    guest.hold.write_head("head ".into()).unwrap();
    guest.hold.open(vec!["reply".into()]);
    guest.hold.write_last([Piece { bytes: "ending".into(), kind: Kind::Other }]).unwrap();
    assert!(guest.flush().is_ready());
    assert_eq!(guest.line.text(), "head ending");
    assert!(guest.hold.write("heartbeat".into()).is_err());
}

#[test]
fn a_settled_hold_keeps_no_line_and_no_bytes_whoever_has_a_handle() {
    let house = TestKeeper::of(STILL);
    let guest = house.suspend(SSE);
    let held = Held::new(guest.hold.clone());
    guest.line.window(0);
    held.send("never arrives").unwrap();
    guest.hold.post("never read".into()).unwrap();
    let line = Arc::downgrade(&guest.line);
    house.keeper.end(&guest.hold, Disconnect::Gone.into());
    house.keeper.settle(&guest.hold);
    drop(guest.line);
    assert!(line.upgrade().is_none(), "the socket stays open");
    assert_eq!(Ended::of(&guest.hold, false).undelivered(), 1);
    assert_eq!(guest.hold.take_posted(), None);
}

#[test]
fn what_an_opening_line_did_not_take_counts_as_undelivered() {
    let house = TestKeeper::of(STILL);
    let guest = house.seat(house.admit(0, 1).unwrap(), 0, SSE, None).unwrap();
    guest.line.fail(std::io::ErrorKind::ConnectionReset);
    guest.hold.open(vec!["one".into(), "two".into(), "three".into()]);
    assert_eq!(guest.cause(), Some("reset"));
    house.keeper.settle(&guest.hold);
    assert_eq!(Ended::of(&guest.hold, false).undelivered(), 3);
}

#[test]
fn endings_beyond_the_limit_are_cut_oldest_first_each_once() {
    let house = TestKeeper::new(ServerConfig { max_suspended: 2, ..ServerConfig::default() }, &[STILL]);
    let ending: Vec<TestHold> = (0..5)
        .map(|_| {
            let guest = house.suspend(SSE);
            house.keeper.end(&guest.hold, Resume::Released.into());
            guest
        })
        .collect();
    let cut: Vec<bool> =
        ending.iter().map(|guest| poll_once(|cx| guest.hold.poll_cut(cx)).is_ready()).collect();
    assert_eq!(cut, [true, true, true, false, false]);
}

#[test]
fn all_of_a_key_end_in_one_step_oldest_first_and_others_stay() {
    let house =
        TestKeeper::new(ServerConfig::default(), &[STILL, EndpointOptions { max_per_key: Some(9), ..STILL }]);
    let seat = |endpoint, key| {
        let guest = house.seat(house.admit(endpoint, 1).unwrap(), endpoint, SSE, key).unwrap();
        guest.hold.open(Vec::new());
        house.keeper.join(&guest.hold, "news".into()).unwrap();
        guest
    };
    let hers = [seat(1, Some("ada")), seat(0, Some("ada")), seat(1, Some("ada"))];
    let others = [seat(0, Some("bob")), seat(0, None)];
    // An end hook that runs at once.
    let keeper = house.keeper.clone();
    let publishes = Waker::from(Arc::new(Inline(move || {
        keeper.publish("news", &"she left".into());
    })));
    for guest in &hers {
        assert!(guest.hold.poll_noted(&mut Context::from_waker(&publishes)).is_pending());
    }
    assert_eq!(house.keeper.end_key("ada", &Resume::Released.into()), 3);
    assert_eq!(others.each_ref().map(|guest| guest.line.text().matches("she left").count()), [3, 3]);
    assert!(hers.iter().all(|guest| guest.cause() == Some("released") && guest.line.text().is_empty()));
    assert!(others.iter().all(|guest| guest.cause().is_none()));
    let mut ending = Vec::new();
    while ending.len() < 3 {
        ending.push(house.keeper.registry.lock().ledger.cut().unwrap().id);
    }
    assert_eq!(ending, hers.each_ref().map(|guest| guest.hold.id));
    assert_eq!(house.keeper.end_key("ada", &Resume::Released.into()), 0);
    assert_eq!(house.keeper.end_key("bob", &Resume::Released.into()), 1);
}
