//! What waits for all peers together: counted right, and within its bound, whatever is queued, read and ended at once.

use crate::keeper::archive::ResumePoint;
use crate::keeper::ended::Ended;
use crate::keeper::hub::Hub;
use crate::model::client::Client;
use crate::model::explore::{explore, scope};
use crate::model::guest::TestHold;
use crate::model::house::{Plans, SSE, TestKeeper};
use crate::model::plain::publish;
use crate::model::sequence::Sequence;
use crate::settings::ServerConfig;
use abeyance_core::words::cause::{Disconnect, Resume};
use abeyance_core::words::retention::Retention;
use abeyance_settings::endpoint::{EndpointOptions, WhenSlow};

/// Room for six messages or so.
const BOUND: usize = 500;

/// A house in which so much may wait for all peers.
fn house(memory: usize, when_slow: WhenSlow, plans: Plans) -> TestKeeper {
    let settings = EndpointOptions { when_slow: Some(when_slow), ..plans.settings };
    TestKeeper::new(Plans {
        settings,
        server_config: ServerConfig { max_buffered: memory, ..plans.server_config },
    })
}

/// A hold whose peer takes nothing.
fn deaf(house: &TestKeeper, topics: &[&'static str]) -> TestHold {
    let guest = house.try_arrive(SSE, topics, ResumePoint::New, 0).expect("there is a place");
    guest.hold.open(Vec::new());
    guest
}

fn waiting(house: &TestKeeper) -> usize {
    Hub::new(house.keeper.clone()).stats().waiting
}

/// Two publishers queue more than may wait, for peers that take nothing, that read on, or that just end.
#[test]
fn whoever_has_queued_something_leaves_no_more_than_may_wait() {
    explore(|| {
        let house = house(BOUND, WhenSlow::Disconnect, Plans::default());
        let [deaf, reading, ending] = [&["a"][..], &["a", "b"], &["b"]].map(|topics| deaf(&house, topics));
        scope(|scope| {
            scope.spawn(|| publish(&house, "a", "x", 3));
            scope.spawn(|| {
                reading.line.widen(30);
                let _ = reading.flush();
            });
            scope.spawn(|| house.end(&ending, Resume::Released));
            publish(&house, "b", "y", 3);
        });
        assert!(waiting(&house) <= BOUND, "{} wait", waiting(&house));
        for guest in [&deaf, &reading] {
            assert!(matches!(guest.cause(), None | Some("slow")));
        }
        house.close(vec![deaf, reading, ending]);
    });
}

/// Where the terms have messages dropped, nobody is ended for others, and every message is delivered or counted.
fn drops(when_slow: WhenSlow) -> impl Fn() + Clone + Send + Sync + 'static {
    move || {
        let house = house(BOUND, when_slow, Plans::default());
        let guests = [&["a"][..], &["a", "b"]].map(|topics| deaf(&house, topics));
        scope(|scope| {
            scope.spawn(|| publish(&house, "a", "x", 3));
            scope.spawn(|| {
                guests[0].line.widen(30);
                let _ = guests[0].flush();
            });
            publish(&house, "b", "y", 3);
        });
        assert!(waiting(&house) <= BOUND);
        let mut dropped = 0;
        for (guest, published) in guests.iter().zip([3, 6]) {
            assert_eq!(guest.cause(), None);
            guest.line.widen(usize::MAX);
            assert!(guest.flush().is_ready());
            let ended = Ended::of(&guest.hold, true);
            house.chronicle.check_order(&guest.texts());
            assert_eq!(guest.texts().len() as u64 + ended.dropped(), published);
            dropped += ended.dropped();
        }
        assert_eq!(Hub::new(house.keeper.clone()).stats().dropped, dropped);
        house.close(guests.into());
    }
}

/// The oldest first.
#[test]
fn what_is_dropped_for_others_is_counted_once_oldest_first() {
    explore(drops(WhenSlow::DropOldest));
}

/// The newest first.
#[test]
fn what_is_dropped_for_others_is_counted_once_newest_first() {
    explore(drops(WhenSlow::DropNewest));
}

/// A poll that opens when there is no room for anybody is answered with what has come, and its client misses nothing.
#[test]
fn a_long_poll_that_makes_room_misses_nothing() {
    explore(|| {
        let house = house(1, WhenSlow::Disconnect, Plans::keeping(&["a", "b"], Retention::default()));
        let scribe = house.come(&["a", "b"]);
        let mut client = Client::new(&["a", "b"]);
        let mut guests = vec![client.stream_whole(&house)];
        publish(&house, "a", "past", 1);
        guests.extend(scope(|scope| {
            scope.spawn(|| publish(&house, "a", "x", 1));
            scope.spawn(|| publish(&house, "b", "y", 2));
            let polling = scope.spawn(|| vec![client.poll(&house), client.poll(&house)]);
            polling.join().expect("polled")
        }));
        // All that is left, one after the other.
        guests.extend((0..4).map(|_| client.poll(&house)));
        client.check(&Sequence::of(&scribe, &house));
        guests.push(scribe);
        house.close(guests);
    });
}

/// Holds settle while others look for who is to make room.
#[test]
fn who_makes_room_may_be_gone() {
    explore(|| {
        let house = house(BOUND, WhenSlow::Disconnect, Plans::default());
        let [one, other] = [&["a"][..], &["a"]].map(|topics| deaf(&house, topics));
        scope(|scope| {
            for (guest, name) in [(&one, "x"), (&other, "y")] {
                scope.spawn(|| {
                    house.end(guest, Disconnect::Gone);
                    house.keeper.settle(&guest.hold);
                });
                scope.spawn(|| publish(&house, "a", name, 4));
            }
        });
        assert_eq!(waiting(&house), 0);
        house.close(vec![one, other]);
    });
}
