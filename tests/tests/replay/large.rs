//! What is larger than may wait for one peer: one message is left out for it, as it would be live; a whole past comes
//! piece by piece.

use abeyance::{Disconnect, Resume, Retention, Transport, WhenSlow};
use abeyance_tests::returning_client::{Cut, ReturningClient};
use abeyance_tests::test_server::{TestServer, test_server, until};

use tokio::time::sleep;

use super::{EVERYTHING, Numbers, seconds};

/// The least that a send buffer may be.
const BACKLOG: usize = 32 << 10;

fn open(keep: Retention, topics: &'static [&'static str]) -> TestServer {
    let join = |hold, topic: &&'static str| abeyance::Suspend::join(hold, *topic);
    test_server()
        .server(|server| server.topic("*", keep))
        .hold(move |hold| topics.iter().fold(hold.send_buffer(BACKLOG), join))
        .start()
}

fn client(server: &TestServer, transport: Transport) -> ReturningClient {
    ReturningClient::new(&server.dialer, format!("/hold?transport={}", transport.as_str()))
}

/// A client that was here and got nothing yet.
async fn been(server: &TestServer) -> Option<String> {
    let mut client = client(server, Transport::Sse);
    client.listen(1 << 20, Cut::Reset, |client| client.id.is_some()).await;
    until("the end", || server.hub.held_count() == 0).await;
    client.id
}

fn large() -> String {
    "x".repeat(BACKLOG + 1)
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_comes_back_to_a_message_that_it_cannot_have_gets_what_comes_behind() {
    for topics in [&["a"][..], &["a", "b"]] {
        for takes_lines in [false, true] {
            let server = open(EVERYTHING, topics);
            let id = been(&server).await;
            for _ in 0..3 {
                server.hub.publish("a", large());
            }
            server.hub.publish("a", "one");
            server.hub.publish(topics[topics.len() - 1], "two");
            let mut client = client(&server, Transport::LongPoll).with_id(id);
            if takes_lines {
                client = client.taking_lines();
            }
            while client.got.len() < 2 {
                assert_eq!(client.poll().await.head.status, 200);
            }
            assert_eq!((client.texts(), client.resyncs), (vec!["one", "two"], 0), "{topics:?}");
            server.close().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_waits_is_not_answered_with_a_message_that_it_cannot_have() {
    for topics in [&["a"][..], &["a", "b"]] {
        for takes_lines in [false, true] {
            let server = open(EVERYTHING, topics);
            let mut client = client(&server, Transport::LongPoll);
            if takes_lines {
                client = client.taking_lines();
            }
            for expected in [vec!["one"], vec!["one", "two"]] {
                let poll = client.poll();
                let publish = async {
                    until("a hold", || server.hub.held_count() == 1).await;
                    assert_eq!(server.hub.publish("a", large()), 0);
                    assert_eq!(server.hub.held_count(), 1);
                    assert_eq!(server.hub.publish(topics[topics.len() - 1], *expected.last().unwrap()), 1);
                };
                let (answer, ()) = tokio::join!(poll, publish);
                assert_eq!(answer.head.status, 200);
                assert_eq!((client.texts(), client.resyncs), (expected, 0), "{topics:?}");
            }
            server.close().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn events_go_on_behind_a_message_that_their_client_cannot_have() {
    for topics in [&["a"][..], &["a", "b"]] {
        let server = open(EVERYTHING, topics);
        let mut client = client(&server, Transport::Sse).with_id(been(&server).await);
        for text in [&large(), "one", &large(), "two"] {
            server.hub.publish("a", text);
        }
        let listen = client.listen(1 << 20, Cut::Reset, |client| client.got.len() == 3);
        let publish = async {
            until("a hold", || server.hub.held_count() == 1).await;
            assert_eq!(server.hub.publish("a", large()), 0);
            assert_eq!(server.hub.publish(topics[topics.len() - 1], "three"), 1);
        };
        tokio::join!(listen, publish);
        assert_eq!((client.texts(), client.resyncs), (vec!["one", "two", "three"], 0));
        server.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_past_larger_than_the_backlog_comes_in_as_many_answers_as_it_takes() {
    for takes_lines in [false, true] {
        let server = open(EVERYTHING, &["a"]);
        let mut client = client(&server, Transport::LongPoll).with_id(been(&server).await);
        if takes_lines {
            client = client.taking_lines();
        }
        for number in 0..200 {
            server.hub.publish("a", Numbers::text(0, number, 1_000));
        }
        let mut polls = 0;
        while client.got.len() < 200 {
            assert_eq!(client.poll().await.head.status, 200);
            polls += 1;
        }
        Numbers::assert_all(client.texts(), &[200], "");
        assert!(if takes_lines { polls < 10 } else { polls == 200 }, "{polls}");
        assert_eq!(client.poll().await.head.status, 204);
        server.close().await;
    }
}

/// What it had not read yet is forgotten: it is cut, and told when it comes back.
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_more_slowly_than_its_topic_moves_on_is_cut_and_told() {
    let server = open(EVERYTHING.count(100), &["a"]);
    let mut client = client(&server, Transport::Sse).with_id(been(&server).await);
    let mut published = 0;
    let mut publish = |count| {
        for _ in 0..count {
            server.hub.publish("a", Numbers::text(0, published, 2_000));
            published += 1;
        }
    };
    publish(100);
    let mut slow =
        server.request(Transport::Sse).field("last-event-id", client.id.as_deref().unwrap()).hold().await;
    slow.stream().window(0);
    publish(100);
    slow.stream().window(1 << 20);
    assert_eq!(slow.end().await, "RST");
    assert_eq!(server.nth_end(2).await.end, Disconnect::Slow.into());
    client.listen(1 << 20, Cut::Reset, |client| client.resyncs == 1).await;
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_poll_for_which_too_much_is_published_before_it_opens_is_answered_all_the_same() {
    for when_slow in [WhenSlow::Disconnect, WhenSlow::DropOldest, WhenSlow::DropNewest] {
        for topics in [&["kept"][..], &["kept", "b"], &["plain"]] {
            let server = test_server()
                .server(|server| server.topic("kept", EVERYTHING).topic("b", EVERYTHING))
                .hold(move |hold| {
                    let hold = hold.send_buffer(BACKLOG).when_slow(when_slow);
                    topics.iter().fold(hold, |hold, topic| hold.join(*topic))
                })
                .on_suspend(|_| sleep(seconds(1)))
                .start();
            let is_kept = topics[0] == "kept";
            let mut client =
                server.request(Transport::LongPoll).field("accept", "application/x-ndjson").hold().await;
            for number in 0..100 {
                server.hub.publish(topics[0], Numbers::text(0, number, 1_000));
            }
            assert_eq!(client.end().await, "200");
            assert_eq!(server.cause().await, Resume::Answered.into());
            if is_kept {
                let id = client.head.get("last-event-id").map(str::to_owned);
                let mut back = self::client(&server, Transport::LongPoll).with_id(id).taking_lines();
                let first = client.messages[0]
                    .lines()
                    .map(|line| line.trim_matches('"').to_owned())
                    .collect::<Vec<_>>();
                while first.len() + back.got.len() < 100 {
                    assert_eq!(back.poll().await.head.status, 200);
                }
                let all = first.iter().map(String::as_str).chain(back.texts());
                Numbers::assert_all(all, &[100], when_slow.as_str());
            }
            server.close().await;
        }
    }
}
