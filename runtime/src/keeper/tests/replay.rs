//! Replay: a client that comes back gets what it missed, once and in order, or is told that some of it is forgotten.

mod histories;
mod large;
mod positions;

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::*;
use crate::keeper::archive::{Forged, ResumePoint};
use abeyance_core::mechanisms::wire::Encoded;
use abeyance_core::words::event_id::EventId;
use abeyance_core::words::message::Message;
use abeyance_core::words::retention::{Pattern, Retention, Rule};
use abeyance_core::words::topic::Topic;

const BOUND: usize = 32 << 10;

/// A server in which some topics keep a history.
fn keeping(settings: EndpointOptions, keeps: &[(&str, Retention)]) -> TestServer {
    let rule = |(text, keep): &(&str, Retention)| Rule { pattern: Pattern::read(text).unwrap(), keep: *keep };
    let topics = keeps.iter().map(rule).collect();
    TestServer::new(ServerConfig { topics, ..ServerConfig::default() }, &[settings])
}

fn archive() -> TestServer {
    keeping(STILL, &[("*", Retention::default())])
}

impl TestServer {
    /// A hold that has joined these topics and is still opening.
    fn arrive(&self, form: WireForm, topics: &[&str], resume_point: ResumePoint) -> TestHold {
        self.arrive_with(form, &topics.iter().map(|topic| (*topic, false)).collect::<Vec<_>>(), resume_point)
    }

    fn arrive_with(&self, form: WireForm, topics: &[(&str, bool)], resume_point: ResumePoint) -> TestHold {
        let test_hold = self.seat(self.admit(0, 1).unwrap(), 0, form, None).unwrap();
        let topics: Vec<_> = topics.iter().map(|(topic, end_log)| (Topic::from(*topic), *end_log)).collect();
        self.keeper.enter(&test_hold.hold, &topics, resume_point);
        test_hold
    }

    fn come(&self, form: WireForm, topics: &[&str], resume_point: ResumePoint) -> TestHold {
        let test_hold = self.arrive(form, topics, resume_point);
        test_hold.hold.open(Vec::new());
        test_hold
    }

    fn publish(&self, topic: &str, texts: &[&str]) {
        for text in texts {
            self.keeper.publish(topic, &Message::from(*text));
        }
    }

    fn archived(&self) -> &crate::keeper::archive::Archive {
        self.keeper.archive().unwrap()
    }

    /// What a client that was given this id brings back.
    fn back(&self, id: Option<EventId>) -> ResumePoint {
        let text = id.expect("an id").to_string();
        self.archived().resume_point(Some(&text)).expect("one of ours")
    }
}

impl TestHold {
    /// The events it was written, as `offset:data`; `-` where there is no id.
    fn events(&self) -> Vec<String> {
        events(&self.peer_io.text())
    }

    fn first_id(&self) -> Option<EventId> {
        self.hold.first_position().id
    }

    /// Where a long poll's client stands, if its answer carried as many messages.
    fn stands(&self, carried: usize) -> (Vec<String>, Option<u64>, bool) {
        let last_messages = self.hold.end_request().expect("an end").last_messages;
        let texts = last_messages[..carried].iter().map(|item| item.message.as_text().unwrap().to_owned());
        let position = self.hold.last_position(&last_messages[..carried]);
        (texts.collect(), position.id.map(|id| id.offset), position.is_lost)
    }
}

fn events(text: &str) -> Vec<String> {
    let blocks = text.split("\n\n").filter(|block| !block.is_empty());
    let event = |block: &str| {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
        let offset = field("id: ").map(|id| EventId::read(id).expect("an id").offset.to_string());
        format!("{}:{}", offset.unwrap_or("-".into()), field("data: ").unwrap_or_default())
    };
    blocks.map(event).collect()
}

#[test]
fn a_newcomer_gets_what_is_published_from_now_on_with_ids() {
    let server = archive();
    server.publish("a", &["before"]);
    let test_hold = server.come(SSE, &["a"], ResumePoint::New);
    assert_eq!(test_hold.first_id().map(|id| id.offset), Some(1));
    server.publish("a", &["one", "two"]);
    assert_eq!(test_hold.events(), ["2:one", "3:two"]);
}

#[test]
fn a_client_that_comes_back_gets_exactly_what_it_missed_in_order_then_what_is_live() {
    let server = archive();
    let first = server.come(SSE, &["a", "b"], ResumePoint::New);
    server.publish("a", &["1"]);
    let seen = server.archived().id(1);
    server.keeper.end(&first.hold, abeyance_core::words::cause::Disconnect::Gone.into());
    server.publish("b", &["2"]);
    server.publish("c", &["not mine"]);
    server.publish("a", &["4"]);
    server.publish("b", &["5"]);
    let back = server.arrive(SSE, &["a", "b"], server.back(Some(seen)));
    assert_eq!(back.first_id(), Some(seen), "cut again now, it must come back as it came");
    server.publish("a", &["6"]);
    back.hold.open(vec!["reply".into()]);
    server.publish("b", &["7"]);
    assert_eq!(back.events(), ["-:reply", "2:2", "4:4", "5:5", "6:6", "7:7"]);
    assert!(!back.hold.first_position().is_lost);
}

#[test]
fn a_client_that_missed_what_is_forgotten_is_told_and_gets_what_is_live() {
    let server = keeping(STILL, &[("*", Retention::new().count(2))]);
    server.publish("a", &["1", "2", "3", "4"]);
    for (seen, is_lost) in [(1, true), (2, false), (4, false)] {
        let test_hold = server.come(SSE, &["a"], ResumePoint::Back(seen));
        assert_eq!(test_hold.hold.first_position().is_lost, is_lost, "{seen}");
    }
    for resume_point in [ResumePoint::Back(1), ResumePoint::OtherEpoch] {
        let server = keeping(STILL, &[("*", Retention::new().count(2))]);
        server.publish("a", &["1", "2", "3", "4"]);
        let test_hold = server.come(SSE, &["a"], resume_point);
        assert_eq!(test_hold.first_id().map(|id| id.offset), Some(4), "from where it goes on");
        server.publish("a", &["5"]);
        assert_eq!(test_hold.events(), ["5:5"]);
    }
}

#[test]
fn only_an_id_of_what_is_yet_to_come_is_refused_and_a_foreign_one_is_of_another_server() {
    let server = archive();
    server.publish("a", &["1", "2"]);
    let archive = server.archived();
    let known = archive.id(2);
    assert_eq!(archive.resume_point(None), Ok(ResumePoint::New));
    assert_eq!(archive.resume_point(Some(&known.to_string())), Ok(ResumePoint::Back(2)));
    let foreign = EventId::new(known.epoch ^ 1, 2).to_string();
    for foreign in [&foreign, &known.to_string()[..24], "42", "", "x", &"9".repeat(5_000)] {
        assert_eq!(archive.resume_point(Some(foreign)), Ok(ResumePoint::OtherEpoch), "{foreign}");
    }
    let forged = EventId::new(known.epoch, 3);
    assert_eq!(archive.resume_point(Some(&forged.to_string())), Err(Forged));
    let forged = EventId::midway(known.epoch, 1, 3);
    assert_eq!(archive.resume_point(Some(&forged.to_string())), Err(Forged));
    let mut topics = [Topic::from("a")].into_iter().cycle();
    let plain = TestServer::of(STILL);
    assert_eq!(
        plain.keeper.resume_point(topics.by_ref().take(1).collect::<Vec<_>>().iter(), Some("x")),
        Ok(ResumePoint::New)
    );
}

#[test]
fn a_newcomer_that_wants_the_past_gets_what_there_is_of_it() {
    let keep = Retention::new().count(2);
    for form in [SSE, WireForm::WebSocket, WireForm::Stream { chunked: false }] {
        let server = keeping(STILL, &[("room", keep), ("other", keep)]);
        server.publish("room", &["m1", "m2", "m3"]);
        server.publish("other", &["not wanted"]);
        let test_hold = server.arrive_with(form, &[("room", true), ("other", false)], ResumePoint::New);
        let first = test_hold.first_id().map(|id| (id.offset, id.came));
        assert_eq!(first, Some((0, 4)), "cut now, it gets what there is when it comes back");
        test_hold.hold.open(Vec::new());
        server.publish("other", &["m5"]);
        let text = test_hold.peer_io.text();
        let positions: Vec<_> = ["m2", "m3", "m5"].iter().map(|one| text.find(one).unwrap()).collect();
        assert!(positions.is_sorted() && !text.contains("m1") && !text.contains("not wanted"), "{text}");
        if form == SSE {
            assert_eq!(test_hold.events(), ["2:m2", "3:m3", "5:m5"]);
        }
    }
    let empty = keeping(STILL, &[("room", keep)]);
    let test_hold = empty.arrive_with(SSE, &[("room", true)], ResumePoint::New);
    assert_eq!(test_hold.first_id().map(|id| id.offset), Some(0), "there is no past to miss");
}

#[test]
fn a_newcomer_that_is_cut_in_the_past_gets_the_rest_of_it_and_nothing_else_from_before_it_came() {
    let keep = Retention::new().count(2);
    let server = keeping(STILL, &[("*", keep)]);
    server.publish("room", &["m1", "m2"]);
    server.publish("hall", &["m3"]);
    server.publish("other", &["m4", "m5", "m6"]);
    let topics = [("room", true), ("hall", true), ("other", false)];
    let come = |resume_point| {
        let test_hold = server.arrive_with(SSE, &topics, resume_point);
        assert!(!test_hold.hold.first_position().is_lost, "{resume_point:?}");
        test_hold.hold.open(Vec::new());
        test_hold
    };
    assert_eq!(come(ResumePoint::New).events(), ["1:m1", "2:m2", "3:m3"]);
    let midway = ResumePoint::Midway { seen: 1, came: 6 };
    let back = come(midway);
    server.publish("other", &["m7"]);
    assert_eq!(back.events(), ["2:m2", "3:m3", "7:m7"]);
    let ids: Vec<_> =
        back.peer_io.text().lines().filter_map(|line| line.strip_prefix("id: ").map(EventId::read)).collect();
    let came: Vec<_> = ids.iter().map(|id| id.map(|id| id.came)).collect();
    assert_eq!(came, [Ok(6), Ok(6), Ok(7)], "after the history it is where all are");
    // What made room before it came it has not missed, what made room since it has.
    server.publish("room", &["m8", "m9"]);
    assert_eq!(come(midway).events(), ["3:m3", "7:m7", "8:m8", "9:m9"]);
    server.publish("other", &["m10", "m11"]);
    assert!(server.arrive_with(SSE, &topics, midway).hold.first_position().is_lost);
}

#[test]
fn of_two_publishers_the_first_to_come_brings_both_messages_in_order() {
    for topics in [&["a"][..], &["a", "b"]] {
        let server = archive();
        let test_hold = server.come(SSE, topics, ResumePoint::New);
        let poll = server.come(WireForm::LongPoll, topics, ResumePoint::New);
        let archive = server.archived();
        let (one, two) = (Message::from("one"), Message::from("two"));
        let first = server.keeper.record(archive, 0, "a", &one);
        let second = server.keeper.record(archive, 0, topics[topics.len() - 1], &two);
        for (in_flight, message) in [(&second, &two), (&first, &one)] {
            let id = archive.id(in_flight.recorded.offset);
            let encoded = Encoded::numbered(message, Some(id));
            assert_eq!(test_hold.hold.deliver(archive, in_flight, &encoded), Ok(()));
            let _ = poll.hold.deliver(archive, in_flight, &encoded);
        }
        drop((first, second));
        assert_eq!(test_hold.events(), ["1:one", "2:two"], "{topics:?}");
        assert_eq!(poll.stands(1), (vec!["one".into()], Some(1), false));
    }
}

#[test]
fn a_message_of_a_topic_that_was_left_meanwhile_is_not_delivered() {
    let server = archive();
    let test_hold = server.come(SSE, &["a", "b"], ResumePoint::New);
    let archive = server.archived();
    let message = Message::from("late");
    let in_flight = server.keeper.record(archive, 0, "a", &message);
    server.keeper.leave(&test_hold.hold, "a");
    assert!(test_hold.hold.deliver(archive, &in_flight, &Encoded::new(&message)).is_err());
    drop(in_flight);
    server.publish("b", &["b"]);
    assert_eq!(test_hold.events(), ["2:b"]);
}

#[test]
fn a_topic_that_is_joined_later_begins_with_what_is_published_later() {
    for already in [&[][..], &["a"]] {
        let server = archive();
        server.publish("late", &["before"]);
        let test_hold = server.come(SSE, already, ResumePoint::New);
        server.publish("late", &["before, too"]);
        server.keeper.join(&test_hold.hold, "late".into()).unwrap();
        server.publish("late", &["now"]);
        assert_eq!(test_hold.events(), ["3:now"]);
    }
}

#[test]
fn a_long_poll_gets_one_message_after_the_other_by_the_id_of_each_answer() {
    let server = archive();
    let first = server.come(WireForm::LongPoll, &["a", "b"], ResumePoint::New);
    server.publish("a", &["1"]);
    server.publish("b", &["2"]);
    server.publish("a", &["3"]);
    assert_eq!(first.stands(1), (vec!["1".into()], Some(1), false));
    let second = server.come(WireForm::LongPoll, &["a", "b"], ResumePoint::Back(1));
    assert_eq!(second.stands(1), (vec!["2".into()], Some(2), false));
    assert_eq!(second.stands(2), (vec!["2".into(), "3".into()], Some(3), false), "or all that wait");
    let third = server.come(WireForm::LongPoll, &["a", "b"], ResumePoint::Back(3));
    assert_eq!(third.cause(), None, "nothing waits for it");
}

#[test]
fn several_topics_do_not_cost_an_encoding_for_each_peer() {
    let server = archive();
    let holds: Vec<_> = (0..3).map(|_| server.come(SSE, &["a", "b"], ResumePoint::New)).collect();
    holds.iter().for_each(|test_hold| test_hold.peer_io.window(0));
    server.publish("a", &["shared"]);
    let first = |test_hold: &TestHold| test_hold.hold.outbox().send_buffer.next().unwrap().as_ptr();
    assert!(holds.iter().all(|test_hold| first(test_hold) == first(&holds[0])));
}

#[test]
fn a_message_too_large_for_an_answer_is_passed_over_and_not_asked_for_again() {
    let settings = EndpointOptions { send_buffer: Some(BOUND), ..STILL };
    for topics in [&["a"][..], &["a", "b"]] {
        let server = keeping(settings, &[("*", Retention::default())]);
        let test_hold = server.come(WireForm::LongPoll, topics, ResumePoint::New);
        assert_eq!(server.keeper.publish("a", &"x".repeat(BOUND + 1).into()), 0);
        assert_eq!(test_hold.cause(), None);
        server.keeper.end(&test_hold.hold, abeyance_core::words::cause::Resume::Timeout.into());
        assert_eq!(test_hold.stands(0), (vec![], Some(1), false));
        let back = server.come(WireForm::LongPoll, topics, ResumePoint::Back(0));
        assert_eq!(back.cause(), None);
    }
}

#[test]
fn topics_without_members_and_messages_leave_no_memory() {
    let age = secs(60);
    let server = keeping(STILL, &[("*", Retention::new().age(age))]);
    let test_hold = server.come(SSE, &["a", "b"], ResumePoint::New);
    server.publish("a", &["1"]);
    server.keeper.leave(&test_hold.hold, "b");
    server.keeper.end(&test_hold.hold, abeyance_core::words::cause::Resume::Released.into());
    server.keeper.settle(&test_hold.hold);
    assert!(server.keeper.topics.is_empty());
    assert!(!server.archived().is_empty(), "what is kept is kept");
}

#[tokio::test(start_paused = true)]
async fn what_is_old_enough_is_forgotten_though_nothing_happens() {
    let server = keeping(STILL, &[("*", Retention::new().age(secs(1)))]);
    tokio::spawn(server.keeper.clone().keep_time());
    server.publish("a", &["1"]);
    tokio::time::sleep(millis(900)).await;
    assert!(!server.archived().is_empty());
    tokio::time::sleep(millis(200)).await;
    assert!(server.archived().is_empty());
}

/// Publishers race over two topics while a client is cut and comes back with the last id it saw, again and again.
#[test]
fn under_racing_publishers_a_client_that_comes_back_sees_no_gap_and_no_double() {
    const MESSAGES: usize = 400;
    let server = keeping(STILL, &[("*", Retention::new().count(10_000).bytes(1 << 24))]);
    let done = AtomicBool::new(false);
    let mut seen: Vec<String> = Vec::new();
    let start = server.archived().last();
    std::thread::scope(|scope| {
        let publishers: Vec<_> = (0..3)
            .map(|publisher| {
                let server = &server;
                scope.spawn(move || {
                    for number in 0..MESSAGES {
                        let topic = ["a", "b"][(publisher + number) % 2];
                        server.publish(topic, &[&format!("{publisher}.{number}")]);
                        if number % 16 == publisher {
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let (server, done, seen) = (&server, &done, &mut seen);
        let client = scope.spawn(move || {
            let mut last = start;
            loop {
                let is_last = done.load(SeqCst);
                let test_hold = server.arrive(SSE, &["a", "b"], ResumePoint::Back(last));
                std::thread::yield_now();
                test_hold.hold.open(Vec::new());
                std::thread::yield_now();
                server.keeper.end(&test_hold.hold, abeyance_core::words::cause::Disconnect::Gone.into());
                let text = test_hold.peer_io.text();
                server.keeper.settle(&test_hold.hold);
                for event in events(&text) {
                    let (offset, data) = event.split_once(':').unwrap();
                    last = offset.parse().unwrap();
                    seen.push(data.to_owned());
                }
                if is_last {
                    break;
                }
            }
        });
        for publisher in publishers {
            publisher.join().unwrap();
        }
        done.store(true, SeqCst);
        client.join().unwrap();
    });
    assert_eq!(seen.len(), 3 * MESSAGES);
    for publisher in 0..3 {
        let own: Vec<_> =
            seen.iter().filter_map(|data| data.strip_prefix(&format!("{publisher}."))).collect();
        let all: Vec<_> = (0..MESSAGES).map(|number| number.to_string()).collect();
        assert_eq!(own, all, "publisher {publisher}");
    }
}
