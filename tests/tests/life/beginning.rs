//! The beginning of a hold: the bare annotation, the order of things, and what stands in the head.

use abeyance::{Message, Suspend, Transport, suspend};
use abeyance_tests::test_server::test_server;
use tokio::time::sleep;

use super::seconds;

#[suspend(timeout = "30s", max_idle = "5m")]
async fn updates() -> Suspend {
    Suspend::new()
}

contract!(the_bare_annotation_serves_the_functions_name of all);
async fn the_bare_annotation_serves_the_functions_name(transport: Transport) {
    let server = test_server().server(|server| server.mount(updates)).start();
    let mut reader = server.dial();
    let mut text = server.request(transport).path("/updates").text();
    if transport == Transport::WebSocket {
        let handshake = "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        text.truncate(text.len() - 2);
        text += handshake;
    }
    reader.write(text).await;
    let head = reader.head().await.unwrap();
    let (status, content_type) = match transport {
        Transport::WebSocket => (101, None),
        Transport::Sse => (200, Some("text/event-stream")),
        Transport::Stream => (200, Some("application/x-ndjson")),
        _ => (204, None),
    };
    assert_eq!((head.status, head.get("content-type")), (status, content_type));
    if transport == Transport::WebSocket {
        assert_eq!(head.get("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }
    if transport == Transport::Sse {
        let abeyance_tests::reader::Chunk::Data(first) = reader.chunk().await else { panic!("no event") };
        let token = head.get("abeyance-hold").unwrap();
        assert_eq!(String::from_utf8(first).unwrap(), format!("event: hold\ndata: {token}\n\n"));
    }
    if transport == Transport::LongPoll {
        assert_eq!(server.hub.stats().ended("timeout"), 1);
    } else {
        assert_eq!(server.hub.held_count(), 1);
    }
    drop(reader);
    abeyance_tests::test_server::until("the end", || {
        server.hub.stats().held + server.hub.stats().ending == 0
    })
    .await;
    assert_eq!(server.hub.last_ends().count(), 1);
}

contract!(first_comes_what_on_suspend_sends_then_the_replies_then_what_was_published of lasting);
async fn first_comes_what_on_suspend_sends_then_the_replies_then_what_was_published(transport: Transport) {
    let server = test_server()
        .hold(|hold| hold.join("news").reply("reply 1").reply("reply 2"))
        .on_suspend(|held| async move {
            held.publish("news", "published 1");
            held.send("sent 1").unwrap();
            sleep(seconds(1)).await;
            held.publish("news", "published 2");
            held.send("sent 2").unwrap();
        })
        .start();
    let mut client = server.hold(transport).await;
    server.hub.publish("news", "published 3");
    sleep(seconds(2)).await;
    server.hub.publish("news", "live");
    let expected =
        ["sent 1", "sent 2", "reply 1", "reply 2", "published 1", "published 3", "published 2", "live"];
    for text in expected {
        assert_eq!(client.message().await, text);
    }
    let held = server.hooks.newest();
    held.resume();
    client.end().await;
    let ended = server.nth_end(1).await.ended;
    assert_eq!((ended.messages_out(), ended.undelivered()), (8, 0));
    server.close().await;
}

contract!(messages_come_in_order of lasting);
async fn messages_come_in_order(transport: Transport) {
    let server = test_server().hold(|hold| hold.join("news").send_buffer(1 << 20)).start();
    let mut client = server.hold(transport).await;
    client.stream().window(100);
    let held = server.hooks.newest();
    for number in 0..1000 {
        if number % 2 == 0 {
            held.send(format!("{number}")).unwrap();
        } else {
            assert_eq!(server.hub.publish("news", format!("{number}")), 1);
        }
    }
    for number in 0..1000 {
        assert_eq!(client.message().await, format!("{number}"));
    }
    server.close().await;
}

contract!(messages_are_handled_in_order of lasting);
async fn messages_are_handled_in_order(transport: Transport) {
    let server = test_server().on_message(|held, message| async move { held.send(message).unwrap() }).start();
    let mut client = server.hold(transport).await;
    for number in 0..20 {
        client.send(&format!("{number}")).await;
        assert_eq!(client.message().await, format!("{number}"));
    }
    assert_eq!(server.hooks.messages(), (0..20).map(|number| number.to_string()).collect::<Vec<_>>());
    server.close().await;
}

contract!(the_head_carries_cookies_and_says_how_it_is_to_be_treated of all);
async fn the_head_carries_cookies_and_says_how_it_is_to_be_treated(transport: Transport) {
    let shape =
        |hold: Suspend<_>| hold.header("set-cookie", "a=1").header("set-cookie", "b=2").header("x-room", "7");
    let server = test_server().hold(shape).start();
    let mut client = server.hold(transport).await;
    server.hooks.newest().resume();
    client.end().await;
    assert_eq!(client.head.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(client.head.get("x-room"), Some("7"));
    if transport != Transport::WebSocket {
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-accel-buffering", "no"),
            ("vary", "Accept"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(client.head.get(name), Some(value), "{name}");
        }
    }
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_subprotocol_is_agreed_to_only_when_it_was_offered() {
    let server = test_server().hold(|hold| hold.protocol("chat.v2")).start();
    let request = server.request(Transport::WebSocket).field("sec-websocket-protocol", "chat.v1, chat.v2");
    let client = request.hold().await;
    assert_eq!(client.head.get("sec-websocket-protocol"), Some("chat.v2"));
    let client = server.request(Transport::WebSocket).hold().await;
    assert_eq!(client.head.get("sec-websocket-protocol"), None);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_is_answered_with_the_first_message_and_the_others_count_as_undelivered() {
    let server = test_server().hold(|hold| hold.reply("one").reply("two").reply("three")).start();
    let mut client = server.hold(Transport::LongPoll).await;
    assert_eq!(client.end().await, "200");
    assert_eq!(client.messages, ["one"]);
    let ended = server.nth_end(1).await.ended;
    assert_eq!((ended.messages_out(), ended.undelivered()), (1, 2));
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_that_takes_lines_gets_all_that_wait() {
    let server = test_server()
        .hold(|hold| hold.join("news").reply("reply").reply(Message::json(&[1]).unwrap()))
        .on_suspend(|held| async move {
            held.publish("news", b"raw");
            held.send("sent").unwrap();
        })
        .start();
    let request = server.request(Transport::LongPoll).field("accept", "application/x-ndjson");
    let mut client = request.hold().await;
    assert_eq!(client.end().await, "200");
    assert_eq!(client.head.get("content-type"), Some("application/x-ndjson"));
    assert_eq!(client.messages, ["\"sent\"\n\"reply\"\n[1]\n{\"base64\":\"cmF3\"}\n"]);
    let ended = server.nth_end(1).await.ended;
    assert_eq!((ended.messages_out(), ended.undelivered()), (4, 0));
    server.close().await;
}

contract!(what_cannot_be_meant_is_a_server_error_and_takes_no_place of all);
async fn what_cannot_be_meant_is_a_server_error_and_takes_no_place(transport: Transport) {
    let server = test_server()
        .server(|server| server.max_suspended(1))
        .hold(|hold| hold.max_idle(seconds(5)).heartbeat(seconds(9)))
        .start();
    for _ in 0..2 {
        assert_eq!(server.request(transport).refused().await.head.status, 500);
    }
    server.close().await;
}
