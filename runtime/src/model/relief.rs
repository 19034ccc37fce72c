//! What waits for all peers together: counted right, and within its bound, while threads queue, read and end.

use crate::keeper::archive::ResumePoint;
use crate::keeper::ended::Ended;
use crate::keeper::hub::Hub;
use crate::model::client::Client;
use crate::model::explore::{explore, scope};
use crate::model::plain::publish;
use crate::model::sequence::Sequence;
use crate::model::test_hold::TestHold;
use crate::model::test_server::{SSE, TestConfig, TestServer};
use crate::settings::ServerConfig;
use abeyance_core::words::cause::{Disconnect, Resume};
use abeyance_core::words::retention::Retention;
use abeyance_settings::endpoint::{EndpointOptions, WhenSlow};

/// Room for six messages or so.
const BOUND: usize = 500;

/// A server in which so much may wait for all peers.
fn server(memory: usize, when_slow: WhenSlow, config: TestConfig) -> TestServer {
    let settings = EndpointOptions { when_slow: Some(when_slow), ..config.settings };
    TestServer::new(TestConfig {
        settings,
        server_config: ServerConfig { max_buffered: memory, ..config.server_config },
    })
}

/// A hold whose peer takes nothing.
fn unread(server: &TestServer, topics: &[&'static str]) -> TestHold {
    let test_hold = server.try_begin_hold(SSE, topics, ResumePoint::New, 0).expect("there is room");
    test_hold.hold.open(Vec::new());
    test_hold
}

fn waiting(server: &TestServer) -> usize {
    Hub::new(server.keeper.clone()).stats().waiting
}

/// Two publishers queue more than may wait, for peers that take nothing, that read on, or that just end.
#[test]
fn a_publisher_leaves_no_more_than_may_wait() {
    explore(|| {
        let server = server(BOUND, WhenSlow::Disconnect, TestConfig::default());
        let [unread_hold, reading, ending] =
            [&["a"][..], &["a", "b"], &["b"]].map(|topics| unread(&server, topics));
        scope(|scope| {
            scope.spawn(|| publish(&server, "a", "x", 3));
            scope.spawn(|| {
                reading.peer_io.widen(30);
                let _ = reading.flush();
            });
            scope.spawn(|| server.end(&ending, Resume::Released));
            publish(&server, "b", "y", 3);
        });
        assert!(waiting(&server) <= BOUND, "{} wait", waiting(&server));
        for test_hold in [&unread_hold, &reading] {
            assert!(matches!(test_hold.cause(), None | Some("slow")));
        }
        server.close(vec![unread_hold, reading, ending]);
    });
}

/// If `when_slow` drops messages, no hold is ended for others, and every message is delivered or counted.
fn drops(when_slow: WhenSlow) -> impl Fn() + Clone + Send + Sync + 'static {
    move || {
        let server = server(BOUND, when_slow, TestConfig::default());
        let test_holds = [&["a"][..], &["a", "b"]].map(|topics| unread(&server, topics));
        scope(|scope| {
            scope.spawn(|| publish(&server, "a", "x", 3));
            scope.spawn(|| {
                test_holds[0].peer_io.widen(30);
                let _ = test_holds[0].flush();
            });
            publish(&server, "b", "y", 3);
        });
        assert!(waiting(&server) <= BOUND);
        let mut dropped = 0;
        for (test_hold, published) in test_holds.iter().zip([3, 6]) {
            assert_eq!(test_hold.cause(), None);
            test_hold.peer_io.widen(usize::MAX);
            assert!(test_hold.flush().is_ready());
            let ended = Ended::of(&test_hold.hold, true);
            server.log.check_order(&test_hold.texts());
            assert_eq!(test_hold.texts().len() as u64 + ended.dropped(), published);
            dropped += ended.dropped();
        }
        assert_eq!(Hub::new(server.keeper.clone()).stats().dropped, dropped);
        server.close(test_holds.into());
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

/// A long poll that opens when there is no room at all is answered with what has come, and its client misses nothing.
#[test]
fn a_long_poll_that_makes_room_misses_nothing() {
    explore(|| {
        let server = server(1, WhenSlow::Disconnect, TestConfig::keeping(&["a", "b"], Retention::default()));
        let observer = server.open_hold(&["a", "b"]);
        let mut client = Client::new(&["a", "b"]);
        let mut test_holds = vec![client.stream_whole(&server)];
        publish(&server, "a", "past", 1);
        test_holds.extend(scope(|scope| {
            scope.spawn(|| publish(&server, "a", "x", 1));
            scope.spawn(|| publish(&server, "b", "y", 2));
            let polling = scope.spawn(|| vec![client.poll(&server), client.poll(&server)]);
            polling.join().expect("polled")
        }));
        // All that is left, one after the other.
        test_holds.extend((0..4).map(|_| client.poll(&server)));
        client.check(&Sequence::of(&observer, &server));
        test_holds.push(observer);
        server.close(test_holds);
    });
}

/// Holds settle while others look for who is to make room.
#[test]
fn who_makes_room_may_be_gone() {
    explore(|| {
        let server = server(BOUND, WhenSlow::Disconnect, TestConfig::default());
        let [one, other] = [&["a"][..], &["a"]].map(|topics| unread(&server, topics));
        scope(|scope| {
            for (test_hold, name) in [(&one, "x"), (&other, "y")] {
                scope.spawn(|| {
                    server.end(test_hold, Disconnect::Gone);
                    server.keeper.settle(&test_hold.hold);
                });
                scope.spawn(|| publish(&server, "a", name, 4));
            }
        });
        assert_eq!(waiting(&server), 0);
        server.close(vec![one, other]);
    });
}
