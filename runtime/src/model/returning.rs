//! Topics that keep a history: a client that comes back gets what it missed, or is told that some of it is forgotten.

use crate::keeper::archive::ResumePoint;
use crate::model::client::Client;
use crate::model::explore::{explore, repeat, scope};
use crate::model::kept::{few, server};
use crate::model::plain::publish;
use crate::model::sequence::Sequence;
use crate::model::test_server::{MAX_HOLDS, SSE, TestConfig, TestServer};
use crate::settings::ServerConfig;
use abeyance_core::words::cause::{Disconnect, Resume};
use abeyance_core::words::retention::Retention;
use abeyance_settings::endpoint::EndpointOptions;

/// A client is cut, comes back, ends in good order, and comes back.
fn comes_back(keep: Retention, topics: &'static [&'static str]) -> impl Fn() + Clone + Send + Sync + 'static {
    move || {
        let (server, observer) = server(keep);
        let mut client = Client::new(topics);
        let mut test_holds = scope(|scope| {
            scope.spawn(|| publish(&server, "a", "x", 2));
            scope.spawn(|| publish(&server, topics[topics.len() - 1], "y", 2));
            vec![client.stream(&server), client.stream(&server)]
        });
        test_holds.push(client.stream_whole(&server));
        client.check(&Sequence::of(&observer, &server));
        test_holds.push(observer);
        server.close(test_holds);
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
        let (server, observer) = server(few(1));
        let mut client = Client::new(&["a"]);
        let mut test_holds = vec![client.stream_whole(&server)];
        publish(&server, "a", "past", 1);
        test_holds.push(scope(|scope| {
            scope.spawn(|| publish(&server, "a", "x", 1));
            client.stay(&server)
        }));
        client.see(&test_holds[1]);
        client.check(&Sequence::of(&observer, &server));
        test_holds.push(observer);
        server.close(test_holds);
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
        let (server, observer) = server(keep);
        let mut client = Client::new(topics);
        // From here on something waits for it.
        let mut test_holds = vec![client.stream_whole(&server)];
        publish(&server, "a", "past", 1);
        test_holds.extend(scope(|scope| {
            scope.spawn(|| publish(&server, "a", "x", 1));
            scope.spawn(|| publish(&server, topics[topics.len() - 1], "y", 2));
            let polling = scope.spawn(|| vec![client.poll(&server), client.poll(&server)]);
            polling.join().expect("polled")
        }));
        test_holds.push(client.stream_whole(&server));
        client.check(&Sequence::of(&observer, &server));
        test_holds.push(observer);
        server.close(test_holds);
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

/// A long poll that ends as soon as there is a hold, at any point of following its topics. Its client misses nothing
/// later.
#[test]
fn a_poll_that_is_ended_at_once_tells_where_its_client_stands() {
    explore(|| {
        let server = TestServer::new(TestConfig::keeping(&["a"], Retention::default()));
        let mut client = Client::new(&["a"]);
        let mut test_holds = scope(|scope| {
            scope.spawn(|| publish(&server, "a", "x", 1));
            scope.spawn(|| server.keeper.end_all(&Resume::Timeout.into()));
            let polling = scope.spawn(|| vec![client.poll(&server)]);
            polling.join().expect("polled")
        });
        assert!(client.knows_where_it_stands());
        publish(&server, "a", "y", 1);
        test_holds.push(client.stream_whole(&server));
        client.check(&Sequence::of_one_publisher(&server));
        server.close(test_holds);
    });
}

/// A newcomer gets the past and then what is live, without a gap between.
#[test]
fn the_past_of_a_newcomer_goes_over_into_what_is_live() {
    explore(|| {
        let (server, observer) = server(few(2));
        publish(&server, "a", "past", 2);
        let mut client = Client::new(&["a", "b"]).with_past();
        let mut test_holds = scope(|scope| {
            scope.spawn(|| publish(&server, "a", "x", 2));
            scope.spawn(|| publish(&server, "b", "y", 2));
            vec![client.stream(&server)]
        });
        test_holds.push(client.stream_whole(&server));
        client.check(&Sequence::of(&observer, &server));
        test_holds.push(observer);
        server.close(test_holds);
    });
}

/// A client that reads slowly gets all of a past that has no room in its send buffer, and what is published meanwhile;
/// or it is cut as slow, comes back, and is told.
#[test]
fn a_slow_client_reads_a_past_larger_than_its_backlog() {
    explore(|| {
        let config = TestConfig::keeping(&["a", "b"], few(3));
        // Room for two messages.
        let settings = EndpointOptions { send_buffer: Some(220), ..config.settings };
        let server = TestServer::new(TestConfig { settings, ..config });
        let observer = server.open_hold(&["a", "b"]);
        let mut client = Client::new(&["a"]);
        let mut test_holds = vec![client.stream_whole(&server)];
        publish(&server, "a", "past", 3);
        test_holds.push(scope(|scope| {
            scope.spawn(|| publish(&server, "a", "x", 2));
            scope.spawn(|| server.keeper.sweep());
            let crawling = scope.spawn(|| client.crawl(&server, &[60, 120, usize::MAX]));
            crawling.join().expect("crawled")
        }));
        test_holds.push(client.stream_whole(&server));
        client.check(&Sequence::of(&observer, &server));
        test_holds.push(observer);
        server.close(test_holds);
    });
}

/// A hold that is behind and reads all that it is given gets everything, although only the sweep wakes it.
#[test]
fn no_hold_waits_for_a_message_that_no_publisher_brings() {
    explore(|| {
        let config = TestConfig::keeping(&["a"], Retention::default());
        let settings = EndpointOptions { send_buffer: Some(220), ..config.settings };
        let server = TestServer::new(TestConfig { settings, ..config });
        publish(&server, "a", "past", 3);
        let test_hold = server.try_begin_hold(SSE, &["a"], ResumePoint::Back(0), 0).expect("there is room");
        scope(|scope| {
            scope.spawn(|| test_hold.attend());
            scope.spawn(|| publish(&server, "a", "x", 1));
            scope.spawn(|| {
                test_hold.peer_io.widen(100);
                test_hold.peer_io.widen(usize::MAX);
            });
            test_hold.hold.open(Vec::new());
            test_hold.wait_for(4);
            server.end(&test_hold, Disconnect::Gone);
        });
        Sequence::of(&test_hold, &server);
        server.close(vec![test_hold]);
    });
}

/// Topics without followers are forgotten whole, with what they kept. A client that comes back is told, and never
/// misses anything unawares.
#[test]
fn a_client_of_a_forgotten_topic_is_told() {
    explore(|| {
        let config = TestConfig::keeping(&["a", "b"], Retention::default());
        // Nothing has room: a message is forgotten as soon as every member was given it.
        let server_config = ServerConfig { max_retained: 1, ..config.server_config };
        let server = TestServer::new(TestConfig { server_config, ..config });
        let mut client = Client::new(&["a", "b"]).of_forgotten();
        let mut test_holds = scope(|scope| {
            scope.spawn(|| {
                publish(&server, "a", "x", 2);
                publish(&server, "b", "y", 2);
            });
            scope.spawn(|| {
                let passing = server.open_hold(&["b"]);
                server.end(&passing, Disconnect::Gone);
                server.keeper.settle(&passing.hold);
            });
            (0..3).map(|_| client.stream(&server)).collect::<Vec<_>>()
        });
        test_holds.push(client.stream_whole(&server));
        client.check(&Sequence::of_one_publisher(&server));
        assert!(test_holds.len() < MAX_HOLDS);
        server.close(test_holds);
    });
}
