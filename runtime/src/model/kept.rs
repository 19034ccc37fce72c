//! Topics that keep a history: every member gets what is published, once, in one order for all topics, from any
//! publisher.

use crate::model::client::Client;
use crate::model::explore::{explore, scope};
use crate::model::plain::publish;
use crate::model::sequence::Sequence;
use crate::model::test_hold::TestHold;
use crate::model::test_server::{TestConfig, TestServer};
use crate::settings::ServerConfig;
use abeyance_core::words::retention::Retention;

/// So few that what is published soon drives out what was.
pub(crate) fn few(count: usize) -> Retention {
    Retention::new().count(count)
}

/// A server whose topics keep so much, and a hold that follows all of them from the beginning to the end.
pub(crate) fn server(keep: Retention) -> (TestServer, TestHold) {
    let server = TestServer::new(TestConfig::keeping(&["a", "b"], keep));
    let observer = server.open_hold(&["a", "b"]);
    (server, observer)
}

/// One topic, two publishers, and a hold that joins it late, leaves, and joins again.
#[test]
fn a_late_member_gets_what_is_published_from_then_on() {
    explore(|| {
        let (server, observer) = server(few(1));
        let late = server.open_hold(&[]);
        scope(|scope| {
            scope.spawn(|| publish(&server, "a", "x", 2));
            scope.spawn(|| publish(&server, "a", "y", 2));
            late.join(&server, "a");
            late.leave(&server, "a");
            late.join(&server, "a");
        });
        late.check(&server.log);
        Sequence::of(&observer, &server);
        server.close(vec![observer, late]);
    });
}

/// Two topics, one publisher each, and a hold that follows one of them and then the other, too.
#[test]
fn messages_of_two_topics_come_in_one_order() {
    explore(|| {
        let (server, observer) = server(few(1));
        let late = scope(|scope| {
            scope.spawn(|| publish(&server, "a", "x", 2));
            scope.spawn(|| publish(&server, "b", "y", 2));
            let late = server.open_hold(&["b"]);
            late.join(&server, "a");
            late
        });
        late.check(&server.log);
        let sequence = Sequence::of(&observer, &server);
        sequence.check_ascending(&late.seen());
        server.close(vec![observer, late]);
    });
}

/// A client that comes meanwhile, new or back, and stays.
fn stays(keep: Retention, topics: &'static [&'static str]) -> impl Fn() + Clone + Send + Sync + 'static {
    move || {
        let (server, observer) = server(keep);
        let mut clients = [Client::new(topics), Client::new(topics)];
        let mut test_holds = vec![clients[0].stream_whole(&server), observer];
        publish(&server, "a", "past", 1);
        let stayed = scope(|scope| {
            scope.spawn(|| publish(&server, "a", "x", 2));
            scope.spawn(|| publish(&server, topics[topics.len() - 1], "y", 1));
            clients.each_mut().map(|client| client.stay(&server))
        });
        for (client, test_hold) in clients.iter_mut().zip(&stayed) {
            client.see(test_hold);
            client.check(&Sequence::of(&test_holds[1], &server));
        }
        test_holds.extend(stayed);
        server.close(test_holds);
    }
}

/// Of one topic: when all is quiet it has everything.
#[test]
fn a_member_of_one_topic_has_everything() {
    explore(stays(few(1), &["a"]));
}

/// Of two topics: when all is quiet it has everything.
#[test]
fn a_member_of_two_topics_has_everything() {
    explore(stays(few(1), &["a", "b"]));
}

/// A message in flight is kept for the publisher of a later one, although the history has no room.
#[test]
fn what_is_on_its_way_is_not_forgotten() {
    explore(|| {
        let config = TestConfig::keeping(&["a", "b", "c"], Retention::default());
        let server_config = ServerConfig { max_retained: 1, ..config.server_config };
        let server = TestServer::new(TestConfig { server_config, ..config });
        let test_hold = server.open_hold(&["a", "c"]);
        scope(|scope| {
            scope.spawn(|| publish(&server, "a", "x", 1));
            publish(&server, "b", "y", 1);
            publish(&server, "c", "z", 1);
        });
        test_hold.check(&server.log);
        server.close(vec![test_hold]);
    });
}
