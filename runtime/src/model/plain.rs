//! Topics that keep nothing: every member gets what is published, once, and in order.

use crate::keeper::archive::ResumePoint;
use crate::model::explore::{explore, scope};
use crate::model::test_hold::TestHold;
use crate::model::test_server::{SSE, TestConfig, TestServer};
use abeyance_core::mechanisms::wire::WireForm;
use abeyance_core::words::cause::{Disconnect, Resume};

/// Publishes so many messages, one after the other; their texts begin with `name`.
pub(crate) fn publish(server: &TestServer, topic: &'static str, name: &str, count: usize) {
    (0..count).for_each(|number| _ = server.publish(topic, &format!("{name}{number}")));
}

/// As many as were accepted were given to a hold, or are counted as undelivered. Of topics with a history that is
/// not so exact: a message may come with another, and count for a hold that leaves or joins just then, or not.
fn check_counts(server: &TestServer, test_holds: &[TestHold]) {
    let accepted: usize = server.log.publications().iter().map(|one| one.accepted).sum();
    assert_eq!(test_holds.iter().map(TestHold::accepted).sum::<usize>(), accepted);
}

/// Two publishers, one member that leaves and one that ends.
#[test]
fn members_come_and_go() {
    explore(|| {
        let server = TestServer::new(TestConfig::default());
        let test_holds = scope(|scope| {
            scope.spawn(|| publish(&server, "a", "x", 2));
            scope.spawn(|| publish(&server, "a", "y", 2));
            let leaving = scope.spawn(|| {
                let test_hold = server.open_hold(&["a"]);
                test_hold.leave(&server, "a");
                test_hold
            });
            let test_hold = server.open_hold(&[]);
            test_hold.join(&server, "a");
            server.end(&test_hold, Disconnect::Gone);
            vec![test_hold, leaving.join().expect("left")]
        });
        test_holds.iter().for_each(|test_hold| test_hold.check(&server.log));
        check_counts(&server, &test_holds);
        server.close(test_holds);
    });
}

/// A member leaves and joins again, of two topics, while another thread joins the same hold.
#[test]
fn a_member_joins_again_and_again() {
    explore(|| {
        let server = TestServer::new(TestConfig::default());
        let test_hold = server.open_hold(&["a"]);
        scope(|scope| {
            scope.spawn(|| publish(&server, "a", "x", 3));
            scope.spawn(|| publish(&server, "b", "y", 3));
            scope.spawn(|| test_hold.join(&server, "b"));
            test_hold.join(&server, "b");
            test_hold.leave(&server, "a");
            test_hold.join(&server, "a");
        });
        test_hold.check(&server.log);
        check_counts(&server, std::slice::from_ref(&test_hold));
        server.close(vec![test_hold]);
    });
}

/// Two threads join one topic with one hold and leave it, in both orders, and end it in the end.
#[test]
fn a_hold_is_a_member_once_or_not_at_all() {
    explore(|| {
        let server = TestServer::new(TestConfig::default());
        let test_hold = server.open_hold(&["a"]);
        let (keeper, hold) = (&server.keeper, &test_hold.hold);
        scope(|scope| {
            scope.spawn(|| {
                let _ = keeper.join(hold, "a".into());
                keeper.leave(hold, "a");
            });
            scope.spawn(|| publish(&server, "a", "x", 2));
            keeper.leave(hold, "a");
            let _ = keeper.join(hold, "a".into());
            server.end(&test_hold, Disconnect::Gone);
        });
        server.log.check_order(&test_hold.texts());
        check_counts(&server, std::slice::from_ref(&test_hold));
        server.close(vec![test_hold]);
    });
}

/// What is published while a hold opens waits for the replies.
#[test]
fn what_is_published_while_a_hold_opens_comes_behind_the_replies() {
    explore(|| {
        let server = TestServer::new(TestConfig::default());
        let test_hold = scope(|scope| {
            scope.spawn(|| publish(&server, "a", "x", 2));
            scope.spawn(|| publish(&server, "a", "y", 2));
            let test_hold = server.begin_hold(SSE, &["a"], ResumePoint::New);
            test_hold.hold.open(vec!["reply".into()]);
            test_hold
        });
        let texts = test_hold.texts();
        assert_eq!(texts[0], "reply");
        server.log.check_order(&texts[1..]);
        let known = server.log.publications();
        let accepted: usize = known.iter().map(|one| one.accepted).sum();
        assert_eq!(texts.len() - 1, accepted, "{texts:?}");
        server.close(vec![test_hold]);
    });
}

/// A long poll is answered with what was published, once, whenever it opens.
#[test]
fn a_long_poll_has_one_answer() {
    explore(|| {
        let server = TestServer::new(TestConfig::default());
        let test_hold = scope(|scope| {
            let publisher = scope.spawn(|| publish(&server, "a", "x", 2));
            scope.spawn(|| publish(&server, "a", "y", 2));
            let test_hold = server.begin_hold(WireForm::LongPoll, &["a"], ResumePoint::New);
            test_hold.hold.open(Vec::new());
            publisher.join().expect("published");
            server.end(&test_hold, Resume::Timeout);
            test_hold
        });
        let texts = test_hold.texts();
        server.log.check_order(&texts);
        check_counts(&server, std::slice::from_ref(&test_hold));
        assert_eq!(test_hold.cause(), Some(if texts.is_empty() { "timeout" } else { "answered" }));
        server.close(vec![test_hold]);
    });
}
