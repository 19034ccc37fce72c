//! What is published later: once, or not at all where its topic ends or somebody cancels it; and nothing is left of it.

use std::time::Duration;

use shuttle::future::block_on;

use crate::keeper::hub::Hub;
use crate::keeper::schedule::Job;
use crate::keeper::time::Time;
use crate::model::explore::{explore, pass, scope};
use crate::model::house::{Plans, TestKeeper};
use abeyance_core::words::cause::Disconnect;
use abeyance_core::words::retention::Retention;

/// What the sweep does when a period has passed.
fn sweep(house: &TestKeeper) {
    pass(Time::PERIOD);
    house.keeper.sweep();
}

/// Publishes what is due, as the server's own task does when it is told; says how much.
fn publish_due(house: &TestKeeper) -> usize {
    let now = house.keeper.time().swept();
    let mut count = 0;
    while let Some(due) = house.keeper.take_due(now) {
        let Job::Message(message) = due.job else { panic!("nobody scheduled a maker") };
        house.publish("a", message.as_text().expect("text"));
        count += 1;
        if due.comes_again {
            drop(house.keeper.put_back(due.number, Job::Message(message), now));
        }
    }
    count
}

/// One message: it is published, or cancelled by whoever holds it, or ends with its topic.
fn comes_once_or_never(plans: fn() -> Plans) -> impl Fn() + Clone + Send + Sync + 'static {
    move || {
        let house = TestKeeper::new(plans());
        let hub = Hub::new(house.keeper.clone());
        let guest = house.come(&["a"]);
        let scheduled = hub.publish_after(Duration::ZERO, "a", "later").expect("scheduled");
        sweep(&house);
        let (published, is_cancelled) = scope(|scope| {
            let publishing = scope.spawn(|| publish_due(&house));
            scope.spawn(|| {
                house.end(&guest, Disconnect::Gone);
                house.keeper.settle(&guest.hold);
            });
            let is_cancelled = scheduled.cancel();
            (publishing.join().expect("published"), is_cancelled)
        });
        let ended = house.keeper.take_cancelled().len();
        assert_eq!(published + usize::from(is_cancelled) + ended, 1);
        assert_eq!(hub.scheduled(), 0);
        drop(hub);
        house.close(vec![guest]);
    }
}

/// For a topic that keeps nothing.
#[test]
fn what_is_scheduled_comes_once_or_never() {
    explore(comes_once_or_never(Plans::default));
}

/// For one that keeps something.
#[test]
fn what_is_scheduled_for_a_topic_with_a_past_comes_once_or_never() {
    explore(comes_once_or_never(|| Plans::keeping(&["a"], Retention::default())));
}

/// What comes again and again ends with its topic: when nobody follows it and nothing of its past is kept, whichever
/// comes last. While somebody stays, it goes on.
#[test]
fn what_comes_again_ends_with_its_topic() {
    explore(|| {
        let plans = Plans::keeping(&["a"], Retention::new().age(Duration::from_millis(30)));
        let house = TestKeeper::new(plans);
        let hub = Hub::new(house.keeper.clone());
        let leaving = house.come(&["a"]);
        let never = Duration::from_secs(60);
        hub.publish_every(never, "a", "again").expect("scheduled").detach();
        house.publish("a", "past");
        let staying = scope(|scope| {
            scope.spawn(|| {
                // What has ended is dropped by whoever publishes, who is told.
                while house.keeper.take_cancelled().is_empty() {
                    block_on(house.keeper.due());
                }
            });
            scope.spawn(|| {
                // The past is forgotten.
                sweep(&house);
                sweep(&house);
            });
            scope.spawn(|| leaving.leave(&house, "a"));
            let staying = house.come(&["a"]);
            staying.leave(&house, "a");
            staying
        });
        assert_eq!(hub.scheduled(), 0, "its topic has ended");
        drop(hub);
        house.close(vec![leaving, staying]);
    });
}

/// What is scheduled for a topic that somebody has joined waits for its time, whoever else leaves.
#[test]
fn what_comes_again_goes_on_while_somebody_stays() {
    explore(|| {
        let house = TestKeeper::new(Plans::default());
        let hub = Hub::new(house.keeper.clone());
        let leaving = house.come(&["a"]);
        let again = hub.publish_every(Duration::from_secs(60), "a", "again").expect("scheduled");
        let staying = house.come(&[]);
        scope(|scope| {
            scope.spawn(|| {
                // Only when somebody else is there: else the topic ends, and rightly.
                staying.join(&house, "a");
                leaving.leave(&house, "a");
            });
            scope.spawn(|| {
                staying.join(&house, "b");
                staying.leave(&house, "b");
            });
            house.publish("a", "now");
        });
        assert_eq!(hub.scheduled(), 1);
        assert!(again.cancel());
        drop(hub);
        house.close(vec![leaving, staying]);
    });
}

/// Whoever publishes what is due is told, however the sweep and the scheduling meet.
#[test]
fn whoever_publishes_hears_of_what_is_due() {
    explore(|| {
        let house = TestKeeper::new(Plans::default());
        let hub = Hub::new(house.keeper.clone());
        let guest = house.come(&["a"]);
        scope(|scope| {
            scope.spawn(|| {
                let mut count = 0;
                while count < 2 {
                    block_on(house.keeper.due());
                    count += publish_due(&house);
                }
            });
            let scheduling = scope.spawn(|| {
                for text in ["one", "two"] {
                    hub.publish_after(Duration::ZERO, "a", text).expect("scheduled").detach();
                }
            });
            sweep(&house);
            scheduling.join().expect("scheduled");
            sweep(&house);
        });
        assert_eq!(guest.texts(), ["one", "two"]);
        drop(hub);
        house.close(vec![guest]);
    });
}
