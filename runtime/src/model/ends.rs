//! Ends that race with everything else: one cause, nothing after it, and nothing left.

use std::time::Duration;

use shuttle::future::block_on;

use crate::keeper::archive::ResumePoint;
use crate::keeper::held::{Held, SendError};
use crate::keeper::message_class::MessageClass;
use crate::model::explore::{explore, pass, scope};
use crate::model::plain::publish;
use crate::model::test_hold::TestHold;
use crate::model::test_server::{MAX_HOLDS, SSE, TestConfig, TestServer};
use abeyance_core::mechanisms::wire::{Encoded, WireForm};
use abeyance_core::words::cause::{Disconnect, End, Resume};
use abeyance_core::words::message::Message;
use abeyance_core::words::retention::Retention;
use abeyance_settings::endpoint::{EndpointOptions, WhenFull};

/// Ends a hold; `true` if that was its end, and how much was written to its peer when that returned.
fn end(server: &TestServer, test_hold: &TestHold, end: impl Into<End>) -> (bool, usize) {
    let is_first = server.end(test_hold, end);
    let length = test_hold.peer_io.length();
    assert!(test_hold.cause().is_some());
    let direct = test_hold.hold.send(&Encoded::new(&Message::from("late")), MessageClass::Direct);
    assert!(direct.is_err(), "an end takes nothing more");
    test_hold.join(server, "late");
    (is_first, length)
}

/// Two ends, a send, a join and messages of a topic, all at once, of each kind of topic and of hold.
fn one_cause(form: WireForm, config: fn() -> TestConfig) -> impl Fn() + Clone + Send + Sync + 'static {
    move || {
        let server = TestServer::new(config());
        let test_hold = server.begin_hold(form, &["a"], ResumePoint::New);
        let ((first, length), (second, _)) = scope(|scope| {
            scope.spawn(|| publish(&server, "a", "x", 2));
            scope.spawn(|| {
                test_hold.hold.open(Vec::new());
                test_hold.join(&server, "b");
                server.keeper.leave(&test_hold.hold, "a");
            });
            let other = scope.spawn(|| end(&server, &test_hold, Disconnect::Gone));
            let own = end(&server, &test_hold, Resume::Released);
            (own, other.join().expect("ended"))
        });
        server.publish("a", "after");
        server.publish("b", "after, too");
        assert_eq!(test_hold.peer_io.length(), length, "written after the end");
        assert!(!(first && second), "two first causes");
        let cause = test_hold.cause().expect("a cause");
        let is_answer = form == WireForm::LongPoll && cause == "answered";
        assert!(first || second || is_answer, "{cause}");
        if first || second {
            assert_eq!(cause, if first { "released" } else { "gone" });
        }
        server.log.check_order(&test_hold.texts());
        server.close(vec![test_hold]);
    }
}

fn keeping() -> TestConfig {
    TestConfig::keeping(&["a"], Retention::new().count(1))
}

/// A stream, plain topics.
#[test]
fn a_stream_ends_once_among_concurrent_operations() {
    explore(one_cause(SSE, TestConfig::default));
}

/// A stream, a topic with a history.
#[test]
fn a_stream_that_follows_a_history_ends_once_among_concurrent_operations() {
    explore(one_cause(SSE, keeping));
}

/// A long poll, whose answer is an end, too; plain topics.
#[test]
fn a_long_poll_ends_once_among_concurrent_operations() {
    explore(one_cause(WireForm::LongPoll, TestConfig::default));
}

/// A long poll, a topic with a history.
#[test]
fn a_long_poll_that_follows_a_history_ends_once_among_concurrent_operations() {
    explore(one_cause(WireForm::LongPoll, keeping));
}

/// All holds are ended while new ones begin, and settle while publishers still have handles on them.
#[test]
fn a_drain_races_with_newcomers_publishers_and_settling() {
    explore(|| {
        let server = TestServer::new(TestConfig::keeping(&["k"], Retention::new().count(1)));
        let early = server.open_hold(&["a", "k"]);
        let newcomer = scope(|scope| {
            scope.spawn(|| {
                publish(&server, "a", "x", 1);
                publish(&server, "k", "y", 1);
            });
            let newcomer =
                scope.spawn(|| server.try_begin_hold(SSE, &["k", "a"], ResumePoint::New, usize::MAX).ok());
            scope.spawn(|| {
                early.attend();
                server.keeper.settle(&early.hold);
            });
            server.keeper.refuse_new_holds();
            server.keeper.end_all(&Resume::Drained.into());
            newcomer.join().expect("came")
        });
        assert_eq!(early.cause(), Some("drained"));
        assert!(
            newcomer.iter().all(|test_hold| test_hold.cause() == Some("drained")),
            "came through closed doors"
        );
        server.close(newcomer.into_iter().chain([early]).collect());
    });
}

/// Each hold has its turn, while messages come, one hold begins and one ends by itself. `hurry` is another thread. Each
/// hold ends once, and misses nothing before its turn.
fn turns(hurry: Option<fn(&TestServer)>) -> impl Fn() + Clone + Send + Sync + 'static {
    move || {
        let server = TestServer::new(TestConfig::keeping(&["k"], Retention::new().count(2)));
        let [leaving, stream] = [server.open_hold(&["a", "k"]), server.open_hold(&["a", "k"])];
        let poll = server.begin_hold(WireForm::LongPoll, &["a"], ResumePoint::New);
        poll.hold.open(Vec::new());
        let test_holds = [&leaving, &stream, &poll];
        let newcomer = scope(|scope| {
            scope.spawn(|| {
                publish(&server, "k", "y", 1);
                publish(&server, "a", "x", 1);
            });
            let newcomer =
                scope.spawn(|| server.try_begin_hold(SSE, &["k", "a"], ResumePoint::New, usize::MAX).ok());
            scope.spawn(|| server.end(&leaving, Disconnect::Gone));
            let hurried = hurry.map(|hurry| {
                let server = &server;
                scope.spawn(move || server.log.time(|| hurry(server)).0)
            });
            for test_hold in test_holds {
                scope.spawn(|| {
                    test_hold.attend();
                    // The answer of a poll would be forgotten with that.
                    if test_hold.hold.form != WireForm::LongPoll {
                        server.keeper.settle(&test_hold.hold);
                    }
                });
            }
            let (span, departures) = server.log.time(|| {
                let mut departures = server.keeper.plan_drain(fastrand::Rng::with_seed(7));
                for turn in 1..=4 {
                    server.keeper.depart(&mut departures, Duration::from_millis(20 * turn));
                }
                departures
            });
            assert_eq!(departures.next(), None, "every hold had a turn");
            let hurried = hurried.map(|hurried| hurried.join().expect("hurried"));
            for span in [Some(span), hurried].into_iter().flatten() {
                test_holds.iter().for_each(|test_hold| test_hold.record_end(span));
            }
            newcomer.join().expect("came")
        });
        let ends = ["drained", "shutdown", "gone", "answered"];
        for test_hold in test_holds {
            let cause = test_hold.cause().expect("a cause");
            assert!(ends.contains(&cause), "{cause}");
            test_hold.check(&server.log);
        }
        // A hold that began before new ones were refused had a turn as well.
        assert!(
            newcomer
                .iter()
                .all(|test_hold| ["drained", "shutdown"].contains(&test_hold.cause().expect("a cause")))
        );
        server.close(newcomer.into_iter().chain([leaving, stream, poll]).collect());
    }
}

/// A drain that has its time.
#[test]
fn every_hold_has_a_turn_in_a_drain_among_concurrent_operations() {
    explore(turns(None));
}

/// A drain that is cut short by a second signal.
#[test]
fn a_drain_that_is_cut_short_ends_every_hold_once() {
    explore(turns(Some(|server| {
        server.keeper.refuse_new_holds();
        server.keeper.cut_endings();
        server.keeper.end_all(&Disconnect::Shutdown.into());
    })));
}

/// Two requests want the permit of the oldest hold, which ends at the same time.
#[test]
fn no_permit_is_given_twice_where_the_oldest_makes_room() {
    explore(|| {
        let config = TestConfig::default();
        let settings = EndpointOptions { when_full: Some(WhenFull::ResumeOldest), ..config.settings };
        let server = TestServer::new(TestConfig { settings, ..config });
        let mut test_holds: Vec<_> = (0..MAX_HOLDS).map(|_| server.open_hold(&["a"])).collect();
        // So old that they may be evicted.
        pass(Duration::from_millis(900));
        server.keeper.sweep();
        pass(Duration::from_millis(900));
        let newcomers = scope(|scope| {
            scope.spawn(|| publish(&server, "a", "x", 2));
            scope.spawn(|| {
                server.end(&test_holds[0], Disconnect::Gone);
                server.keeper.settle(&test_holds[0].hold);
            });
            let other = scope.spawn(|| server.try_begin_hold(SSE, &["a"], ResumePoint::New, usize::MAX));
            let own = server.try_begin_hold(SSE, &["a"], ResumePoint::New, usize::MAX);
            [own, other.join().expect("came")]
        });
        let counts = server.keeper.counts();
        assert_eq!((counts.held, counts.peak), (MAX_HOLDS, MAX_HOLDS));
        let evicted = test_holds.iter().filter(|test_hold| test_hold.cause() == Some("evicted")).count();
        let is_by_itself = test_holds[0].cause() == Some("gone");
        assert_eq!(evicted + usize::from(is_by_itself), 2, "one for each");
        for newcomer in newcomers {
            let newcomer = newcomer.unwrap_or_else(|refused| panic!("there was room: {refused:?}"));
            newcomer.hold.open(Vec::new());
            newcomer.check(&server.log);
            test_holds.push(newcomer);
        }
        server.close(test_holds);
    });
}

/// A sender waits for room. Meanwhile the peer takes everything, or the hold ends.
fn waits_to_send(meanwhile: fn(&TestServer, &TestHold)) -> Result<(), SendError> {
    let config = TestConfig::default();
    // Room for one message.
    let settings = EndpointOptions { send_buffer: Some(80), ..config.settings };
    let server = TestServer::new(TestConfig { settings, ..config });
    let test_hold = server.try_begin_hold(SSE, &[], ResumePoint::New, 5).expect("there is room");
    test_hold.hold.open(Vec::new());
    let held = Held::new(test_hold.hold.clone());
    held.send("first").expect("there is room");
    let sent = scope(|scope| {
        scope.spawn(|| test_hold.attend());
        let sending = scope.spawn(|| block_on(held.send_when_ready("second")));
        scope.spawn(|| meanwhile(&server, &test_hold));
        let sent = sending.join().expect("sent, or not");
        if sent.is_ok() {
            test_hold.wait_for(2);
        }
        server.end(&test_hold, Disconnect::Gone);
        sent
    });
    drop(held);
    server.close(vec![test_hold]);
    sent
}

/// When the peer takes what waits, a sender that waits is notified.
#[test]
fn a_sender_that_waits_is_notified_of_room() {
    explore(|| assert_eq!(waits_to_send(|_, test_hold| test_hold.peer_io.widen(usize::MAX)), Ok(())));
}

/// When the hold ends, a sender that waits is notified.
#[test]
fn a_sender_that_waits_is_notified_of_the_end() {
    explore(|| {
        let sent = waits_to_send(|server, test_hold| _ = server.end(test_hold, Disconnect::Reset));
        assert_eq!(sent, Err(SendError::Ended("second".into())));
    });
}

/// A task that waits until all is quiet is notified, when the last hold or the last end hook ends.
#[test]
fn a_task_that_waits_for_quiet_is_notified() {
    explore(|| {
        let server = TestServer::new(TestConfig::default());
        let (one, two) = (server.open_hold(&["a"]), server.open_hold(&["a"]));
        let hook = server.keeper.begin_hook();
        scope(|scope| {
            for test_hold in [&one, &two] {
                scope.spawn(|| {
                    server.end(test_hold, Disconnect::Gone);
                    server.keeper.settle(&test_hold.hold);
                });
            }
            scope.spawn(|| drop(hook));
            block_on(server.keeper.quiet());
        });
        server.close(vec![one, two]);
    });
}

/// A hold whose peer stops taking for a while gets everything, woken by publishers, by the peer and by its end.
#[test]
fn no_wake_up_is_lost() {
    explore(|| {
        let server = TestServer::new(TestConfig::default());
        let test_hold = server.try_begin_hold(SSE, &["a"], ResumePoint::New, 5).expect("there is room");
        scope(|scope| {
            scope.spawn(|| test_hold.attend());
            scope.spawn(|| publish(&server, "a", "x", 2));
            scope.spawn(|| {
                test_hold.peer_io.widen(20);
                test_hold.peer_io.widen(usize::MAX);
            });
            test_hold.hold.open(Vec::new());
            test_hold.wait_for(2);
            server.end(&test_hold, Disconnect::Gone);
        });
        test_hold.check(&server.log);
        server.close(vec![test_hold]);
    });
}
