//! Ends that race with everything else: one cause, nothing after it, and nothing left.

use std::time::Duration;

use shuttle::future::block_on;

use crate::keeper::archive::ResumePoint;
use crate::keeper::held::{Held, SendError};
use crate::keeper::outbox::MessageClass;
use crate::model::explore::{explore, pass, scope};
use crate::model::guest::TestHold;
use crate::model::house::{PLACES, Plans, SSE, TestKeeper};
use crate::model::plain::publish;
use abeyance_core::mechanisms::wire::{Encoded, WireForm};
use abeyance_core::words::cause::{Disconnect, End, Resume};
use abeyance_core::words::message::Message;
use abeyance_core::words::retention::Retention;
use abeyance_settings::endpoint::{EndpointOptions, WhenFull};

/// Ends a hold; `true` if that was its end, and how much was written to its peer when that returned.
fn end(house: &TestKeeper, guest: &TestHold, end: impl Into<End>) -> (bool, usize) {
    let is_first = house.end(guest, end);
    let length = guest.line.length();
    assert!(guest.cause().is_some());
    let direct = guest.hold.send(&Encoded::new(&Message::from("late")), MessageClass::Direct);
    assert!(direct.is_err(), "an end takes nothing more");
    guest.join(house, "late");
    (is_first, length)
}

/// Two ends, a send, a join and messages of a topic, all at once, of each kind of topic and of hold.
fn one_cause(form: WireForm, plans: fn() -> Plans) -> impl Fn() + Clone + Send + Sync + 'static {
    move || {
        let house = TestKeeper::new(plans());
        let guest = house.arrive(form, &["a"], ResumePoint::New);
        let ((first, length), (second, _)) = scope(|scope| {
            scope.spawn(|| publish(&house, "a", "x", 2));
            scope.spawn(|| {
                guest.hold.open(Vec::new());
                guest.join(&house, "b");
                house.keeper.leave(&guest.hold, "a");
            });
            let other = scope.spawn(|| end(&house, &guest, Disconnect::Gone));
            let own = end(&house, &guest, Resume::Released);
            (own, other.join().expect("ended"))
        });
        house.publish("a", "after");
        house.publish("b", "after, too");
        assert_eq!(guest.line.length(), length, "written after the end");
        assert!(!(first && second), "two first causes");
        let cause = guest.cause().expect("a cause");
        let is_answer = form == WireForm::LongPoll && cause == "answered";
        assert!(first || second || is_answer, "{cause}");
        if first || second {
            assert_eq!(cause, if first { "released" } else { "gone" });
        }
        house.chronicle.check_order(&guest.texts());
        house.close(vec![guest]);
    }
}

fn keeping() -> Plans {
    Plans::keeping(&["a"], Retention::new().count(1))
}

/// A stream, plain topics.
#[test]
fn a_stream_ends_once_whatever_comes_at_once() {
    explore(one_cause(SSE, Plans::default));
}

/// A stream, a topic with a history.
#[test]
fn a_stream_that_follows_a_history_ends_once_whatever_comes_at_once() {
    explore(one_cause(SSE, keeping));
}

/// A long poll, whose answer is an end, too; plain topics.
#[test]
fn a_long_poll_ends_once_whatever_comes_at_once() {
    explore(one_cause(WireForm::LongPoll, Plans::default));
}

/// A long poll, a topic with a history.
#[test]
fn a_long_poll_that_follows_a_history_ends_once_whatever_comes_at_once() {
    explore(one_cause(WireForm::LongPoll, keeping));
}

/// Everybody is ended while newcomers arrive, and settles while publishers still have it in hand.
#[test]
fn a_drain_races_with_newcomers_publishers_and_settling() {
    explore(|| {
        let house = TestKeeper::new(Plans::keeping(&["k"], Retention::new().count(1)));
        let early = house.come(&["a", "k"]);
        let newcomer = scope(|scope| {
            scope.spawn(|| {
                publish(&house, "a", "x", 1);
                publish(&house, "k", "y", 1);
            });
            let newcomer =
                scope.spawn(|| house.try_arrive(SSE, &["k", "a"], ResumePoint::New, usize::MAX).ok());
            scope.spawn(|| {
                early.attend();
                house.keeper.settle(&early.hold);
            });
            house.keeper.close_doors();
            house.keeper.end_all(&Resume::Drained.into());
            newcomer.join().expect("came")
        });
        assert_eq!(early.cause(), Some("drained"));
        assert!(newcomer.iter().all(|guest| guest.cause() == Some("drained")), "came through closed doors");
        house.close(newcomer.into_iter().chain([early]).collect());
    });
}

/// Whoever is held has its turn, one after the other, while messages come, somebody arrives and somebody leaves by
/// itself; `hurry` is another thread. Everybody ends once, and nobody before its turn misses anything.
fn turns(hurry: Option<fn(&TestKeeper)>) -> impl Fn() + Clone + Send + Sync + 'static {
    move || {
        let house = TestKeeper::new(Plans::keeping(&["k"], Retention::new().count(2)));
        let [leaving, stream] = [house.come(&["a", "k"]), house.come(&["a", "k"])];
        let poll = house.arrive(WireForm::LongPoll, &["a"], ResumePoint::New);
        poll.hold.open(Vec::new());
        let guests = [&leaving, &stream, &poll];
        let newcomer = scope(|scope| {
            scope.spawn(|| {
                publish(&house, "k", "y", 1);
                publish(&house, "a", "x", 1);
            });
            let newcomer =
                scope.spawn(|| house.try_arrive(SSE, &["k", "a"], ResumePoint::New, usize::MAX).ok());
            scope.spawn(|| house.end(&leaving, Disconnect::Gone));
            let hurried = hurry.map(|hurry| {
                let house = &house;
                scope.spawn(move || house.chronicle.time(|| hurry(house)).0)
            });
            for guest in guests {
                scope.spawn(|| {
                    guest.attend();
                    // The answer of a poll would be forgotten with that.
                    if guest.hold.form != WireForm::LongPoll {
                        house.keeper.settle(&guest.hold);
                    }
                });
            }
            let (span, departures) = house.chronicle.time(|| {
                let mut departures = house.keeper.plan_drain(fastrand::Rng::with_seed(7));
                for turn in 1..=4 {
                    house.keeper.depart(&mut departures, Duration::from_millis(20 * turn));
                }
                departures
            });
            assert_eq!(departures.next(), None, "everybody had a turn");
            let hurried = hurried.map(|hurried| hurried.join().expect("hurried"));
            for span in [Some(span), hurried].into_iter().flatten() {
                guests.iter().for_each(|guest| guest.note_end(span));
            }
            newcomer.join().expect("came")
        });
        let ends = ["drained", "shutdown", "gone", "answered"];
        for guest in guests {
            let cause = guest.cause().expect("a cause");
            assert!(ends.contains(&cause), "{cause}");
            guest.check(&house.chronicle);
        }
        // Whoever came through the doors before they were closed had a turn as well.
        assert!(
            newcomer.iter().all(|guest| ["drained", "shutdown"].contains(&guest.cause().expect("a cause")))
        );
        house.close(newcomer.into_iter().chain([leaving, stream, poll]).collect());
    }
}

/// A drain that has its time.
#[test]
fn everybody_has_a_turn_in_a_drain_whatever_comes_at_once() {
    explore(turns(None));
}

/// A drain that is cut short by a second signal.
#[test]
fn a_drain_that_is_cut_short_ends_everybody_once() {
    explore(turns(Some(|house| {
        house.keeper.close_doors();
        house.keeper.cut_endings();
        house.keeper.end_all(&Disconnect::Shutdown.into());
    })));
}

/// Two newcomers want the place of the oldest, who ends at the same time.
#[test]
fn nobody_holds_a_place_twice_where_the_oldest_makes_room() {
    explore(|| {
        let plans = Plans::default();
        let settings = EndpointOptions { when_full: Some(WhenFull::ResumeOldest), ..plans.settings };
        let house = TestKeeper::new(Plans { settings, ..plans });
        let mut guests: Vec<_> = (0..PLACES).map(|_| house.come(&["a"])).collect();
        // So old that they may be evicted.
        pass(Duration::from_millis(900));
        house.keeper.sweep();
        pass(Duration::from_millis(900));
        let newcomers = scope(|scope| {
            scope.spawn(|| publish(&house, "a", "x", 2));
            scope.spawn(|| {
                house.end(&guests[0], Disconnect::Gone);
                house.keeper.settle(&guests[0].hold);
            });
            let other = scope.spawn(|| house.try_arrive(SSE, &["a"], ResumePoint::New, usize::MAX));
            let own = house.try_arrive(SSE, &["a"], ResumePoint::New, usize::MAX);
            [own, other.join().expect("came")]
        });
        let counts = house.keeper.counts();
        assert_eq!((counts.held, counts.peak), (PLACES, PLACES));
        let evicted = guests.iter().filter(|guest| guest.cause() == Some("evicted")).count();
        let is_by_itself = guests[0].cause() == Some("gone");
        assert_eq!(evicted + usize::from(is_by_itself), 2, "one for each");
        for newcomer in newcomers {
            let newcomer = newcomer.unwrap_or_else(|refused| panic!("there was room: {refused:?}"));
            newcomer.hold.open(Vec::new());
            newcomer.check(&house.chronicle);
            guests.push(newcomer);
        }
        house.close(guests);
    });
}

/// Somebody waits for room to send; meanwhile the peer takes everything, or the hold ends.
fn waits_to_send(meanwhile: fn(&TestKeeper, &TestHold)) -> Result<(), SendError> {
    let plans = Plans::default();
    // Room for one message.
    let settings = EndpointOptions { send_buffer: Some(80), ..plans.settings };
    let house = TestKeeper::new(Plans { settings, ..plans });
    let guest = house.try_arrive(SSE, &[], ResumePoint::New, 5).expect("there is a place");
    guest.hold.open(Vec::new());
    let held = Held::new(guest.hold.clone());
    held.send("first").expect("there is room");
    let sent = scope(|scope| {
        scope.spawn(|| guest.attend());
        let sending = scope.spawn(|| block_on(held.send_when_ready("second")));
        scope.spawn(|| meanwhile(&house, &guest));
        let sent = sending.join().expect("sent, or not");
        if sent.is_ok() {
            guest.wait_for(2);
        }
        house.end(&guest, Disconnect::Gone);
        sent
    });
    drop(held);
    house.close(vec![guest]);
    sent
}

/// When the peer takes what waits, whoever waits to send hears of it.
#[test]
fn whoever_waits_to_send_hears_of_room() {
    explore(|| assert_eq!(waits_to_send(|_, guest| guest.line.widen(usize::MAX)), Ok(())));
}

/// When the hold ends, whoever waits to send hears of it.
#[test]
fn whoever_waits_to_send_hears_of_the_end() {
    explore(|| {
        let sent = waits_to_send(|house, guest| _ = house.end(guest, Disconnect::Reset));
        assert_eq!(sent, Err(SendError::Ended("second".into())));
    });
}

/// Whoever waits until all is quiet hears of it, whoever is last: a hold, or an end hook.
#[test]
fn whoever_waits_for_quiet_hears_of_it() {
    explore(|| {
        let house = TestKeeper::new(Plans::default());
        let (one, two) = (house.come(&["a"]), house.come(&["a"]));
        let hook = house.keeper.begin_hook();
        scope(|scope| {
            for guest in [&one, &two] {
                scope.spawn(|| {
                    house.end(guest, Disconnect::Gone);
                    house.keeper.settle(&guest.hold);
                });
            }
            scope.spawn(|| drop(hook));
            block_on(house.keeper.quiet());
        });
        house.close(vec![one, two]);
    });
}

/// A hold whose peer stops taking for a while gets everything, woken by whoever writes, by the peer and by its end.
#[test]
fn no_wake_up_is_lost() {
    explore(|| {
        let house = TestKeeper::new(Plans::default());
        let guest = house.try_arrive(SSE, &["a"], ResumePoint::New, 5).expect("there is a place");
        scope(|scope| {
            scope.spawn(|| guest.attend());
            scope.spawn(|| publish(&house, "a", "x", 2));
            scope.spawn(|| {
                guest.line.widen(20);
                guest.line.widen(usize::MAX);
            });
            guest.hold.open(Vec::new());
            guest.wait_for(2);
            house.end(&guest, Disconnect::Gone);
        });
        guest.check(&house.chronicle);
        house.close(vec![guest]);
    });
}
