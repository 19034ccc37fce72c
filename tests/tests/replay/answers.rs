//! The id in an ending: for each cause, its client comes back with that id and misses nothing.

use abeyance::{Server, Transport, WhenFull};
use abeyance_tests::client::Client;
use abeyance_tests::returning_client::{Cut, ReturningClient};
use abeyance_tests::test_server::{TestServer, TestServerBuilder, test_server, until};
use tokio::time::sleep;

use super::{EVERYTHING, seconds};

fn keeping() -> TestServerBuilder {
    test_server().server(|server| server.topic("news", EVERYTHING)).hold(|hold| hold.join("news"))
}

fn returning(server: &TestServer, transport: Transport, id: Option<String>) -> ReturningClient {
    let path = format!("/hold?transport={}", transport.as_str());
    ReturningClient::new(&server.dialer, path).with_id(id)
}

/// Has a poll held and ended in some way; what its client sees must be as told, and when it comes back it must get what
/// was published meanwhile, and no more.
async fn assert_stands(
    builder: TestServerBuilder,
    told: &str,
    end: impl AsyncFnOnce(&TestServer, &mut Client),
) {
    let server = builder.start();
    server.hub.publish("news", "before it came");
    let mut client = server.hold(Transport::LongPoll).await;
    end(&server, &mut client).await;
    assert_eq!(client.end().await, told);
    let id = client.head.get("last-event-id").unwrap_or_else(|| panic!("{told}: {:?}", client.head));
    assert_eq!(client.head.get("abeyance-resync"), None, "{told}");
    let mut back = returning(&server, Transport::LongPoll, Some(id.to_owned()));
    server.hub.publish("news", "while it was away");
    back.poll().await;
    assert_eq!((back.texts(), back.resyncs), (vec!["while it was away"], 0), "{told}");
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn every_answer_of_a_poll_says_where_its_client_stands() {
    assert_stands(keeping(), "200", async |server, _| assert_eq!(server.hub.publish("news", "now"), 1)).await;
    assert_stands(keeping(), "200", async |server, _| server.hooks.newest().send("to you").unwrap()).await;
    assert_stands(keeping(), "200", async |server, _| assert!(server.hooks.newest().resume_with("bye")))
        .await;
    assert_stands(keeping(), "204", async |server, _| assert!(server.hooks.newest().resume())).await;
    assert_stands(keeping(), "204", async |_, _| sleep(seconds(31)).await).await;
    assert_stands(keeping(), "410 no", async |server, _| assert!(server.hooks.newest().disconnect("no")))
        .await;
    let stray = [b'x'; 65 * 1024];
    assert_stands(keeping(), "400 violation, close", async |_, client| client.write(stray).await).await;

    let idle =
        keeping().hold(|hold| hold.join("news").max_idle(seconds(2)).heartbeat(None).timeout(seconds(9)));
    assert_stands(idle, "408 idle, close", async |_, _| ()).await;

    let failing = keeping().hold(|hold| {
        hold.join("news").try_drive(|_| async {
            sleep(seconds(1)).await;
            Err("on purpose".into())
        })
    });
    assert_stands(failing, "500 failed", async |_, _| ()).await;

    let one =
        |server: Server| server.topic("news", EVERYTHING).max_suspended(1).when_full(WhenFull::ResumeOldest);
    let full = test_server().server(one).hold(|hold| hold.join("news"));
    let evict = async |server: &TestServer, _: &mut Client| {
        sleep(seconds(2)).await;
        let mut other = server.hold(Transport::Stream).await;
        other.fin().await;
        until("room", || server.hub.held_count() == 0).await;
    };
    assert_stands(full, "503 retry evicted", evict).await;
}

#[tokio::test(start_paused = true)]
async fn a_drained_poll_is_told_where_it_stands() {
    let server = keeping().start();
    let mut client = server.hold(Transport::LongPoll).await;
    let told = tokio::spawn(async move { (client.end().await, client.head) });
    server.close().await;
    let (end, head) = told.await.unwrap();
    assert_eq!(end, "503 retry drained, close");
    assert!(head.get("last-event-id").is_some(), "{head:?}");
}

#[tokio::test(start_paused = true)]
async fn an_ending_names_no_id_where_no_topic_keeps_messages() {
    let server = test_server()
        .server(|server| server.topic("news", EVERYTHING))
        .hold(|hold| hold.join("other"))
        .start();
    let mut client = server.request(Transport::LongPoll).field("last-event-id", "theirs").hold().await;
    server.hub.publish("other", "hello");
    assert_eq!(client.end().await, "200");
    assert_eq!((client.head.get("last-event-id"), client.head.get("abeyance-resync")), (None, None));
    let mut client = server.request(Transport::Sse).field("last-event-id", "theirs").hold().await;
    server.hub.publish("other", "hello");
    server.hooks.newest().resume();
    let (body, _) = client.reader().rest().await;
    let body = String::from_utf8(body).unwrap();
    assert!(!body.contains("id:") && !body.contains("resync"), "{body}");
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_answers_a_poll_says_so_also_when_it_missed_something() {
    let server = keeping()
        .on_suspend(|held| async move {
            sleep(seconds(1)).await;
            held.disconnect("no");
        })
        .start();
    let mut back = returning(&server, Transport::LongPoll, Some("00000000abcd-000000000001".into()));
    assert_eq!(back.poll().await.head.status, 410);
    assert_eq!(back.resyncs, 1);
    server.close().await;
}

/// Events that end in good order bring an id, past what was none of the client's business.
#[tokio::test(start_paused = true)]
async fn the_last_block_of_a_resume_says_where_its_client_stands() {
    let server = keeping().server(|server| server.topic("*", EVERYTHING)).start();
    let mut client = returning(&server, Transport::Sse, None);
    let mut ids = Vec::new();
    for live in [None, Some("one"), None, Some("two")] {
        let act = async {
            until("a hold", || server.hub.held_count() == 1).await;
            match live {
                Some(text) => server.hub.publish("news", text),
                None => server.hub.publish("other", "none of its business"),
            };
            server.hooks.newest().resume();
        };
        let listen = client.listen(10_000, Cut::Fin, |client| client.last_end.is_some());
        tokio::join!(listen, act);
        assert_eq!(client.last_end.take().as_deref(), Some("released"));
        ids.push(client.id.clone());
    }
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    assert_eq!((client.texts(), client.resyncs), (vec!["one", "two"], 0));
    server.close().await;
}
