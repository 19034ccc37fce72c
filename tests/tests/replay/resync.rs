//! Messages that are gone, and that are not: a client that missed one gets one resync, all others get none.

use std::pin::pin;

use abeyance::{Retention, Server, Transport};
use abeyance_tests::returning_client::{Cut, ReturningClient};
use abeyance_tests::test_server::{TestServer, test_server, until};
use tokio::time::{Instant, sleep};

use super::{EVERYTHING, seconds};

const FEW: Retention = EVERYTHING.count(3);

/// Those that carry ids.
const CARRIERS: [Transport; 2] = [Transport::Sse, Transport::LongPoll];

fn open(set_up: impl FnOnce(Server) -> Server) -> TestServer {
    test_server()
        .server(set_up)
        .hold(|hold| hold.join("news").max_idle(seconds(7200)).heartbeat(seconds(3600)))
        .start()
}

fn client(server: &TestServer, transport: Transport, id: Option<String>) -> ReturningClient {
    let path = format!("/hold?transport={}", transport.as_str());
    ReturningClient::new(&server.dialer, path).with_id(id)
}

/// Has the client get so many messages more, of which the last are published while it is held.
async fn receive(
    server: &TestServer,
    client: &mut ReturningClient,
    transport: Transport,
    count: usize,
    live: &[&str],
) {
    let count = client.got.len() + count;
    let held = || until("a hold", || server.hub.held_count() == 1);
    until("the end of the last", || server.hub.held_count() == 0).await;
    if transport == Transport::Sse {
        let publish = async {
            held().await;
            live.iter().for_each(|text| assert_eq!(server.hub.publish("news", *text), 1));
        };
        tokio::join!(client.listen(1 << 20, Cut::Reset, |client| client.got.len() >= count), publish);
    }
    let mut live = live.iter();
    while client.got.len() < count {
        let mut poll = pin!(client.poll());
        tokio::select! {
            biased;
            _ = &mut poll => {}
            () = held() => {
                let next = live.next().expect("something to publish");
                assert_eq!(server.hub.publish("news", *next), 1);
                poll.await;
            }
        }
    }
    until("the end", || server.hub.held_count() == 0).await;
}

/// The id of a client that was here, got a message, and left.
async fn seen(server: &TestServer, transport: Transport) -> Option<String> {
    let mut client = client(server, Transport::Sse, None);
    receive(server, &mut client, Transport::Sse, 1, &["seen"]).await;
    assert_eq!(client.texts(), ["seen"], "{transport:?}");
    client.id
}

fn publish(server: &TestServer, topic: &str, count: usize, size: usize) {
    for number in 0..count {
        server.hub.publish(topic, format!("{number} {}", "x".repeat(size)));
    }
}

/// A client comes back with this id, and again later: it must be told so often that something is gone, get these messages
/// first, and then what is live.
async fn assert_back(
    server: TestServer,
    transport: Transport,
    id: Option<String>,
    resyncs: usize,
    missed: &[&str],
) {
    let told = format!("{}, {resyncs} {missed:?}", transport.as_str());
    let mut client = client(&server, transport, id);
    let begun = Instant::now();
    if transport == Transport::LongPoll && resyncs > 0 {
        assert_eq!(client.poll().await.head.status, 204, "{told}");
        assert!(begun.elapsed() < seconds(1), "told at once; {told}");
    }
    receive(&server, &mut client, transport, missed.len() + 2, &["live 1", "live 2"]).await;
    let expected = [missed, &["live 1", "live 2"]].concat();
    assert_eq!((client.texts(), client.resyncs), (expected.clone(), resyncs), "{told}");
    server.hub.publish("news", "away");
    receive(&server, &mut client, transport, 2, &["live 3"]).await;
    let expected = [expected.as_slice(), &["away", "live 3"]].concat();
    assert_eq!((client.texts(), client.resyncs), (expected, resyncs), "{told}");
    assert_eq!(server.hub.held_count(), 0);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_missed_a_message_that_made_room_for_others_gets_one_resync() {
    for transport in CARRIERS {
        let server = open(|server| server.topic("news", FEW));
        let id = seen(&server, transport).await;
        publish(&server, "news", 4, 10);
        assert_back(server, transport, id, 1, &[]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_missed_a_message_that_made_room_for_larger_ones_gets_one_resync() {
    for transport in CARRIERS {
        let server = open(|server| server.topic("news", EVERYTHING.bytes(4096)));
        let id = seen(&server, transport).await;
        publish(&server, "news", 1, 10);
        publish(&server, "news", 2, 3000);
        assert_back(server, transport, id, 1, &[]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_missed_a_message_that_is_too_old_gets_one_resync() {
    for transport in CARRIERS {
        let server = open(|server| server.topic("news", EVERYTHING.age(seconds(60))));
        let id = seen(&server, transport).await;
        publish(&server, "news", 1, 10);
        sleep(seconds(61)).await;
        assert_back(server, transport, id, 1, &[]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_missed_a_message_that_made_room_for_other_topics_gets_one_resync() {
    for transport in CARRIERS {
        let server = open(|server| server.topic("*", EVERYTHING).max_retained(8192));
        let id = seen(&server, transport).await;
        publish(&server, "news", 1, 10);
        publish(&server, "other", 3, 3000);
        assert_back(server, transport, id, 1, &[]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_to_a_restarted_server_gets_one_resync() {
    for transport in CARRIERS {
        let before = open(|server| server.topic("news", EVERYTHING));
        let id = seen(&before, transport).await;
        before.close().await;
        let server = open(|server| server.topic("news", EVERYTHING));
        publish(&server, "news", 4, 10);
        assert_back(server, transport, id, 1, &[]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_with_an_id_of_another_server_gets_one_resync_though_nothing_was_published_here() {
    for transport in CARRIERS {
        let server = open(|server| server.topic("news", EVERYTHING));
        assert_back(server, transport, Some("0123456789ab-000000000007".into()), 1, &[]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_gets_what_it_missed_and_no_resync_while_it_is_still_there() {
    for transport in CARRIERS {
        let server = open(|server| server.topic("*", EVERYTHING));
        let id = seen(&server, transport).await;
        ["one", "two"].iter().for_each(|text| assert_eq!(server.hub.publish("news", *text), 0));
        publish(&server, "other", 10, 10);
        assert_back(server, transport, id, 0, &["one", "two"]).await;

        // Up to the last that there is room for.
        let server = open(|server| server.topic("news", FEW));
        let id = seen(&server, transport).await;
        ["one", "two", "three"].iter().for_each(|text| assert_eq!(server.hub.publish("news", *text), 0));
        assert_back(server, transport, id, 0, &["one", "two", "three"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_missed_nothing_gets_no_resync_though_everything_is_gone() {
    for transport in CARRIERS {
        // By age.
        let server = open(|server| server.topic("news", EVERYTHING.age(seconds(60))));
        let id = seen(&server, transport).await;
        sleep(seconds(61)).await;
        assert_back(server, transport, id, 0, &[]).await;

        // By the bytes of all, of which others took the room.
        let server =
            open(|server| server.topic("news", EVERYTHING).topic("other", EVERYTHING).max_retained(8192));
        let id = seen(&server, transport).await;
        publish(&server, "other", 10, 3000);
        assert_back(server, transport, id, 0, &[]).await;

        // A message so large that it was never kept, which the client got.
        let server = open(|server| server.topic("news", EVERYTHING.bytes(1024)));
        let mut first = client(&server, Transport::Sse, None);
        receive(&server, &mut first, Transport::Sse, 1, &[&"x".repeat(1000)]).await;
        assert_back(server, transport, first.id, 0, &[]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_client_gets_no_resync_though_much_is_gone() {
    for transport in CARRIERS {
        for id in [None, Some(String::new())] {
            let server = open(|server| server.topic("news", FEW));
            publish(&server, "news", 10, 10);
            assert_back(server, transport, id, 0, &[]).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_cut_before_a_message_came_comes_back_from_there() {
    for transport in CARRIERS {
        let server = open(|server| server.topic("news", FEW));
        publish(&server, "news", 10, 10);
        let mut first = client(&server, Transport::Sse, None);
        first.listen(1 << 20, Cut::Reset, |client| client.id.is_some()).await;
        until("the end", || server.hub.held_count() == 0).await;
        server.hub.publish("news", "one");
        assert_back(server, transport, first.id, 0, &["one"]).await;
    }
}

/// Cut right behind the first block, a client comes back as it came: it is told again, because it was not told.
#[tokio::test(start_paused = true)]
async fn the_word_comes_right_behind_the_first_block_and_the_new_id_comes_with_it() {
    let server = open(|server| server.topic("news", FEW));
    let id = seen(&server, Transport::Sse).await;
    publish(&server, "news", 4, 10);
    let mut before = client(&server, Transport::Sse, id.clone());
    let mut bytes = 0;
    while before.resyncs == 0 {
        assert_eq!(before.id, id, "cut after {bytes} bytes");
        bytes += 1;
        before.listen(bytes, Cut::Reset, |_| false).await;
    }
    assert_ne!(before.id, id);
    receive(&server, &mut before, Transport::Sse, 1, &["live"]).await;
    assert_eq!((before.resyncs, before.texts()), (1, vec!["live"]));
    server.close().await;
}

/// Publishes to that room, which has no member, and waits until the message is too old.
async fn pass_through(server: &TestServer, room: &str) {
    server.hub.publish(room, "elsewhere");
    sleep(seconds(61)).await;
}

#[tokio::test(start_paused = true)]
async fn the_only_client_of_a_quiet_room_gets_no_resync_though_other_rooms_are_forgotten() {
    let rooms = |server: Server| server.topic("*", EVERYTHING.age(seconds(60)));
    for transport in CARRIERS {
        // Nothing was ever published to its room; and it is away for a moment, ten times.
        let server = open(rooms);
        let mut quiet = client(&server, Transport::Sse, None);
        quiet.listen(1 << 20, Cut::Reset, |client| client.id.is_some()).await;
        let id = quiet.id;
        for round in 0..10 {
            until("the end", || server.hub.held_count() == 0).await;
            pass_through(&server, &format!("rooms/{round}")).await;
            let mut again = client(&server, transport, id.clone());
            if transport == Transport::LongPoll {
                let poll = async { again.poll().await };
                let resume = async {
                    until("a hold", || server.hub.held_count() == 1).await;
                    server.hooks.newest().resume();
                };
                tokio::join!(poll, resume);
            } else {
                let had = again.resyncs;
                let mut watch = pin!(again.listen(1 << 20, Cut::Reset, |client| client.resyncs > had));
                tokio::select! {
                    biased;
                    _ = &mut watch => {}
                    () = sleep(seconds(1)) => {}
                }
            }
            assert_eq!(again.resyncs, 0, "{transport:?}, round {round}");
        }
        until("the end", || server.hub.held_count() == 0).await;
        assert_back(server, transport, id, 0, &[]).await;

        // Its own room had messages, which it saw, and which are forgotten by now.
        let server = open(rooms);
        let id = seen(&server, transport).await;
        pass_through(&server, "rooms/1").await;
        pass_through(&server, "rooms/2").await;
        assert_back(server, transport, id, 0, &[]).await;

        // A message of its own topic is gone, so it gets a resync.
        let server = open(rooms);
        let id = seen(&server, transport).await;
        pass_through(&server, "news").await;
        pass_through(&server, "rooms/1").await;
        assert_back(server, transport, id, 1, &[]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn so_much_is_known_of_forgotten_rooms_as_there_is_room_for_and_then_all_are_told() {
    for transport in CARRIERS {
        for (rooms, resyncs) in [(6, 0), (9, 1)] {
            // Room for eight.
            let server =
                open(|server| server.topic("*", EVERYTHING.age(seconds(60))).max_retained(8 * 64 * 128));
            let id = seen(&server, transport).await;
            sleep(seconds(61)).await;
            for room in 0..rooms {
                server.hub.publish(format!("rooms/{room}"), "elsewhere");
            }
            sleep(seconds(61)).await;
            assert_back(server, transport, id, resyncs, &[]).await;
        }
    }
}
