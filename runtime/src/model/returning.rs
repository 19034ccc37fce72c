//! Topics that keep a history: whoever comes back gets what it missed, or is told that something of it is gone.

use crate::keeper::archive::ResumePoint;
use crate::model::client::Client;
use crate::model::explore::{explore, repeat, scope};
use crate::model::house::{PLACES, Plans, SSE, TestKeeper};
use crate::model::kept::{few, house};
use crate::model::plain::publish;
use crate::model::sequence::Sequence;
use crate::settings::ServerConfig;
use abeyance_core::words::cause::{Disconnect, Resume};
use abeyance_core::words::retention::Retention;
use abeyance_settings::endpoint::EndpointOptions;

/// A client is cut, comes back, ends in good order, and comes back.
fn comes_back(keep: Retention, topics: &'static [&'static str]) -> impl Fn() + Clone + Send + Sync + 'static {
    move || {
        let (house, scribe) = house(keep);
        let mut client = Client::new(topics);
        let mut guests = scope(|scope| {
            scope.spawn(|| publish(&house, "a", "x", 2));
            scope.spawn(|| publish(&house, topics[topics.len() - 1], "y", 2));
            vec![client.stream(&house), client.stream(&house)]
        });
        guests.push(client.stream_whole(&house));
        client.check(&Sequence::of(&scribe, &house));
        guests.push(scribe);
        house.close(guests);
    }
}

/// Both publish to one topic that keeps everything.
#[test]
fn a_client_that_comes_back_to_one_topic_misses_nothing() {
    explore(comes_back(Retention::default(), &["a"]));
}

/// They publish to two topics that keep everything.
#[test]
fn a_client_that_comes_back_to_two_topics_misses_nothing() {
    explore(comes_back(Retention::default(), &["a", "b"]));
}

/// They publish to one topic that keeps two messages.
#[test]
fn a_client_that_comes_back_to_one_topic_too_late_is_told() {
    explore(comes_back(few(2), &["a"]));
}

/// They publish to two topics that keep one message each.
#[test]
fn a_client_that_comes_back_to_two_topics_too_late_is_told() {
    explore(comes_back(few(1), &["a", "b"]));
}

/// What it comes back for is driven out while it comes: it gets it, or is told.
#[test]
fn a_client_that_comes_back_just_in_time_misses_nothing() {
    explore(|| {
        let (house, scribe) = house(few(1));
        let mut client = Client::new(&["a"]);
        let mut guests = vec![client.stream_whole(&house)];
        publish(&house, "a", "past", 1);
        guests.push(scope(|scope| {
            scope.spawn(|| publish(&house, "a", "x", 1));
            client.stay(&house)
        }));
        client.see(&guests[1]);
        client.check(&Sequence::of(&scribe, &house));
        guests.push(scribe);
        house.close(guests);
    });
}

/// Nothing but the scheduler decides what happens.
#[test]
fn a_schedule_repeats_itself() {
    repeat(comes_back(few(1), &["a", "b"]));
}

/// A client asks again with the position of each answer.
fn polls(keep: Retention, topics: &'static [&'static str]) -> impl Fn() + Clone + Send + Sync + 'static {
    move || {
        let (house, scribe) = house(keep);
        let mut client = Client::new(topics);
        // From here on something waits for it.
        let mut guests = vec![client.stream_whole(&house)];
        publish(&house, "a", "past", 1);
        guests.extend(scope(|scope| {
            scope.spawn(|| publish(&house, "a", "x", 1));
            scope.spawn(|| publish(&house, topics[topics.len() - 1], "y", 2));
            let polling = scope.spawn(|| vec![client.poll(&house), client.poll(&house)]);
            polling.join().expect("polled")
        }));
        guests.push(client.stream_whole(&house));
        client.check(&Sequence::of(&scribe, &house));
        guests.push(scribe);
        house.close(guests);
    }
}

/// Long polls of one topic that keeps everything.
#[test]
fn long_polls_of_one_topic_miss_nothing() {
    explore(polls(Retention::default(), &["a"]));
}

/// Long polls of two topics that keep one message each.
#[test]
fn long_polls_of_two_topics_miss_nothing_or_are_told() {
    explore(polls(few(1), &["a", "b"]));
}

/// A poll that is ended as soon as there is a hold, whatever that follows by then: its client misses nothing afterwards.
#[test]
fn a_poll_that_is_ended_at_once_tells_where_its_client_stands() {
    explore(|| {
        let house = TestKeeper::new(Plans::keeping(&["a"], Retention::default()));
        let mut client = Client::new(&["a"]);
        let mut guests = scope(|scope| {
            scope.spawn(|| publish(&house, "a", "x", 1));
            scope.spawn(|| house.keeper.end_all(&Resume::Timeout.into()));
            let polling = scope.spawn(|| vec![client.poll(&house)]);
            polling.join().expect("polled")
        });
        assert!(client.knows_where_it_stands());
        publish(&house, "a", "y", 1);
        guests.push(client.stream_whole(&house));
        client.check(&Sequence::of_one_publisher(&house));
        house.close(guests);
    });
}

/// A newcomer gets the past and then what is live, without a gap between.
#[test]
fn the_past_of_a_newcomer_goes_over_into_what_is_live() {
    explore(|| {
        let (house, scribe) = house(few(2));
        publish(&house, "a", "past", 2);
        let mut client = Client::new(&["a", "b"]).with_past();
        let mut guests = scope(|scope| {
            scope.spawn(|| publish(&house, "a", "x", 2));
            scope.spawn(|| publish(&house, "b", "y", 2));
            vec![client.stream(&house)]
        });
        guests.push(client.stream_whole(&house));
        client.check(&Sequence::of(&scribe, &house));
        guests.push(scribe);
        house.close(guests);
    });
}

/// A client that reads slowly gets all of a past that has no room in its send buffer, and what is published meanwhile; or
/// it is cut as slow, comes back, and is told.
#[test]
fn a_slow_client_reads_a_past_larger_than_its_backlog() {
    explore(|| {
        let plans = Plans::keeping(&["a", "b"], few(3));
        // Room for two messages.
        let settings = EndpointOptions { send_buffer: Some(220), ..plans.settings };
        let house = TestKeeper::new(Plans { settings, ..plans });
        let scribe = house.come(&["a", "b"]);
        let mut client = Client::new(&["a"]);
        let mut guests = vec![client.stream_whole(&house)];
        publish(&house, "a", "past", 3);
        guests.push(scope(|scope| {
            scope.spawn(|| publish(&house, "a", "x", 2));
            scope.spawn(|| house.keeper.sweep());
            let crawling = scope.spawn(|| client.crawl(&house, &[60, 120, usize::MAX]));
            crawling.join().expect("crawled")
        }));
        guests.push(client.stream_whole(&house));
        client.check(&Sequence::of(&scribe, &house));
        guests.push(scribe);
        house.close(guests);
    });
}

/// Whoever is behind and reads all that it is given gets everything, though nobody prods it but the sweep.
#[test]
fn nobody_waits_for_what_nobody_brings() {
    explore(|| {
        let plans = Plans::keeping(&["a"], Retention::default());
        let settings = EndpointOptions { send_buffer: Some(220), ..plans.settings };
        let house = TestKeeper::new(Plans { settings, ..plans });
        publish(&house, "a", "past", 3);
        let guest = house.try_arrive(SSE, &["a"], ResumePoint::Back(0), 0).expect("there is a place");
        scope(|scope| {
            scope.spawn(|| guest.attend());
            scope.spawn(|| publish(&house, "a", "x", 1));
            scope.spawn(|| {
                guest.line.widen(100);
                guest.line.widen(usize::MAX);
            });
            guest.hold.open(Vec::new());
            guest.wait_for(4);
            house.end(&guest, Disconnect::Gone);
        });
        Sequence::of(&guest, &house);
        house.close(vec![guest]);
    });
}

/// Topics that nobody follows are forgotten whole, with what they kept; whoever comes back is told, and never misses
/// anything unawares.
#[test]
fn a_client_of_a_forgotten_topic_is_told() {
    explore(|| {
        let plans = Plans::keeping(&["a", "b"], Retention::default());
        // Nothing has room: a message is forgotten as soon as everybody was given it.
        let server_config = ServerConfig { max_retained: 1, ..plans.server_config };
        let house = TestKeeper::new(Plans { server_config, ..plans });
        let mut client = Client::new(&["a", "b"]).of_forgotten();
        let mut guests = scope(|scope| {
            scope.spawn(|| {
                publish(&house, "a", "x", 2);
                publish(&house, "b", "y", 2);
            });
            scope.spawn(|| {
                let passing = house.come(&["b"]);
                house.end(&passing, Disconnect::Gone);
                house.keeper.settle(&passing.hold);
            });
            (0..3).map(|_| client.stream(&house)).collect::<Vec<_>>()
        });
        guests.push(client.stream_whole(&house));
        client.check(&Sequence::of_one_publisher(&house));
        assert!(guests.len() < PLACES);
        house.close(guests);
    });
}
