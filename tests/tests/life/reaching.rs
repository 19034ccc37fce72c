//! Sending to holds from elsewhere: by id, by topic, by key, and to all others.

use abeyance::{Held, HoldId, Retention, Transport};
use abeyance_tests::client::Client;
use abeyance_tests::test_server::{TestServer, test_server};

use super::seconds;

fn in_news() -> TestServer {
    test_server().hold(|hold| hold.join("news")).start()
}

/// The topic keeps its past.
fn in_kept_news() -> TestServer {
    test_server()
        .server(|server| server.topic("news", Retention::default()))
        .hold(|hold| hold.join("news"))
        .start()
}

async fn enter(server: &TestServer, transport: Transport) -> (Client, Held) {
    let client = server.hold(transport).await;
    (client, server.hooks.newest())
}

async fn assert_left_out(server: TestServer, transport: Transport) {
    let (mut speaker, held) = enter(&server, transport).await;
    let (mut other, _) = enter(&server, transport).await;
    assert_eq!(held.publish_others("news", "from one"), 1);
    assert_eq!(other.message().await, "from one");
    speaker.stay_held(seconds(2)).await;
    assert!(speaker.messages.is_empty(), "{:?}", speaker.messages);
    // Alone in the room: there is no other member, and the message is not lost for it.
    if transport == Transport::LongPoll {
        other.end().await;
        server.until_settled().await;
        assert_eq!(held.publish_others("news", "to no member"), 0);
    }
    server.hub.publish("news", "to all");
    assert_eq!(speaker.message().await, "to all");
    server.close().await;
}

contract!(what_one_publishes_to_the_others_does_not_come_back_to_it of all);
async fn what_one_publishes_to_the_others_does_not_come_back_to_it(transport: Transport) {
    assert_left_out(in_news(), transport).await;
}

contract!(what_one_publishes_to_the_others_of_a_kept_topic_does_not_come_back_to_it of all);
async fn what_one_publishes_to_the_others_of_a_kept_topic_does_not_come_back_to_it(transport: Transport) {
    assert_left_out(in_kept_news(), transport).await;
}

contract!(what_is_for_the_others_waits_for_on_suspend_as_everything_does of all);
async fn what_is_for_the_others_waits_for_on_suspend_as_everything_does(transport: Transport) {
    for keeps in [false, true] {
        let builder = test_server().hold(|hold| hold.join("news")).on_suspend(|held| async move {
            held.publish_others("news", "from myself");
            held.publish("news", "to all");
        });
        let builder =
            builder.server(|server| if keeps { server.topic("news", Retention::default()) } else { server });
        let server = builder.start();
        let (mut client, _) = enter(&server, transport).await;
        assert_eq!(client.message().await, "to all");
        server.close().await;
    }
}

contract!(an_ended_hold_still_publishes_to_the_others of all);
async fn an_ended_hold_still_publishes_to_the_others(transport: Transport) {
    let server = in_news();
    let (mut client, held) = enter(&server, transport).await;
    let (mut other, _) = enter(&server, transport).await;
    held.resume();
    assert_eq!(held.publish_others("news", "a last word"), 1);
    client.end().await;
    assert_eq!(other.message().await, "a last word");
    server.close().await;
}

contract!(what_is_for_the_others_is_in_the_past_of_its_topic of sse Sse, long_poll LongPoll);
async fn what_is_for_the_others_is_in_the_past_of_its_topic(transport: Transport) {
    let server = in_kept_news();
    let (mut client, _) = enter(&server, transport).await;
    server.hub.publish("news", "seen");
    assert_eq!(client.message().await, "seen");
    let stand = match transport {
        Transport::LongPoll => client.head.get("last-event-id").expect("an id").to_owned(),
        _ => String::new(),
    };
    let (_other, held) = enter(&server, transport).await;
    held.publish_others("news", "meanwhile");
    if transport == Transport::LongPoll {
        let mut again = server.request(transport).field("last-event-id", &stand).hold().await;
        assert_eq!(again.message().await, "meanwhile");
    } else {
        assert_eq!(client.message().await, "meanwhile");
    }
    server.close().await;
}

contract!(a_hold_is_found_by_its_id_until_its_end_begins of all);
async fn a_hold_is_found_by_its_id_until_its_end_begins(transport: Transport) {
    let server = in_news();
    let (mut client, held) = enter(&server, transport).await;
    let written = held.id().to_string();
    let id: HoldId = written.parse().expect("an id");
    assert_eq!(id, held.id());
    let found = server.hub.get(id).expect("a hold");
    found.send("found").expect("room");
    assert_eq!(client.message().await, "found");
    found.resume();
    assert!(server.hub.get(id).is_none());
    client.end().await;
    server.until_settled().await;
    assert!(server.hub.get(id).is_none());
    server.close().await;
}

contract!(the_members_of_a_topic_are_those_who_are_in_it_now of all);
async fn the_members_of_a_topic_are_those_who_are_in_it_now(transport: Transport) {
    let server = in_news();
    assert!(server.hub.members("news").is_empty());
    let (mut one, first) = enter(&server, transport).await;
    let (_two, second) = enter(&server, transport).await;
    let mut ids: Vec<_> = server.hub.members("news").iter().map(Held::id).collect();
    ids.sort();
    assert_eq!(ids, [first.id(), second.id()]);
    assert_eq!((server.hub.member_count("news"), server.hub.member_count("olds")), (2, 0));
    first.leave("news");
    assert_eq!(server.hub.member_count("news"), 1);
    assert!(server.hub.members("news").iter().all(Held::resume));
    assert_eq!((server.hub.member_count("news"), server.hub.held_count()), (0, 1));
    first.resume();
    one.end().await;
    server.close().await;
}

contract!(a_message_to_a_key_reaches_all_its_holds_and_no_others of all);
async fn a_message_to_a_key_reaches_all_its_holds_and_no_others(transport: Transport) {
    let server = test_server().start();
    let mut hers = Vec::new();
    for _ in 0..2 {
        hers.push(server.request(transport).query("key=ada").hold().await);
    }
    let mut others =
        vec![server.request(transport).query("key=bob").hold().await, server.hold(transport).await];
    assert_eq!(server.hub.send_to_key("ada", "hello"), 2);
    assert_eq!(server.hub.send_to_key("eve", "hello"), 0);
    for client in &mut hers {
        assert_eq!(client.message().await, "hello");
    }
    for client in &mut others {
        client.stay_held(seconds(1)).await;
        assert!(client.messages.is_empty());
    }
    server.close().await;
}

contract!(all_holds_of_a_key_and_no_others_join_and_leave_a_topic of all);
async fn all_holds_of_a_key_and_no_others_join_and_leave_a_topic(transport: Transport) {
    for keeps in [false, true] {
        let builder = test_server()
            .server(|server| if keeps { server.topic("room", Retention::default()) } else { server });
        let server = builder.start();
        let mut hers = server.request(transport).query("key=ada").hold().await;
        let _second = server.request(transport).query("key=ada").hold().await;
        let _other = server.request(transport).query("key=bob").hold().await;
        assert_eq!(server.hub.leave_key("ada", "room"), 0);
        assert_eq!((server.hub.join_key("ada", "room"), server.hub.join_key("eve", "room")), (2, 0));
        // Joining twice is joining once.
        assert_eq!((server.hub.join_key("ada", "room"), server.hub.member_count("room")), (2, 2));
        assert_eq!(server.hub.leave_key("ada", "room"), 2);
        assert_eq!(server.hub.publish("room", "to no member"), 0);
        server.hub.join_key("ada", "room");
        assert_eq!(server.hub.publish("room", "hello"), 2);
        assert_eq!(hers.message().await, "hello");
        server.close().await;
    }
}
