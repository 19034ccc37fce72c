//! Replay: whoever comes back gets what it missed, once and in order, or is told that something of it is gone.

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

/// A house in which some topics keep something.
fn keeping(settings: EndpointOptions, keeps: &[(&str, Retention)]) -> TestKeeper {
    let rule = |(text, keep): &(&str, Retention)| Rule { pattern: Pattern::read(text).unwrap(), keep: *keep };
    let topics = keeps.iter().map(rule).collect();
    TestKeeper::new(ServerConfig { topics, ..ServerConfig::default() }, &[settings])
}

fn archive() -> TestKeeper {
    keeping(STILL, &[("*", Retention::default())])
}

impl TestKeeper {
    /// A hold that has joined these topics and is still opening.
    fn arrive(&self, form: WireForm, topics: &[&str], resume_point: ResumePoint) -> TestHold {
        self.arrive_with(form, &topics.iter().map(|topic| (*topic, false)).collect::<Vec<_>>(), resume_point)
    }

    fn arrive_with(&self, form: WireForm, topics: &[(&str, bool)], resume_point: ResumePoint) -> TestHold {
        let guest = self.seat(self.admit(0, 1).unwrap(), 0, form, None).unwrap();
        let topics: Vec<_> = topics.iter().map(|(topic, end_log)| (Topic::from(*topic), *end_log)).collect();
        self.keeper.enter(&guest.hold, &topics, resume_point);
        guest
    }

    fn come(&self, form: WireForm, topics: &[&str], resume_point: ResumePoint) -> TestHold {
        let guest = self.arrive(form, topics, resume_point);
        guest.hold.open(Vec::new());
        guest
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
        events(&self.line.text())
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
    let house = archive();
    house.publish("a", &["before"]);
    let guest = house.come(SSE, &["a"], ResumePoint::New);
    assert_eq!(guest.first_id().map(|id| id.offset), Some(1));
    house.publish("a", &["one", "two"]);
    assert_eq!(guest.events(), ["2:one", "3:two"]);
}

#[test]
fn whoever_comes_back_gets_exactly_what_it_missed_of_all_its_topics_in_order_then_what_is_live() {
    let house = archive();
    let first = house.come(SSE, &["a", "b"], ResumePoint::New);
    house.publish("a", &["1"]);
    let seen = house.archived().id(1);
    house.keeper.end(&first.hold, abeyance_core::words::cause::Disconnect::Gone.into());
    house.publish("b", &["2"]);
    house.publish("c", &["not mine"]);
    house.publish("a", &["4"]);
    house.publish("b", &["5"]);
    let back = house.arrive(SSE, &["a", "b"], house.back(Some(seen)));
    assert_eq!(back.first_id(), Some(seen), "cut again now, it must come back as it came");
    house.publish("a", &["6"]);
    back.hold.open(vec!["reply".into()]);
    house.publish("b", &["7"]);
    assert_eq!(back.events(), ["-:reply", "2:2", "4:4", "5:5", "6:6", "7:7"]);
    assert!(!back.hold.first_position().is_lost);
}

#[test]
fn whoever_missed_what_is_gone_is_told_and_gets_what_is_live() {
    let house = keeping(STILL, &[("*", Retention::new().count(2))]);
    house.publish("a", &["1", "2", "3", "4"]);
    for (seen, is_lost) in [(1, true), (2, false), (4, false)] {
        let guest = house.come(SSE, &["a"], ResumePoint::Back(seen));
        assert_eq!(guest.hold.first_position().is_lost, is_lost, "{seen}");
    }
    for resume_point in [ResumePoint::Back(1), ResumePoint::OtherEpoch] {
        let house = keeping(STILL, &[("*", Retention::new().count(2))]);
        house.publish("a", &["1", "2", "3", "4"]);
        let guest = house.come(SSE, &["a"], resume_point);
        assert_eq!(guest.first_id().map(|id| id.offset), Some(4), "from where it goes on");
        house.publish("a", &["5"]);
        assert_eq!(guest.events(), ["5:5"]);
    }
}

#[test]
fn only_an_id_of_what_is_yet_to_come_is_refused_and_a_foreign_one_is_of_another_server() {
    let house = archive();
    house.publish("a", &["1", "2"]);
    let archive = house.archived();
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
    let plain = TestKeeper::of(STILL);
    assert_eq!(
        plain.keeper.resume_point(topics.by_ref().take(1).collect::<Vec<_>>().iter(), Some("x")),
        Ok(ResumePoint::New)
    );
}

#[test]
fn a_newcomer_that_wants_the_past_gets_what_there_is_of_it() {
    let keep = Retention::new().count(2);
    for form in [SSE, WireForm::WebSocket, WireForm::Stream { chunked: false }] {
        let house = keeping(STILL, &[("room", keep), ("other", keep)]);
        house.publish("room", &["m1", "m2", "m3"]);
        house.publish("other", &["not wanted"]);
        let guest = house.arrive_with(form, &[("room", true), ("other", false)], ResumePoint::New);
        let first = guest.first_id().map(|id| (id.offset, id.came));
        assert_eq!(first, Some((0, 4)), "cut now, it gets what there is when it comes back");
        guest.hold.open(Vec::new());
        house.publish("other", &["m5"]);
        let text = guest.line.text();
        let places: Vec<_> = ["m2", "m3", "m5"].iter().map(|one| text.find(one).unwrap()).collect();
        assert!(places.is_sorted() && !text.contains("m1") && !text.contains("not wanted"), "{text}");
        if form == SSE {
            assert_eq!(guest.events(), ["2:m2", "3:m3", "5:m5"]);
        }
    }
    let empty = keeping(STILL, &[("room", keep)]);
    let guest = empty.arrive_with(SSE, &[("room", true)], ResumePoint::New);
    assert_eq!(guest.first_id().map(|id| id.offset), Some(0), "there is no past to miss");
}

#[test]
fn a_newcomer_that_is_cut_in_the_past_gets_the_rest_of_it_and_nothing_else_from_before_it_came() {
    let keep = Retention::new().count(2);
    let house = keeping(STILL, &[("*", keep)]);
    house.publish("room", &["m1", "m2"]);
    house.publish("hall", &["m3"]);
    house.publish("other", &["m4", "m5", "m6"]);
    let topics = [("room", true), ("hall", true), ("other", false)];
    let come = |resume_point| {
        let guest = house.arrive_with(SSE, &topics, resume_point);
        assert!(!guest.hold.first_position().is_lost, "{resume_point:?}");
        guest.hold.open(Vec::new());
        guest
    };
    assert_eq!(come(ResumePoint::New).events(), ["1:m1", "2:m2", "3:m3"]);
    let midway = ResumePoint::Midway { seen: 1, came: 6 };
    let back = come(midway);
    house.publish("other", &["m7"]);
    assert_eq!(back.events(), ["2:m2", "3:m3", "7:m7"]);
    let ids: Vec<_> =
        back.line.text().lines().filter_map(|line| line.strip_prefix("id: ").map(EventId::read)).collect();
    let came: Vec<_> = ids.iter().map(|id| id.map(|id| id.came)).collect();
    assert_eq!(came, [Ok(6), Ok(6), Ok(7)], "through with the past it stands where everybody stands");
    // What made room before it came it has not missed, what made room since it has.
    house.publish("room", &["m8", "m9"]);
    assert_eq!(come(midway).events(), ["3:m3", "7:m7", "8:m8", "9:m9"]);
    house.publish("other", &["m10", "m11"]);
    assert!(house.arrive_with(SSE, &topics, midway).hold.first_position().is_lost);
}

#[test]
fn of_two_publishers_the_first_to_come_brings_both_messages_in_order() {
    for topics in [&["a"][..], &["a", "b"]] {
        let house = archive();
        let guest = house.come(SSE, topics, ResumePoint::New);
        let poll = house.come(WireForm::LongPoll, topics, ResumePoint::New);
        let archive = house.archived();
        let (one, two) = (Message::from("one"), Message::from("two"));
        let first = house.keeper.record(archive, 0, "a", &one);
        let second = house.keeper.record(archive, 0, topics[topics.len() - 1], &two);
        for (in_flight, message) in [(&second, &two), (&first, &one)] {
            let id = archive.id(in_flight.recorded.offset);
            let encoded = Encoded::numbered(message, Some(id));
            assert_eq!(guest.hold.deliver(archive, in_flight, &encoded), Ok(()));
            let _ = poll.hold.deliver(archive, in_flight, &encoded);
        }
        drop((first, second));
        assert_eq!(guest.events(), ["1:one", "2:two"], "{topics:?}");
        assert_eq!(poll.stands(1), (vec!["one".into()], Some(1), false));
    }
}

#[test]
fn a_message_of_a_topic_that_was_left_meanwhile_is_not_delivered() {
    let house = archive();
    let guest = house.come(SSE, &["a", "b"], ResumePoint::New);
    let archive = house.archived();
    let message = Message::from("late");
    let in_flight = house.keeper.record(archive, 0, "a", &message);
    house.keeper.leave(&guest.hold, "a");
    assert!(guest.hold.deliver(archive, &in_flight, &Encoded::new(&message)).is_err());
    drop(in_flight);
    house.publish("b", &["b"]);
    assert_eq!(guest.events(), ["2:b"]);
}

#[test]
fn a_topic_that_is_joined_later_begins_with_what_is_published_later() {
    for already in [&[][..], &["a"]] {
        let house = archive();
        house.publish("late", &["before"]);
        let guest = house.come(SSE, already, ResumePoint::New);
        house.publish("late", &["before, too"]);
        house.keeper.join(&guest.hold, "late".into()).unwrap();
        house.publish("late", &["now"]);
        assert_eq!(guest.events(), ["3:now"]);
    }
}

#[test]
fn a_long_poll_gets_one_message_after_the_other_by_the_id_of_each_answer() {
    let house = archive();
    let first = house.come(WireForm::LongPoll, &["a", "b"], ResumePoint::New);
    house.publish("a", &["1"]);
    house.publish("b", &["2"]);
    house.publish("a", &["3"]);
    assert_eq!(first.stands(1), (vec!["1".into()], Some(1), false));
    let second = house.come(WireForm::LongPoll, &["a", "b"], ResumePoint::Back(1));
    assert_eq!(second.stands(1), (vec!["2".into()], Some(2), false));
    assert_eq!(second.stands(2), (vec!["2".into(), "3".into()], Some(3), false), "or all that wait");
    let third = house.come(WireForm::LongPoll, &["a", "b"], ResumePoint::Back(3));
    assert_eq!(third.cause(), None, "nothing waits for it");
}

#[test]
fn several_topics_do_not_cost_an_encoding_for_each_peer() {
    let house = archive();
    let holds: Vec<_> = (0..3).map(|_| house.come(SSE, &["a", "b"], ResumePoint::New)).collect();
    holds.iter().for_each(|guest| guest.line.window(0));
    house.publish("a", &["shared"]);
    let first = |guest: &TestHold| guest.hold.outbox().send_buffer.next().unwrap().as_ptr();
    assert!(holds.iter().all(|guest| first(guest) == first(&holds[0])));
}

#[test]
fn a_message_too_large_for_an_answer_is_passed_over_and_not_asked_for_again() {
    let settings = EndpointOptions { send_buffer: Some(BOUND), ..STILL };
    for topics in [&["a"][..], &["a", "b"]] {
        let house = keeping(settings, &[("*", Retention::default())]);
        let guest = house.come(WireForm::LongPoll, topics, ResumePoint::New);
        assert_eq!(house.keeper.publish("a", &"x".repeat(BOUND + 1).into()), 0);
        assert_eq!(guest.cause(), None);
        house.keeper.end(&guest.hold, abeyance_core::words::cause::Resume::Timeout.into());
        assert_eq!(guest.stands(0), (vec![], Some(1), false));
        let back = house.come(WireForm::LongPoll, topics, ResumePoint::Back(0));
        assert_eq!(back.cause(), None);
    }
}

#[test]
fn topics_leave_no_memory_when_nobody_follows_and_nothing_is_kept() {
    let age = secs(60);
    let house = keeping(STILL, &[("*", Retention::new().age(age))]);
    let guest = house.come(SSE, &["a", "b"], ResumePoint::New);
    house.publish("a", &["1"]);
    house.keeper.leave(&guest.hold, "b");
    house.keeper.end(&guest.hold, abeyance_core::words::cause::Resume::Released.into());
    house.keeper.settle(&guest.hold);
    assert!(house.keeper.topics.is_empty());
    assert!(!house.archived().is_empty(), "what is kept is kept");
}

#[tokio::test(start_paused = true)]
async fn what_is_old_enough_is_forgotten_though_nothing_happens() {
    let house = keeping(STILL, &[("*", Retention::new().age(secs(1)))]);
    tokio::spawn(house.keeper.clone().keep_time());
    house.publish("a", &["1"]);
    tokio::time::sleep(millis(900)).await;
    assert!(!house.archived().is_empty());
    tokio::time::sleep(millis(200)).await;
    assert!(house.archived().is_empty());
}

/// Publishers race over two topics while a client is cut and comes back with the last id it saw, again and again.
#[test]
fn under_racing_publishers_a_client_that_comes_back_sees_no_gap_and_no_double() {
    const MESSAGES: usize = 400;
    let house = keeping(STILL, &[("*", Retention::new().count(10_000).bytes(1 << 24))]);
    let done = AtomicBool::new(false);
    let mut seen: Vec<String> = Vec::new();
    let start = house.archived().last();
    std::thread::scope(|scope| {
        let publishers: Vec<_> = (0..3)
            .map(|publisher| {
                let house = &house;
                scope.spawn(move || {
                    for number in 0..MESSAGES {
                        let topic = ["a", "b"][(publisher + number) % 2];
                        house.publish(topic, &[&format!("{publisher}.{number}")]);
                        if number % 16 == publisher {
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let (house, done, seen) = (&house, &done, &mut seen);
        let client = scope.spawn(move || {
            let mut last = start;
            loop {
                let is_last = done.load(SeqCst);
                let guest = house.arrive(SSE, &["a", "b"], ResumePoint::Back(last));
                std::thread::yield_now();
                guest.hold.open(Vec::new());
                std::thread::yield_now();
                house.keeper.end(&guest.hold, abeyance_core::words::cause::Disconnect::Gone.into());
                let text = guest.line.text();
                house.keeper.settle(&guest.hold);
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
