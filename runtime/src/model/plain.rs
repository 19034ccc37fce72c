//! Topics that keep nothing: whoever has joined gets what is published, once, and in order.

use crate::keeper::archive::ResumePoint;
use crate::model::explore::{explore, scope};
use crate::model::guest::TestHold;
use crate::model::house::{Plans, SSE, TestKeeper};
use abeyance_core::mechanisms::wire::WireForm;
use abeyance_core::words::cause::{Disconnect, Resume};

/// Publishes so many messages, one after the other; their texts begin with `name`.
pub(crate) fn publish(house: &TestKeeper, topic: &'static str, name: &str, count: usize) {
    (0..count).for_each(|number| _ = house.publish(topic, &format!("{name}{number}")));
}

/// As many as were accepted were given to somebody, or are known not to have been. Of topics with a history that is
/// not so exact: a message may come with another, and count for a hold that leaves or joins just then, or not.
fn check_counts(house: &TestKeeper, guests: &[TestHold]) {
    let accepted: usize = house.chronicle.publications().iter().map(|one| one.accepted).sum();
    assert_eq!(guests.iter().map(TestHold::accepted).sum::<usize>(), accepted);
}

/// Two publishers, one member that leaves and one that ends.
#[test]
fn members_come_and_go() {
    explore(|| {
        let house = TestKeeper::new(Plans::default());
        let guests = scope(|scope| {
            scope.spawn(|| publish(&house, "a", "x", 2));
            scope.spawn(|| publish(&house, "a", "y", 2));
            let leaving = scope.spawn(|| {
                let guest = house.come(&["a"]);
                guest.leave(&house, "a");
                guest
            });
            let guest = house.come(&[]);
            guest.join(&house, "a");
            house.end(&guest, Disconnect::Gone);
            vec![guest, leaving.join().expect("left")]
        });
        guests.iter().for_each(|guest| guest.check(&house.chronicle));
        check_counts(&house, &guests);
        house.close(guests);
    });
}

/// A member leaves and joins again, of two topics, while somebody else joins with it and as it.
#[test]
fn a_member_joins_again_and_again() {
    explore(|| {
        let house = TestKeeper::new(Plans::default());
        let guest = house.come(&["a"]);
        scope(|scope| {
            scope.spawn(|| publish(&house, "a", "x", 3));
            scope.spawn(|| publish(&house, "b", "y", 3));
            scope.spawn(|| guest.join(&house, "b"));
            guest.join(&house, "b");
            guest.leave(&house, "a");
            guest.join(&house, "a");
        });
        guest.check(&house.chronicle);
        check_counts(&house, std::slice::from_ref(&guest));
        house.close(vec![guest]);
    });
}

/// Two threads join one topic with one hold and leave it, in both orders, and end it in the end.
#[test]
fn a_hold_is_a_member_once_or_not_at_all() {
    explore(|| {
        let house = TestKeeper::new(Plans::default());
        let guest = house.come(&["a"]);
        let (keeper, hold) = (&house.keeper, &guest.hold);
        scope(|scope| {
            scope.spawn(|| {
                let _ = keeper.join(hold, "a".into());
                keeper.leave(hold, "a");
            });
            scope.spawn(|| publish(&house, "a", "x", 2));
            keeper.leave(hold, "a");
            let _ = keeper.join(hold, "a".into());
            house.end(&guest, Disconnect::Gone);
        });
        house.chronicle.check_order(&guest.texts());
        check_counts(&house, std::slice::from_ref(&guest));
        house.close(vec![guest]);
    });
}

/// What is published while a hold opens waits for the replies.
#[test]
fn what_is_published_while_a_hold_opens_comes_behind_the_replies() {
    explore(|| {
        let house = TestKeeper::new(Plans::default());
        let guest = scope(|scope| {
            scope.spawn(|| publish(&house, "a", "x", 2));
            scope.spawn(|| publish(&house, "a", "y", 2));
            let guest = house.arrive(SSE, &["a"], ResumePoint::New);
            guest.hold.open(vec!["reply".into()]);
            guest
        });
        let texts = guest.texts();
        assert_eq!(texts[0], "reply");
        house.chronicle.check_order(&texts[1..]);
        let known = house.chronicle.publications();
        let accepted: usize = known.iter().map(|one| one.accepted).sum();
        assert_eq!(texts.len() - 1, accepted, "{texts:?}");
        house.close(vec![guest]);
    });
}

/// A long poll is answered with what was published, once, whenever it opens.
#[test]
fn a_long_poll_has_one_answer() {
    explore(|| {
        let house = TestKeeper::new(Plans::default());
        let guest = scope(|scope| {
            let publisher = scope.spawn(|| publish(&house, "a", "x", 2));
            scope.spawn(|| publish(&house, "a", "y", 2));
            let guest = house.arrive(WireForm::LongPoll, &["a"], ResumePoint::New);
            guest.hold.open(Vec::new());
            publisher.join().expect("published");
            house.end(&guest, Resume::Timeout);
            guest
        });
        let texts = guest.texts();
        house.chronicle.check_order(&texts);
        check_counts(&house, std::slice::from_ref(&guest));
        assert_eq!(guest.cause(), Some(if texts.is_empty() { "timeout" } else { "answered" }));
        house.close(vec![guest]);
    });
}
