//! Topics: who gets what, and who is a member.

use super::*;
use crate::keeper::publish::JoinRefusal;
use abeyance_core::words::topic::Topic;

impl TestKeeper {
    fn members(&self, topic: &str) -> usize {
        self.keeper.members(topic).len()
    }
}

#[test]
fn a_message_comes_once_however_often_and_whenever_a_topic_is_joined() {
    let house = TestKeeper::of(STILL);
    let guest = house.suspend(SSE);
    house.keeper.join(&guest.hold, "a".into()).unwrap();
    std::thread::scope(|scope| {
        let joiner = scope.spawn(|| {
            for _ in 0..20_000 {
                house.keeper.join(&guest.hold, Topic::from("a")).unwrap();
            }
        });
        while !joiner.is_finished() {
            assert_eq!(house.keeper.publish("a", &"x".into()), 1);
        }
    });
    house.keeper.leave(&guest.hold, "a");
    assert_eq!(house.members("a"), 0);
}

#[test]
fn whose_end_has_begun_is_no_member_and_joins_nothing() {
    let house = TestKeeper::of(STILL);
    let guest = house.suspend(SSE);
    house.keeper.join(&guest.hold, "a".into()).unwrap();
    house.keeper.end(&guest.hold, abeyance_core::words::cause::Resume::Released.into());
    assert_eq!(house.keeper.join(&guest.hold, "b".into()), Err(JoinRefusal::Ended));
    assert_eq!((house.members("a"), house.members("b")), (0, 0));
    assert_eq!(house.keeper.publish("a", &"x".into()), 0);
}
