//! Where its client stands when a hold has ended, whenever that was: from there it comes back.

use super::*;
use abeyance_core::words::cause::Resume;

#[test]
fn an_answer_without_a_kept_message_says_how_far_its_client_has_got() {
    let server = archive();
    let quiet = server.come(WireForm::LongPoll, &["a"], ResumePoint::New);
    server.publish("b", &["1", "2"]);
    server.keeper.end(&quiet.hold, Resume::Timeout.into());
    assert_eq!(quiet.stands(0), (vec![], Some(2), false), "past what was none of its business");

    // Something waits, and a reply of the application's goes first.
    server.publish("a", &["3"]);
    let back = server.arrive(WireForm::LongPoll, &["a"], ResumePoint::Back(1));
    back.hold.open(vec!["reply".into()]);
    assert_eq!(back.stands(1), (vec!["reply".into()], Some(1), false), "so it gets it next time");

    // It ends while its message is still on the way.
    let waiting = server.come(WireForm::LongPoll, &["a"], ResumePoint::Back(3));
    let message = Message::from("on its way");
    let in_flight = server.keeper.record(server.archived(), 0, "a", &message);
    server.keeper.end(&waiting.hold, Resume::Timeout.into());
    assert_eq!(waiting.stands(0), (vec![], Some(3), false));
    drop(in_flight);
}

#[test]
fn a_long_poll_that_missed_what_is_gone_is_told_at_once() {
    let server = archive();
    server.publish("a", &["1"]);
    let test_hold = server.come(WireForm::LongPoll, &["a"], ResumePoint::OtherEpoch);
    assert_eq!(test_hold.cause(), Some("answered"));
    assert_eq!(test_hold.stands(0), (vec![], Some(1), true));
    let test_hold = server.arrive_with(WireForm::LongPoll, &[("a", true)], ResumePoint::OtherEpoch);
    test_hold.hold.open(Vec::new());
    assert_eq!(
        test_hold.stands(1),
        (vec!["1".into()], Some(1), true),
        "and gets what there is, if it wants the past"
    );
}

#[test]
fn an_end_says_where_its_client_stands() {
    let server = archive();
    let test_hold = server.come(SSE, &["a"], ResumePoint::New);
    server.publish("a", &["1"]);
    server.publish("b", &["2"]);
    server.keeper.end(&test_hold.hold, Resume::Timeout.into());
    assert_eq!(test_hold.hold.last_position(&[]).id.map(|id| id.offset), Some(2));

    // What was put in line while it opened is not written, so its client comes back as it came.
    let pending = server.arrive(SSE, &["a"], ResumePoint::Back(0));
    server.keeper.end(&pending.hold, Resume::Timeout.into());
    assert_eq!(pending.hold.last_position(&[]).id.map(|id| id.offset), Some(0));
}

#[test]
fn a_hold_that_ends_before_it_follows_a_topic_tells_its_position() {
    let server = keeping(STILL, &[("*", Retention::new().count(3))]);
    server.publish("a", &["1", "2", "3", "4"]);
    for (resume_point, end_log, stands, is_lost) in [
        (ResumePoint::New, false, 4, false),
        (ResumePoint::New, true, 0, false),
        (ResumePoint::Back(2), false, 2, false),
        (ResumePoint::Midway { seen: 2, came: 3 }, true, 2, false),
        (ResumePoint::OtherEpoch, false, 4, true),
    ] {
        let test_hold = server.seat(server.admit(0, 1).unwrap(), 0, WireForm::LongPoll, None).unwrap();
        server.keeper.end(&test_hold.hold, Resume::Timeout.into());
        server.keeper.enter(&test_hold.hold, &[("a".into(), end_log), ("b".into(), end_log)], resume_point);
        assert_eq!(test_hold.stands(0), (vec![], Some(stands), is_lost), "{resume_point:?}");
        server.keeper.settle(&test_hold.hold);
        assert!(server.keeper.is_empty(), "it follows nothing");
    }
}
