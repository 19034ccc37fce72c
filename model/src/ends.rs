//! Ends that race with everything else: one cause, nothing after it, and nothing left.

use crate::explore::{explore, scope};
use crate::guest::Guest;
use crate::house::{House, Plans, SSE};
use crate::keeper::archive::Arrival;
use crate::keeper::send::Origin;
use crate::mechanisms::wire::{Encoded, Form};
use crate::plain::publish;
use crate::words::cause::{Disconnect, End, Resume};
use crate::words::keep::Keep;
use crate::words::message::Message;
use shuttle::future::block_on;

/// Ends a hold; from when that returns nothing more is written to it.
fn end(house: &House, guest: &Guest, end: impl Into<End>) -> bool {
    let is_first = house.end(guest, end);
    let (cause, length) = (guest.cause(), guest.line.length());
    assert!(cause.is_some());
    let direct = guest.hold.send(&Encoded::new(&Message::from("late")), Origin::Direct);
    assert!(direct.is_err(), "an end takes nothing more");
    guest.join(house, "late");
    assert_eq!((guest.cause(), guest.line.length()), (cause, length));
    is_first
}

/// Two ends, a send, a join and messages of a topic, all at once, of each kind of topic and of hold.
fn one_cause(form: Form, plans: fn() -> Plans) -> impl Fn() + Clone + Send + Sync + 'static {
    move || {
        let house = House::new(plans());
        let guest = house.arrive(form, &["a"], Arrival::New);
        let (first, second) = scope(|scope| {
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
        let length = guest.line.length();
        house.publish("a", "after");
        house.publish("b", "after, too");
        assert_eq!(guest.line.length(), length);
        assert!(!(first && second), "two first causes");
        let cause = guest.cause().expect("a cause");
        let is_answer = form == Form::LongPoll && cause == "answered";
        assert!(first || second || is_answer, "{cause}");
        if first || second {
            assert_eq!(cause, if first { "released" } else { "gone" });
        }
        house.chronicle.check_order(&guest.texts());
        house.close(vec![guest]);
    }
}

fn keeping() -> Plans {
    Plans::keeping(&["a"], Keep { count: 1, ..Keep::default() })
}

/// A stream, plain topics.
pub fn a_stream_ends_once_whatever_comes_at_once() {
    explore(one_cause(SSE, Plans::default));
}

/// A stream, a topic with a history.
pub fn a_stream_that_follows_a_history_ends_once_whatever_comes_at_once() {
    explore(one_cause(SSE, keeping));
}

/// A long poll, whose answer is an end, too.
pub fn a_long_poll_ends_once_whatever_comes_at_once() {
    explore(one_cause(Form::LongPoll, Plans::default));
    explore(one_cause(Form::LongPoll, keeping));
}

/// Everybody is ended while newcomers arrive, and settles while publishers still have it in hand.
pub fn a_drain_races_with_newcomers_publishers_and_settling() {
    explore(|| {
        let house = House::new(Plans::keeping(&["k"], Keep { count: 1, ..Keep::default() }));
        let early = house.come(&["a", "k"]);
        let newcomer = scope(|scope| {
            scope.spawn(|| {
                publish(&house, "a", "x", 1);
                publish(&house, "k", "y", 1);
            });
            let newcomer = scope.spawn(|| house.try_arrive(SSE, &["k", "a"], Arrival::New, usize::MAX).ok());
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

/// Whoever waits until all is quiet hears of it, whoever is last: a hold, or an end hook.
pub fn whoever_waits_for_quiet_hears_of_it() {
    explore(|| {
        let house = House::new(Plans::default());
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
pub fn no_wake_up_is_lost() {
    explore(|| {
        let house = House::new(Plans::default());
        let guest = house.try_arrive(SSE, &["a"], Arrival::New, 5).expect("there is a place");
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
        guest.check(&house.chronicle, |_| false);
        house.close(vec![guest]);
    });
}
