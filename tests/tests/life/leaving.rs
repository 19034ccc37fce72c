//! A peer that leaves is noticed at once and without a write, even behind unread bytes.

use std::future::pending;

use abeyance::{Disconnect, End, Transport};
use abeyance_tests::test_server::{TestServer, test_server};
use tokio::time::{Instant, sleep};

use super::{LATE, seconds};

/// Waits for the end, which must begin at once; a hook that runs goes on to its own end.
async fn at_once(server: &TestServer) -> End {
    let left = Instant::now();
    let noticed = server.until_none_held().await - left;
    assert!(noticed < LATE, "noticed after {noticed:?}");
    let told = server.nth_end(1).await;
    assert!(!told.ended.is_delivered() || matches!(told.end, End::Disconnect(Disconnect::Closed { .. })));
    assert_eq!(told.ended.messages_out(), 0);
    told.end
}

contract!(a_fin_is_gone of all);
async fn a_fin_is_gone(transport: Transport) {
    let server = test_server().start();
    let mut client = server.hold(transport).await;
    client.fin().await;
    assert_eq!(at_once(&server).await, Disconnect::Gone.into());
    server.close().await;
}

contract!(a_reset_is_a_reset of all);
async fn a_reset_is_a_reset(transport: Transport) {
    let server = test_server().start();
    let client = server.hold(transport).await;
    client.into_stream().reset();
    assert_eq!(at_once(&server).await, Disconnect::Reset.into());
    server.close().await;
}

contract!(a_stray_byte_hides_no_fin of http);
async fn a_stray_byte_hides_no_fin(transport: Transport) {
    let server = test_server().start();
    let mut client = server.hold(transport).await;
    client.write("x").await;
    client.fin().await;
    assert_eq!(at_once(&server).await, Disconnect::Gone.into());
    server.close().await;
}

contract!(a_stray_byte_hides_no_reset of http);
async fn a_stray_byte_hides_no_reset(transport: Transport) {
    let server = test_server().start();
    let mut client = server.hold(transport).await;
    client.write("x").await;
    client.into_stream().reset();
    assert_eq!(at_once(&server).await, Disconnect::Reset.into());
    server.close().await;
}

contract!(a_pipelined_request_hides_no_fin of http);
async fn a_pipelined_request_hides_no_fin(transport: Transport) {
    let server = test_server().start();
    let mut client = server.hold(transport).await;
    client.write("GET /other HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.fin().await;
    assert_eq!(at_once(&server).await, Disconnect::Gone.into());
    server.close().await;
}

contract!(a_pipelined_request_hides_no_reset of http);
async fn a_pipelined_request_hides_no_reset(transport: Transport) {
    let server = test_server().start();
    let mut client = server.hold(transport).await;
    client.write("GET /other HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.into_stream().reset();
    assert_eq!(at_once(&server).await, Disconnect::Reset.into());
    server.close().await;
}

contract!(half_a_frame_hides_no_fin of websocket WebSocket);
async fn half_a_frame_hides_no_fin(transport: Transport) {
    let server = test_server().start();
    let mut client = server.hold(transport).await;
    client.write([0x81, 0x85, 0, 0, 0, 0, b'h']).await;
    client.fin().await;
    assert_eq!(at_once(&server).await, Disconnect::Gone.into());
    server.close().await;
}

fn closed(end: &End) -> (Option<u16>, &str) {
    match end {
        End::Disconnect(Disconnect::Closed { code, reason, .. }) => (*code, reason),
        other => panic!("{other:?}"),
    }
}

contract!(a_close_by_the_client_is_closed of lasting);
async fn a_close_by_the_client_is_closed(transport: Transport) {
    let server = test_server().start();
    let mut client = server.hold(transport).await;
    client.close(4001, "tired").await;
    let end = at_once(&server).await;
    let is_socket = transport == Transport::WebSocket;
    assert_eq!(closed(&end), if is_socket { (Some(4001), "tired") } else { (None, "") });
    // The code comes back; what a `DELETE` ended is closed without a last chunk.
    assert_eq!(client.end().await, if is_socket { "4001" } else { "FIN" });
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_websocket_may_close_without_a_code() {
    let server = test_server().start();
    let mut client = server.hold(Transport::WebSocket).await;
    client.write([0x88, 0x80, 0, 0, 0, 0]).await;
    assert_eq!(closed(&at_once(&server).await), (None, ""));
    assert_eq!(client.end().await, "no code");
    server.close().await;
}

contract!(a_fin_is_noticed_while_a_hook_runs of all);
async fn a_fin_is_noticed_while_a_hook_runs(transport: Transport) {
    let server = test_server().on_suspend(|_| pending()).start();
    let mut client = server.hold(transport).await;
    client.write("x").await;
    client.fin().await;
    assert_eq!(at_once(&server).await, Disconnect::Gone.into());
    server.close().await;
}

contract!(a_reset_is_noticed_while_on_message_runs of lasting);
async fn a_reset_is_noticed_while_on_message_runs(transport: Transport) {
    let server = test_server().on_message(|_, _| pending()).start();
    let mut client = server.hold(transport).await;
    client.send("one").await;
    abeyance_tests::test_server::until("it", || server.hooks.messages().len() == 1).await;
    client.write("x").await;
    client.into_stream().reset();
    assert_eq!(at_once(&server).await, Disconnect::Reset.into());
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_close_behind_unread_messages_is_closed() {
    let server = test_server().on_message(|_, _| sleep(seconds(5))).start();
    let mut client = server.hold(Transport::WebSocket).await;
    for text in ["one", "two", "three"] {
        client.send(text).await;
    }
    client.close(4002, "bye").await;
    client.fin().await;
    assert_eq!(closed(&at_once(&server).await), (Some(4002), "bye"));
    assert_eq!(server.hooks.messages(), ["one", "two", "three"]);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_not_read_while_on_message_runs() {
    let server = test_server().on_message(|_, _| tokio::time::sleep(seconds(20))).start();
    let mut client = server.hold(Transport::WebSocket).await;
    client.send("one").await;
    abeyance_tests::test_server::until("it", || server.hooks.messages().len() == 1).await;
    // More than the wire and one read take: the client's own writes block.
    let mut frame = vec![0x82, 0xfe, 0xea, 0x60, 0, 0, 0, 0];
    frame.resize(8 + 60_000, b'x');
    let flood = frame.repeat(3);
    let written = async { client.write(flood).await };
    assert!(tokio::time::timeout(seconds(10), written).await.is_err(), "all was read");
    assert_eq!(server.hooks.messages().len(), 1);
    drop(client);
    server.nth_end(1).await;
    server.close().await;
}
