//! Topics: who gets what, and who is a member.

use super::*;
use crate::keeper::publish::JoinRefusal;
use abeyance_core::words::topic::Topic;

impl TestServer {
    fn members(&self, topic: &str) -> usize {
        self.keeper.members(topic).len()
    }
}

#[test]
fn a_message_comes_once_however_often_and_whenever_a_topic_is_joined() {
    let server = TestServer::of(STILL);
    let test_hold = server.suspend(SSE);
    server.keeper.join(&test_hold.hold, "a".into()).unwrap();
    std::thread::scope(|scope| {
        let joiner = scope.spawn(|| {
            for _ in 0..20_000 {
                server.keeper.join(&test_hold.hold, Topic::from("a")).unwrap();
            }
        });
        while !joiner.is_finished() {
            assert_eq!(server.keeper.publish("a", &"x".into()), 1);
        }
    });
    server.keeper.leave(&test_hold.hold, "a");
    assert_eq!(server.members("a"), 0);
}

#[test]
fn whose_end_has_begun_is_no_member_and_joins_nothing() {
    let server = TestServer::of(STILL);
    let test_hold = server.suspend(SSE);
    server.keeper.join(&test_hold.hold, "a".into()).unwrap();
    server.keeper.end(&test_hold.hold, abeyance_core::words::cause::Resume::Released.into());
    assert_eq!(server.keeper.join(&test_hold.hold, "b".into()), Err(JoinRefusal::Ended));
    assert_eq!((server.members("a"), server.members("b")), (0, 0));
    assert_eq!(server.keeper.publish("a", &"x".into()), 0);
}
