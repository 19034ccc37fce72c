//! Where its client stands when a hold has ended, whenever that was: from there it comes back.

use super::*;
use abeyance_core::words::cause::Resume;

#[test]
fn an_answer_without_a_kept_message_says_how_far_its_client_has_got() {
    let house = archive();
    let quiet = house.come(WireForm::LongPoll, &["a"], ResumePoint::New);
    house.publish("b", &["1", "2"]);
    house.keeper.end(&quiet.hold, Resume::Timeout.into());
    assert_eq!(quiet.stands(0), (vec![], Some(2), false), "past what was none of its business");

    // Something waits, and a reply of the application's goes first.
    house.publish("a", &["3"]);
    let back = house.arrive(WireForm::LongPoll, &["a"], ResumePoint::Back(1));
    back.hold.open(vec!["reply".into()]);
    assert_eq!(back.stands(1), (vec!["reply".into()], Some(1), false), "so it gets it next time");

    // It ends while its message is still on the way.
    let waiting = house.come(WireForm::LongPoll, &["a"], ResumePoint::Back(3));
    let message = Message::from("on its way");
    let in_flight = house.keeper.record(house.archived(), 0, "a", &message);
    house.keeper.end(&waiting.hold, Resume::Timeout.into());
    assert_eq!(waiting.stands(0), (vec![], Some(3), false));
    drop(in_flight);
}

#[test]
fn a_long_poll_that_missed_what_is_gone_is_told_at_once() {
    let house = archive();
    house.publish("a", &["1"]);
    let guest = house.come(WireForm::LongPoll, &["a"], ResumePoint::OtherEpoch);
    assert_eq!(guest.cause(), Some("answered"));
    assert_eq!(guest.stands(0), (vec![], Some(1), true));
    let guest = house.arrive_with(WireForm::LongPoll, &[("a", true)], ResumePoint::OtherEpoch);
    guest.hold.open(Vec::new());
    assert_eq!(
        guest.stands(1),
        (vec!["1".into()], Some(1), true),
        "and gets what there is, if it wants the past"
    );
}

#[test]
fn an_end_says_where_its_client_stands() {
    let house = archive();
    let guest = house.come(SSE, &["a"], ResumePoint::New);
    house.publish("a", &["1"]);
    house.publish("b", &["2"]);
    house.keeper.end(&guest.hold, Resume::Timeout.into());
    assert_eq!(guest.hold.last_position(&[]).id.map(|id| id.offset), Some(2));

    // What was put in line while it opened is not written, so its client comes back as it came.
    let opening = house.arrive(SSE, &["a"], ResumePoint::Back(0));
    house.keeper.end(&opening.hold, Resume::Timeout.into());
    assert_eq!(opening.hold.last_position(&[]).id.map(|id| id.offset), Some(0));
}

#[test]
fn whoever_is_ended_before_it_follows_anything_learns_where_it_stands() {
    let house = keeping(STILL, &[("*", Retention::new().count(3))]);
    house.publish("a", &["1", "2", "3", "4"]);
    for (resume_point, end_log, stands, is_lost) in [
        (ResumePoint::New, false, 4, false),
        (ResumePoint::New, true, 0, false),
        (ResumePoint::Back(2), false, 2, false),
        (ResumePoint::Midway { seen: 2, came: 3 }, true, 2, false),
        (ResumePoint::OtherEpoch, false, 4, true),
    ] {
        let guest = house.seat(house.admit(0, 1).unwrap(), 0, WireForm::LongPoll, None).unwrap();
        house.keeper.end(&guest.hold, Resume::Timeout.into());
        house.keeper.enter(&guest.hold, &[("a".into(), end_log), ("b".into(), end_log)], resume_point);
        assert_eq!(guest.stands(0), (vec![], Some(stands), is_lost), "{resume_point:?}");
        house.keeper.settle(&guest.hold);
        assert!(house.keeper.is_empty(), "it follows nothing");
    }
}
