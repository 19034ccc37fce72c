//! Topics that keep a history: whoever has joined gets what is published, once, in one order for all topics, whoever
//! brings it.

use crate::model::client::Client;
use crate::model::explore::{explore, scope};
use crate::model::guest::TestHold;
use crate::model::house::{Plans, TestKeeper};
use crate::model::plain::publish;
use crate::model::sequence::Sequence;
use crate::settings::ServerConfig;
use abeyance_core::words::retention::Retention;

/// So few that what is published soon drives out what was.
pub(crate) fn few(count: usize) -> Retention {
    Retention::new().count(count)
}

/// A house whose topics keep so much, and somebody who follows all of them from the beginning to the end.
pub(crate) fn house(keep: Retention) -> (TestKeeper, TestHold) {
    let house = TestKeeper::new(Plans::keeping(&["a", "b"], keep));
    let scribe = house.come(&["a", "b"]);
    (house, scribe)
}

/// One topic, two publishers, and somebody who joins it late, leaves, and joins again.
#[test]
fn a_late_member_gets_what_is_published_from_then_on() {
    explore(|| {
        let (house, scribe) = house(few(1));
        let late = house.come(&[]);
        scope(|scope| {
            scope.spawn(|| publish(&house, "a", "x", 2));
            scope.spawn(|| publish(&house, "a", "y", 2));
            late.join(&house, "a");
            late.leave(&house, "a");
            late.join(&house, "a");
        });
        late.check(&house.chronicle);
        Sequence::of(&scribe, &house);
        house.close(vec![scribe, late]);
    });
}

/// Two topics, one publisher each, and somebody who follows one of them and then the other, too.
#[test]
fn messages_of_two_topics_come_in_one_order() {
    explore(|| {
        let (house, scribe) = house(few(1));
        let late = scope(|scope| {
            scope.spawn(|| publish(&house, "a", "x", 2));
            scope.spawn(|| publish(&house, "b", "y", 2));
            let late = house.come(&["b"]);
            late.join(&house, "a");
            late
        });
        late.check(&house.chronicle);
        let sequence = Sequence::of(&scribe, &house);
        sequence.check_ascending(&late.seen());
        house.close(vec![scribe, late]);
    });
}

/// Somebody who comes meanwhile, as a newcomer or not, and stays.
fn stays(keep: Retention, topics: &'static [&'static str]) -> impl Fn() + Clone + Send + Sync + 'static {
    move || {
        let (house, scribe) = house(keep);
        let mut clients = [Client::new(topics), Client::new(topics)];
        let mut guests = vec![clients[0].stream_whole(&house), scribe];
        publish(&house, "a", "past", 1);
        let stayed = scope(|scope| {
            scope.spawn(|| publish(&house, "a", "x", 2));
            scope.spawn(|| publish(&house, topics[topics.len() - 1], "y", 1));
            clients.each_mut().map(|client| client.stay(&house))
        });
        for (client, guest) in clients.iter_mut().zip(&stayed) {
            client.see(guest);
            client.check(&Sequence::of(&guests[1], &house));
        }
        guests.extend(stayed);
        house.close(guests);
    }
}

/// Of one topic: when all is quiet it has everything.
#[test]
fn whoever_stays_in_one_topic_has_everything() {
    explore(stays(few(1), &["a"]));
}

/// Of two topics: when all is quiet it has everything.
#[test]
fn whoever_stays_in_two_topics_has_everything() {
    explore(stays(few(1), &["a", "b"]));
}

/// What is on its way to its members is there for whoever brings them a later message, though nothing has room.
#[test]
fn what_is_on_its_way_is_not_forgotten() {
    explore(|| {
        let plans = Plans::keeping(&["a", "b", "c"], Retention::default());
        let server_config = ServerConfig { max_retained: 1, ..plans.server_config };
        let house = TestKeeper::new(Plans { server_config, ..plans });
        let guest = house.come(&["a", "c"]);
        scope(|scope| {
            scope.spawn(|| publish(&house, "a", "x", 1));
            publish(&house, "b", "y", 1);
            publish(&house, "c", "z", 1);
        });
        guest.check(&house.chronicle);
        house.close(vec![guest]);
    });
}
