//! New clients that want the history of some of their topics: each message of it once, and then what is live, in any mix with
//! other topics.

use abeyance::extract::{LastEventId, Query, State};
use abeyance::{Refusal, Retention, Suspend, suspend};
use abeyance_tests::returning_client::{Cut, ReturningClient};
use abeyance_tests::test_context::TestContext;
use abeyance_tests::test_server::{QueryParams, TestEndpoint, TestServer, test_server, until};

use super::EVERYTHING;

const FEW: Retention = EVERYTHING.count(3);

/// How a client listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// It is cut behind every message.
    Events,
    Polls,
    Lines,
}

const MANNERS: [Manner; 3] = [Manner::Events, Manner::Polls, Manner::Lines];

fn open(rooms: &'static [&'static str], others: &'static [&'static str]) -> TestServer {
    test_server()
        .server(|server| server.topic("*", FEW).mount(greeting))
        .hold(move |hold| {
            let hold = others.iter().fold(hold, |hold, topic| hold.join(*topic));
            rooms.iter().fold(hold, |hold, topic| hold.join_with_history(*topic))
        })
        .start()
}

/// Greets newcomers.
#[suspend(path = "/greeting")]
async fn greeting(
    State(endpoint): State<TestEndpoint>,
    Query(asked): Query<QueryParams>,
    LastEventId(last): LastEventId,
) -> Result<Suspend<TestContext>, Refusal> {
    let hold = endpoint.hold(asked).await?;
    Ok(if last.is_none() { hold.reply("welcome") } else { hold })
}

fn newcomer(server: &TestServer, path: &str, manner: Manner) -> ReturningClient {
    let new = |transport| ReturningClient::new(&server.dialer, format!("{path}?transport={transport}"));
    match manner {
        Manner::Events => new("sse"),
        Manner::Polls => new("long_poll"),
        Manner::Lines => new("long_poll").taking_lines(),
    }
}

/// Has the client get so many more messages that are there, in as many visits as that takes.
async fn receive(client: &mut ReturningClient, manner: Manner, count: usize) {
    let count = client.got.len() + count;
    while client.got.len() < count {
        let before = client.got.len();
        if manner == Manner::Events {
            client.listen(1 << 20, Cut::Reset, |client| client.got.len() > before).await;
        } else {
            assert_eq!(client.poll().await.head.status, 200);
        }
        assert!(client.got.len() > before, "{manner:?}: no more than {:?}", client.texts());
    }
}

/// Has the client get what is published when it is held.
async fn receive_live(
    server: &TestServer,
    client: &mut ReturningClient,
    manner: Manner,
    topic: &str,
    text: &str,
) {
    until("the end of the last", || server.hub.held_count() == 0).await;
    let publish = async {
        until("a hold", || server.hub.held_count() == 1).await;
        server.hub.publish(topic, text);
    };
    tokio::join!(receive(client, manner, 1), publish);
}

#[tokio::test(start_paused = true)]
async fn the_past_of_one_topic_brings_none_of_another_and_no_word_of_what_is_gone_of_it() {
    for manner in MANNERS {
        for busy in [1, 2, 3, 10] {
            let server = open(&["room"], &["busy"]);
            for number in 1..=5 {
                server.hub.publish("room", format!("past {number}"));
                for _ in 0..busy {
                    server.hub.publish("busy", "before it came");
                }
            }
            let mut client = newcomer(&server, "/hold", manner);
            receive(&mut client, manner, 3).await;
            receive_live(&server, &mut client, manner, "room", "live 1").await;
            receive_live(&server, &mut client, manner, "busy", "live 2").await;
            let expected = ["past 3", "past 4", "past 5", "live 1", "live 2"];
            assert_eq!((client.texts(), client.resyncs), (expected.to_vec(), 0), "{manner:?}, {busy}");
            server.close().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_pasts_of_several_topics_come_in_one_order_though_they_begin_at_different_times() {
    for manner in MANNERS {
        let server = open(&["quiet", "room", "loud"], &[]);
        server.hub.publish("quiet", "past 1");
        for number in 1..=3 {
            server.hub.publish("room", format!("past {}", number * 2));
            for _ in 0..4 {
                server.hub.publish("loud", "forgotten");
            }
        }
        for number in 7..=9 {
            server.hub.publish("loud", format!("past {number}"));
        }
        let mut client = newcomer(&server, "/hold", manner);
        receive(&mut client, manner, 7).await;
        receive_live(&server, &mut client, manner, "quiet", "live 1").await;
        receive_live(&server, &mut client, manner, "loud", "live 2").await;
        let past = ["past 1", "past 2", "past 4", "past 6", "past 7", "past 8", "past 9"];
        let expected = [&past[..], &["live 1", "live 2"]].concat();
        assert_eq!((client.texts(), client.resyncs), (expected, 0), "{manner:?}");
        server.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_greeting_is_no_obstacle_to_the_past() {
    for manner in MANNERS {
        let server = open(&["room"], &["busy"]);
        for number in 1..=5 {
            server.hub.publish("room", format!("past {number}"));
            server.hub.publish("busy", "before it came");
        }
        let mut client = newcomer(&server, "/greeting", manner);
        receive(&mut client, manner, 4).await;
        receive_live(&server, &mut client, manner, "busy", "live").await;
        let expected = ["welcome", "past 3", "past 4", "past 5", "live"];
        assert_eq!((client.texts(), client.resyncs), (expected.to_vec(), 0), "{manner:?}");
        server.close().await;
    }
}

/// While it still reads the past: what goes of that it has not missed, what goes of the rest it has.
#[tokio::test(start_paused = true)]
async fn only_what_was_published_since_it_came_can_be_missed() {
    for manner in [Manner::Events, Manner::Polls] {
        let server = open(&["room"], &["other"]);
        for number in 1..=3 {
            server.hub.publish("room", format!("past {number}"));
        }
        let mut client = newcomer(&server, "/hold", manner);
        receive(&mut client, manner, 1).await;
        until("the end", || server.hub.held_count() == 0).await;
        for number in 4..=5 {
            server.hub.publish("room", format!("since {number}"));
        }
        receive(&mut client, manner, 1).await;
        assert_eq!((client.texts(), client.resyncs), (vec!["past 1", "past 3"], 0), "{manner:?}");
        until("the end", || server.hub.held_count() == 0).await;
        for _ in 0..4 {
            server.hub.publish("other", "missed");
        }
        receive(&mut client, manner, 3).await;
        receive_live(&server, &mut client, manner, "room", "live").await;
        let expected = ["past 1", "past 3", "past 3", "since 4", "since 5", "live"];
        assert_eq!((client.texts(), client.resyncs), (expected.to_vec(), 1), "{manner:?}");
        server.close().await;
    }
}
