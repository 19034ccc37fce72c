//! The last ends, as the hub remembers them.

use abeyance::{EndRecord, Held, Server, Suspend, Transport, suspend};
use abeyance_tests::test_server::{TestServer, test_server, until};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::time::{Duration, sleep};

use super::seconds;

fn last_ends(server: &TestServer) -> Vec<EndRecord> {
    server.hub.last_ends().collect()
}

contract!(an_end_is_remembered_as_it_was of all);
async fn an_end_is_remembered_as_it_was(transport: Transport) {
    let server = test_server().start();
    let mut client = server.hold(transport).await;
    assert!(last_ends(&server).is_empty());
    sleep(seconds(7)).await;
    server.hooks.newest().disconnect_with(4007, "enough");
    client.end().await;
    let ended = server.nth_end(1).await.ended;
    sleep(seconds(5)).await;
    let ends = last_ends(&server);
    let [end] = &ends[..] else { panic!("{ends:?}") };
    assert_eq!(
        (end.id, end.endpoint, end.transport, end.peer),
        (ended.id(), "/hold", transport, ended.peer())
    );
    assert_eq!((end.cause, end.code, end.is_delivered), ("kicked", Some(4007), true));
    assert_eq!((end.held_for, end.held_for.as_secs()), (ended.held_for(), 7));
    assert_eq!(end.ago.as_secs(), 5);
    assert_eq!((end.messages_in, end.messages_out), (ended.messages_in(), ended.messages_out()));
    assert_eq!((end.bytes_in, end.bytes_out), (ended.bytes_in(), ended.bytes_out()));
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_status_page_can_list_the_holds_and_the_last_ends() {
    let server = test_server().start();
    let (mut leaving, _staying) =
        (server.hold(Transport::Sse).await, server.hold(Transport::WebSocket).await);
    let helds = server.hooks.holds();
    sleep(Duration::from_millis(2_500)).await;
    helds[0].resume();
    leaving.end().await;
    until("its end", || server.hub.stats().ended("released") == 1).await;
    let stats = serde_json::to_value(server.hub.stats()).unwrap();
    assert_eq!((&stats["held"], &stats["ended"]), (&json!(1), &json!({"released": 1})));
    let listed = serde_json::to_value(server.hub.list()).unwrap();
    assert_eq!(listed[0]["id"], helds[1].id().to_string());
    assert_eq!((&listed[0]["transport"], &listed[0]["endpoint"]), (&json!("websocket"), &json!("/hold")));
    let past = serde_json::to_value(last_ends(&server)).unwrap();
    assert_eq!((&past[0]["transport"], &past[0]["cause"]), (&json!("sse"), &json!("released")));
    assert_eq!(past[0]["peer"], helds[0].peer().to_string());
    let held_for = past[0]["held_for"].as_f64().unwrap();
    assert!((2.5..2.6).contains(&held_for), "seconds: {held_for}");
    server.close().await;
}

contract!(the_newest_end_comes_first of all);
async fn the_newest_end_comes_first(transport: Transport) {
    let server = test_server().start();
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(server.hold(transport).await);
    }
    let helds = server.hooks.holds();
    for (count, held) in helds.iter().enumerate() {
        held.resume();
        server.nth_end(count + 1).await;
    }
    let expected: Vec<_> = helds.iter().rev().map(Held::id).collect();
    assert_eq!(last_ends(&server).iter().map(|end| end.id).collect::<Vec<_>>(), expected);
    drop(clients);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_code_of_a_peers_close_frame_is_remembered() {
    let server = test_server().start();
    let mut client = server.hold(Transport::WebSocket).await;
    client.send("hello").await;
    client.close(4321, "bye").await;
    server.nth_end(1).await;
    let ends = last_ends(&server);
    assert_eq!((ends[0].cause, ends[0].code, ends[0].messages_in), ("closed", Some(4321), 1));
    server.close().await;
}

#[suspend(path = "/left")]
async fn left() -> Suspend {
    Suspend::new()
}

mod one {
    #[abeyance::suspend(path = "/one/{room}")]
    pub(super) async fn same() -> abeyance::Suspend {
        abeyance::Suspend::new()
    }
}

mod other {
    #[abeyance::suspend(path = "/other/{room}")]
    pub(super) async fn same() -> abeyance::Suspend {
        abeyance::Suspend::new()
    }
}

#[tokio::test(start_paused = true)]
async fn two_functions_of_one_name_are_told_apart_by_their_paths() {
    let (running, dialer) =
        Server::new().mount(one::same).mount(other::same).bind_memory().unwrap_or_else(|e| panic!("{e}"));
    let hub = running.hub();
    let mut clients = Vec::new();
    for path in ["/other/a", "/other/b", "/one/a"] {
        let mut client = dialer.connect(([10, 0, 0, 1], 1).into()).unwrap();
        client.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await.unwrap();
        clients.push(client);
        until("a hold", || hub.held_count() == clients.len()).await;
    }
    let held = hub.stats_by_endpoint().into_iter().map(|(path, stats)| (path, stats.held));
    assert_eq!(held.collect::<Vec<_>>(), [("/one/{room}", 1), ("/other/{room}", 2)]);
    let mut listed: Vec<_> = hub.list().into_iter().map(|hold| (hold.endpoint, hold.path)).collect();
    listed.sort();
    assert_eq!(listed[0], ("/one/{room}", "/one/a".to_owned()));
    drop(clients);
    running.shutdown().await;
    assert!(hub.last_ends().all(|end| end.endpoint.ends_with("/{room}")));
}

/// The hub may outlive its server, and is what remains to ask.
#[test]
fn a_hold_whose_runtime_went_away_is_remembered_once() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (hub, running, client) = runtime.block_on(async {
        let (running, dialer) = Server::new().mount(left).bind_memory().unwrap();
        let mut client = dialer.connect(([10, 0, 0, 1], 1).into()).unwrap();
        client.write_all(b"GET /left HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let hub = running.hub();
        until("a hold", || hub.held_count() == 1).await;
        (hub, running, client)
    });
    drop(runtime);
    let ends: Vec<_> = hub.last_ends().collect();
    let [end] = &ends[..] else { panic!("{ends:?}") };
    assert_eq!((end.endpoint, end.cause, end.is_delivered), ("/left", "shutdown", false));
    drop((running, client));
}
