//! The table of endings: what each transport writes for each cause, and what the end hook gets.

use abeyance::{Disconnect, End, Held, Resume, SendError, Transport};
use abeyance_tests::client::Client;
use abeyance_tests::test_server::{TestServer, test_server, until};
use tokio::time::sleep;

use super::seconds;

/// One row of the table.
struct Row {
    websocket: &'static str,
    sse: &'static str,
    stream: &'static str,
    long_poll: &'static str,
}

impl Row {
    fn of(&self, transport: Transport) -> &'static str {
        match transport {
            Transport::WebSocket => self.websocket,
            Transport::Sse => self.sse,
            Transport::Stream => self.stream,
            _ => self.long_poll,
        }
    }
}

async fn held(transport: Transport) -> (TestServer, Client, Held) {
    let server = test_server().start();
    let client = server.hold(transport).await;
    let held = server.hooks.newest();
    (server, client, held)
}

/// Ends the hold in some way; what the client sees must be the row, and the hook must be told the cause.
async fn assert_row(transport: Transport, end: impl FnOnce(&Held), cause: impl Into<End>, row: Row) {
    let (server, mut client, held) = held(transport).await;
    end(&held);
    assert_eq!(server.hub.held_count(), 0);
    assert_eq!(client.end().await, row.of(transport));
    let told = server.nth_end(1).await;
    assert_eq!(told.end, cause.into());
    assert!(told.ended.is_delivered());
    server.until_settled().await;
    assert!(matches!(held.send("late"), Err(SendError::Ended(message)) if message.as_text() == Some("late")));
    assert_eq!(server.hooks.causes().len(), 1);
    server.close().await;
}

contract!(released_by_the_application of all);
async fn released_by_the_application(transport: Transport) {
    let row =
        Row { websocket: "1000 released", sse: "resumed released, last", stream: "last", long_poll: "204" };
    assert_row(transport, |held| _ = held.resume(), Resume::Released, row).await;
}

contract!(released_by_the_hub of all);
async fn released_by_the_hub(transport: Transport) {
    let (server, mut client, held) = held(transport).await;
    assert!(server.hub.resume(held.id()));
    assert!(!server.hub.resume(held.id()));
    assert!(!server.hub.disconnect(held.id(), "again"));
    let row =
        Row { websocket: "1000 released", sse: "resumed released, last", stream: "last", long_poll: "204" };
    assert_eq!(client.end().await, row.of(transport));
    assert_eq!(server.cause().await, Resume::Released.into());
    server.close().await;
}

contract!(a_last_message_goes_out_before_the_ending of all);
async fn a_last_message_goes_out_before_the_ending(transport: Transport) {
    let (server, mut client, held) = held(transport).await;
    held.resume_with("goodbye");
    let row =
        Row { websocket: "1000 released", sse: "resumed released, last", stream: "last", long_poll: "200" };
    assert_eq!(client.end().await, row.of(transport));
    assert_eq!(client.messages, ["goodbye"]);
    let told = server.nth_end(1).await;
    assert_eq!(told.end, Resume::Released.into());
    assert_eq!(told.ended.messages_out(), 1);
    server.close().await;
}

fn kicked(told: &End) -> (Option<u16>, &str) {
    match told {
        End::Disconnect(Disconnect::Kicked { code, reason, .. }) => (*code, reason),
        other => panic!("{other:?}"),
    }
}

contract!(kicked_with_a_reason of all);
async fn kicked_with_a_reason(transport: Transport) {
    let (server, mut client, held) = held(transport).await;
    held.disconnect("no spam");
    let row = Row {
        websocket: "1008 no spam",
        sse: "disconnected no spam, last",
        stream: "last",
        long_poll: "410 no spam",
    };
    assert_eq!(client.end().await, row.of(transport));
    assert_eq!(kicked(&server.cause().await), (None, "no spam"));
    server.close().await;
}

contract!(kicked_with_a_code of all);
async fn kicked_with_a_code(transport: Transport) {
    let (server, mut client, held) = held(transport).await;
    held.disconnect_with(4321, "out");
    // What comes later changes nothing.
    held.resume();
    let row =
        Row { websocket: "4321 out", sse: "disconnected out, last", stream: "last", long_poll: "410 out" };
    assert_eq!(client.end().await, row.of(transport));
    assert_eq!(kicked(&server.cause().await), (Some(4321), "out"));
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_reason_is_cut_to_what_a_close_frame_can_carry() {
    let (server, mut client, held) = held(Transport::WebSocket).await;
    held.disconnect("ü".repeat(100));
    assert_eq!(client.end().await, format!("1008 {}", "ü".repeat(61)));
    server.close().await;
}

contract!(a_message_ends_a_long_poll_only of all);
async fn a_message_ends_a_long_poll_only(transport: Transport) {
    let (server, mut client, held) = held(transport).await;
    held.send("news").unwrap();
    assert_eq!(client.message().await, "news");
    if transport == Transport::LongPoll {
        assert_eq!(client.end().await, "200");
        assert_eq!(client.head.get("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(server.cause().await, Resume::Answered.into());
        assert_eq!(held.send("more"), Err(SendError::Ended("more".into())));
    } else {
        held.send("more").unwrap();
        assert_eq!(client.message().await, "more");
        assert_eq!(server.hub.held_count(), 1);
    }
    server.close().await;
}

contract!(a_peer_that_reads_too_slowly_is_cut of lasting);
async fn a_peer_that_reads_too_slowly_is_cut(transport: Transport) {
    let server = test_server().hold(|hold| hold.send_buffer(64 * 1024).join("news")).start();
    let mut client = server.hold(transport).await;
    client.stream().window(1024);
    let large = "x".repeat(10_000);
    let mut accepted = 0;
    while server.hub.publish("news", large.as_str()) == 1 {
        accepted += 1;
        assert!(accepted < 10, "64 KiB were accepted long ago");
    }
    let told = server.nth_end(1).await;
    assert_eq!(told.end, Disconnect::Slow.into());
    assert_eq!(client.end().await, "RST");
    assert!(!told.ended.is_delivered());
    assert_eq!(told.ended.messages_out() + told.ended.undelivered(), accepted);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_websocket_is_told_so_where_the_close_frame_fits() {
    let server = test_server().hold(|hold| hold.send_buffer(32 * 1024).join("news")).start();
    let mut client = server.hold(Transport::WebSocket).await;
    // Whole frames that the kernel has taken; the peer has not, so they count.
    for _ in 0..3 {
        assert_eq!(server.hub.publish("news", "x".repeat(10_000)), 1);
    }
    assert_eq!(server.hub.publish("news", "x".repeat(10_000)), 0);
    assert_eq!(client.end().await, "1008 slow");
    assert_eq!(client.messages.len(), 3);
    let told = server.nth_end(1).await;
    assert_eq!((told.end, told.ended.is_delivered()), (Disconnect::Slow.into(), true));
    server.close().await;
}

contract!(a_message_larger_than_the_backlog_is_the_senders_fault of all);
async fn a_message_larger_than_the_backlog_is_the_senders_fault(transport: Transport) {
    let server = test_server().hold(|hold| hold.send_buffer(32 * 1024).join("news")).start();
    let mut client = server.hold(transport).await;
    let held = server.hooks.newest();
    let large = "x".repeat(40_000);
    assert_eq!(held.send(large.as_str()), Err(SendError::TooLarge(large.as_str().into())));
    assert_eq!(server.hub.publish("news", large), 0);
    assert_eq!(server.hub.held_count(), 1);
    held.send("small").unwrap();
    assert_eq!(client.message().await, "small");
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_websocket_message_that_is_too_large_is_told_so() {
    let server = test_server().start();
    let mut client = server.hold(Transport::WebSocket).await;
    client.send(&"x".repeat(64 * 1024)).await;
    until("the largest message", || server.hooks.messages().len() == 1).await;
    // A head that announces one byte more is enough.
    client.write([0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0]).await;
    assert_eq!(client.end().await, "1009 too_large");
    assert_eq!(server.cause().await, Disconnect::TooLarge.into());
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_websocket_that_breaks_the_protocol_is_told_how() {
    for (bytes, told) in [
        (&[0x81, 0x01, b'x'][..], "1002 violation"),         // not masked
        (&[0xc1, 0x80, 0, 0, 0, 0], "1002 violation"),       // a reserved bit
        (&[0x83, 0x80, 0, 0, 0, 0], "1002 violation"),       // an unknown opcode
        (&[0x80, 0x80, 0, 0, 0, 0], "1002 violation"),       // a continuation of nothing
        (&[0x09, 0x80, 0, 0, 0, 0], "1002 violation"),       // a ping in fragments
        (&[0x81, 0x81, 0, 0, 0, 0, 0xff], "1007 violation"), // no UTF-8
        (&[0x88, 0x81, 0, 0, 0, 0, 0x03], "1002 violation"), // half a close code
    ] {
        let server = test_server().start();
        let mut client = server.hold(Transport::WebSocket).await;
        client.write(bytes).await;
        assert_eq!(client.end().await, told, "{bytes:x?}");
        assert_eq!(server.cause().await, Disconnect::Violation.into());
        server.close().await;
    }
}

contract!(unexpected_bytes_are_a_violation_in_the_end of http);
async fn unexpected_bytes_are_a_violation_in_the_end(transport: Transport) {
    let (server, mut client, _) = held(transport).await;
    client.write([b'x'; 32 * 1024]).await;
    sleep(seconds(1)).await;
    assert_eq!(server.hub.held_count(), 1);
    client.write([b'x'; 33 * 1024]).await;
    let row = Row { websocket: "", sse: "FIN", stream: "FIN", long_poll: "400 violation, close" };
    assert_eq!(client.end().await, row.of(transport));
    assert_eq!(server.cause().await, Disconnect::Violation.into());
    server.close().await;
}

contract!(unreachable_when_the_kernel_gives_up of all);
async fn unreachable_when_the_kernel_gives_up(transport: Transport) {
    let shape =
        |hold: abeyance::Suspend<_>| hold.timeout(seconds(3600)).max_idle(None).heartbeat(seconds(25));
    let server = test_server().hold(shape).start();
    let mut client = server.hold(transport).await;
    client.stream().vanish();
    // As late as it is told to: four heartbeats, and one more.
    sleep(seconds(125)).await;
    assert_eq!(server.hub.held_count(), 1);
    client.stream().give_up();
    assert_eq!(server.cause().await, Disconnect::Unreachable.into());
    server.close().await;
}

contract!(stalled_when_the_kernel_gives_up_on_a_peer_that_answers of all);
async fn stalled_when_the_kernel_gives_up_on_a_peer_that_answers(transport: Transport) {
    let (server, mut client, _) = held(transport).await;
    client.stream().give_up();
    assert_eq!(server.cause().await, Disconnect::Stalled.into());
    server.close().await;
}

contract!(what_the_end_hook_is_told_adds_up of lasting);
async fn what_the_end_hook_is_told_adds_up(transport: Transport) {
    let server = test_server().hold(|hold| hold.reply("one").join("news")).start();
    let mut client = server.hold(transport).await;
    let held = server.hooks.newest();
    held.send("two").unwrap();
    server.hub.publish("news", "three");
    client.send("hello").await;
    client.stay_held(seconds(40)).await;
    held.resume();
    client.end().await;
    let ended = server.nth_end(1).await.ended;
    assert_eq!((ended.id(), ended.path(), ended.transport()), (held.id(), "/hold", transport));
    assert_eq!(ended.peer(), held.peer());
    assert_eq!((ended.messages_in(), ended.messages_out(), ended.undelivered()), (1, 3, 0));
    assert!(ended.is_delivered());
    assert!((seconds(40)..seconds(41)).contains(&ended.held_for()), "{ended:?}");
    assert!(ended.bytes_out() > 20, "the head counts");
    if transport == Transport::WebSocket {
        // A frame of five bytes with its mask, and a pong or two.
        assert!((11..=11 + 3 * 6).contains(&ended.bytes_in()), "{}", ended.bytes_in());
    }
    assert_eq!(ended.publish("news", "after"), 0);
    server.close().await;
}

contract!(a_handle_that_is_kept_for_ever_keeps_no_socket_open of all);
async fn a_handle_that_is_kept_for_ever_keeps_no_socket_open(transport: Transport) {
    let (server, client, held) = held(transport).await;
    held.disconnect("out");
    let mut reader = abeyance_tests::reader::Reader::new(client.into_stream());
    if transport == Transport::LongPoll {
        assert!(!reader.answer().await.unwrap().body.is_empty());
        // It is an ordinary connection again, and closes like one.
        sleep(seconds(61)).await;
    }
    let (_, how) = reader.rest().await;
    assert_eq!(how, "FIN");
    // The peer never closes its side: the polite end has a deadline.
    sleep(seconds(6)).await;
    assert_eq!(server.hub.stats().ending, 0);
    let is_open = tokio::io::AsyncWriteExt::write_all(&mut reader.stream, b"x").await.is_ok();
    assert!(!is_open, "the server has let go of it");
    assert!(held.send("late").is_err());
    server.close().await;
}

contract!(unread_bytes_destroy_no_ending of all);
async fn unread_bytes_destroy_no_ending(transport: Transport) {
    let server = test_server().on_suspend(|_| std::future::pending()).start();
    let mut client = server.hold(transport).await;
    match transport {
        Transport::WebSocket => client.send("unread").await,
        Transport::LongPoll => client.write("GET /hold HTTP/1.1\r\nhost: a\r\n").await,
        _ => client.write("strays").await,
    }
    sleep(seconds(1)).await;
    server.hooks.newest().resume();
    // And more after our ending is written.
    sleep(seconds(1)).await;
    if transport != Transport::LongPoll {
        client.write([0x8a, 0x80, 0, 0, 0, 0]).await;
    }
    let row =
        Row { websocket: "1000 released", sse: "resumed released, last", stream: "last", long_poll: "204" };
    assert_eq!(client.end().await, row.of(transport));
    if transport == Transport::LongPoll {
        // The rest of the request whose beginning came while the first one was held.
        client.write("\r\n").await;
        until("the next hold", || server.hooks.holds().len() == 2).await;
        server.hooks.newest().disconnect("out");
        assert_eq!(client.end().await, "410 out");
    }
    server.close().await;
}

contract!(a_hook_may_end_its_own_hold of all);
async fn a_hook_may_end_its_own_hold(transport: Transport) {
    let server = test_server()
        .on_suspend(|held| async move {
            held.resume_with("goodbye");
            assert!(held.is_ended());
            held.ended().await;
            // It goes on, and the first cause stands.
            sleep(seconds(1)).await;
            held.disconnect("never");
            assert_eq!(held.publish("news", "a last word to others"), 0);
        })
        .start();
    let mut client = server.hold(transport).await;
    let row =
        Row { websocket: "1000 released", sse: "resumed released, last", stream: "last", long_poll: "200" };
    assert_eq!(client.end().await, row.of(transport));
    assert_eq!(client.messages, ["goodbye"]);
    server.until_settled().await;
    assert_eq!(server.cause().await, Resume::Released.into());
    assert_eq!(server.hub.stats().hooks_failed, 0);
    server.close().await;
}

contract!(a_sender_may_wait_for_room of lasting);
async fn a_sender_may_wait_for_room(transport: Transport) {
    let server = test_server().hold(|hold| hold.send_buffer(32 * 1024)).start();
    let mut client = server.hold(transport).await;
    let held = server.hooks.newest();
    let large = "x".repeat(20_000);
    held.send(large.as_str()).unwrap();
    assert_eq!(held.send(large.as_str()), Err(SendError::Full(large.as_str().into())));
    // A caller that stops waiting has sent nothing.
    let waiting = tokio::time::timeout(seconds(1), held.send_when_ready("never"));
    let small_fits = waiting.await.is_ok();
    assert!(small_fits, "there was room for a small one");
    let waiting = tokio::time::timeout(seconds(1), held.send_when_ready(large.as_str()));
    assert!(waiting.await.is_err(), "there was no room for a large one");
    let sent = tokio::spawn(held.send_when_ready(format!("{large}!")));
    for expected in [large.as_str(), "never", &format!("{large}!")] {
        assert_eq!(client.message().await, expected);
    }
    sent.await.unwrap().unwrap();
    held.send(large.as_str()).unwrap();
    let waiting = tokio::spawn(held.send_when_ready(large.clone()));
    sleep(seconds(1)).await;
    held.resume();
    assert!(matches!(waiting.await.unwrap(), Err(SendError::Ended(_))));
    client.end().await;
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered_with_its_own_payload() {
    let (server, client, _) = held(Transport::WebSocket).await;
    let mut reader = abeyance_tests::reader::Reader::new(client.into_stream());
    reader.write([0x89, 0x83, 0, 0, 0, 0, b'a', b'b', b'c']).await;
    reader.write([0x88, 0x80, 0, 0, 0, 0]).await;
    assert_eq!(reader.rest().await, (b"\x8a\x03abc\x88\x00".to_vec(), "FIN"));
    server.close().await;
}

contract!(what_a_peer_that_left_did_not_get_is_undelivered of lasting);
async fn what_a_peer_that_left_did_not_get_is_undelivered(transport: Transport) {
    let server = test_server().hold(|hold| hold.join("news")).start();
    let mut client = server.hold(transport).await;
    client.stream().window(0);
    for _ in 0..5 {
        assert_eq!(server.hub.publish("news", "lost"), 1);
    }
    sleep(seconds(1)).await;
    client.fin().await;
    let told = server.nth_end(1).await;
    assert_eq!(told.end, Disconnect::Gone.into());
    assert_eq!((told.ended.messages_out(), told.ended.undelivered()), (0, 5));
    server.close().await;
}

contract!(what_was_sent_to_a_hook_that_never_opened_the_hold_is_undelivered of all);
async fn what_was_sent_to_a_hook_that_never_opened_the_hold_is_undelivered(transport: Transport) {
    let server = test_server().hold(|hold| hold.join("news")).on_suspend(|_| std::future::pending()).start();
    let mut client = server.hold(transport).await;
    assert_eq!(server.hub.publish("news", "lost"), 1);
    assert_eq!(server.hub.publish("news", "lost"), 1);
    server.hooks.newest().resume();
    client.end().await;
    let ended = server.nth_end(1).await.ended;
    assert_eq!((ended.messages_out(), ended.undelivered()), (0, 2));
    server.close().await;
}
