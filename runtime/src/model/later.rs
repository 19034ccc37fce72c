//! What is published later: once, or not at all if its topic ends or it is cancelled. Nothing is left of it.

use std::time::Duration;

use shuttle::future::block_on;

use crate::keeper::hub::Hub;
use crate::keeper::schedule::Job;
use crate::keeper::time::Time;
use crate::model::explore::{explore, pass, scope};
use crate::model::test_server::{TestConfig, TestServer};
use abeyance_core::words::cause::Disconnect;
use abeyance_core::words::retention::Retention;

/// What the sweep does when a period has passed.
fn sweep(server: &TestServer) {
    pass(Time::PERIOD);
    server.keeper.sweep();
}

/// Publishes what is due, as the server's own task does when it is told; says how much.
fn publish_due(server: &TestServer) -> usize {
    let now = server.keeper.time().swept();
    let mut count = 0;
    while let Some(due) = server.keeper.take_due(now) {
        let Job::Message(message) = due.job else { panic!("no maker was scheduled") };
        server.publish("a", message.as_text().expect("text"));
        count += 1;
        if due.comes_again {
            drop(server.keeper.put_back(due.number, Job::Message(message), now));
        }
    }
    count
}

/// One message: it is published, cancelled by its handle, or ends with its topic.
fn comes_once_or_never(config: fn() -> TestConfig) -> impl Fn() + Clone + Send + Sync + 'static {
    move || {
        let server = TestServer::new(config());
        let hub = Hub::new(server.keeper.clone());
        let test_hold = server.open_hold(&["a"]);
        let scheduled = hub.publish_after(Duration::ZERO, "a", "later").expect("scheduled");
        sweep(&server);
        let (published, is_cancelled) = scope(|scope| {
            let publishing = scope.spawn(|| publish_due(&server));
            scope.spawn(|| {
                server.end(&test_hold, Disconnect::Gone);
                server.keeper.settle(&test_hold.hold);
            });
            let is_cancelled = scheduled.cancel();
            (publishing.join().expect("published"), is_cancelled)
        });
        let ended = server.keeper.take_cancelled().len();
        assert_eq!(published + usize::from(is_cancelled) + ended, 1);
        assert_eq!(hub.scheduled(), 0);
        drop(hub);
        server.close(vec![test_hold]);
    }
}

/// For a topic that keeps nothing.
#[test]
fn what_is_scheduled_comes_once_or_never() {
    explore(comes_once_or_never(TestConfig::default));
}

/// For one that keeps something.
#[test]
fn what_is_scheduled_for_a_topic_with_a_past_comes_once_or_never() {
    explore(comes_once_or_never(|| TestConfig::keeping(&["a"], Retention::default())));
}

/// A periodic publication ends with its topic: when the topic has neither members nor a history. It goes on while the
/// topic has members.
#[test]
fn what_comes_again_ends_with_its_topic() {
    explore(|| {
        let config = TestConfig::keeping(&["a"], Retention::new().age(Duration::from_millis(30)));
        let server = TestServer::new(config);
        let hub = Hub::new(server.keeper.clone());
        let leaving = server.open_hold(&["a"]);
        let never = Duration::from_secs(60);
        hub.publish_every(never, "a", "again").expect("scheduled").detach();
        server.publish("a", "past");
        let staying = scope(|scope| {
            scope.spawn(|| {
                // The publishing task is notified, and drops what was cancelled.
                while server.keeper.take_cancelled().is_empty() {
                    block_on(server.keeper.due());
                }
            });
            scope.spawn(|| {
                // The past is forgotten.
                sweep(&server);
                sweep(&server);
            });
            scope.spawn(|| leaving.leave(&server, "a"));
            let staying = server.open_hold(&["a"]);
            staying.leave(&server, "a");
            staying
        });
        assert_eq!(hub.scheduled(), 0, "its topic has ended");
        drop(hub);
        server.close(vec![leaving, staying]);
    });
}

/// A publication to a topic with members waits for its time, although other members leave.
#[test]
fn a_periodic_publication_goes_on_while_the_topic_has_members() {
    explore(|| {
        let server = TestServer::new(TestConfig::default());
        let hub = Hub::new(server.keeper.clone());
        let leaving = server.open_hold(&["a"]);
        let again = hub.publish_every(Duration::from_secs(60), "a", "again").expect("scheduled");
        let staying = server.open_hold(&[]);
        scope(|scope| {
            scope.spawn(|| {
                // Only while the topic has another member. Otherwise it would end, rightly.
                staying.join(&server, "a");
                leaving.leave(&server, "a");
            });
            scope.spawn(|| {
                staying.join(&server, "b");
                staying.leave(&server, "b");
            });
            server.publish("a", "now");
        });
        assert_eq!(hub.scheduled(), 1);
        assert!(again.cancel());
        drop(hub);
        server.close(vec![leaving, staying]);
    });
}

/// The publishing task is notified of what is due, in every order of the sweep and the scheduling.
#[test]
fn the_publishing_task_is_notified_of_what_is_due() {
    explore(|| {
        let server = TestServer::new(TestConfig::default());
        let hub = Hub::new(server.keeper.clone());
        let test_hold = server.open_hold(&["a"]);
        scope(|scope| {
            scope.spawn(|| {
                let mut count = 0;
                while count < 2 {
                    block_on(server.keeper.due());
                    count += publish_due(&server);
                }
            });
            let scheduling = scope.spawn(|| {
                for text in ["one", "two"] {
                    hub.publish_after(Duration::ZERO, "a", text).expect("scheduled").detach();
                }
            });
            sweep(&server);
            scheduling.join().expect("scheduled");
            sweep(&server);
        });
        assert_eq!(test_hold.texts(), ["one", "two"]);
        drop(hub);
        server.close(vec![test_hold]);
    });
}
