//! HTML, "Server-sent events": what an `EventSource` needs of its server.

use std::time::Duration;

use abeyance::{Message, Retention, Transport};
use abeyance_tests::reader::{Chunk, Reader};
use abeyance_tests::test_server::{TestServer, test_server};

use super::answer;

async fn stream(server: &TestServer, fields: &str) -> (abeyance_tests::reader::Head, Reader) {
    let mut reader = server.dial();
    reader.write(format!("GET /hold HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n{fields}\r\n")).await;
    (reader.head().await.unwrap(), reader)
}

/// All events up to the end of the stream.
async fn text(mut reader: Reader) -> String {
    let mut bytes = Vec::new();
    while let Chunk::Data(chunk) = reader.chunk().await {
        bytes.extend(chunk);
    }
    // The stream is UTF-8 (9.2.5).
    String::from_utf8(bytes).unwrap()
}

#[tokio::test(start_paused = true)]
async fn section_9_2_3_a_stream_has_status_200_and_the_very_type() {
    let server = test_server().start();
    let (head, _reader) = stream(&server, "").await;
    assert_eq!((head.status, head.get("content-type")), (200, Some("text/event-stream")));
    // It must not be stored, nor buffered on its way.
    assert_eq!((head.get("cache-control"), head.get("content-length")), (Some("no-store"), None));
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn section_9_2_6_every_block_ends_with_a_blank_line_and_data_keeps_its_lines() {
    let messages = ["a\nb", "", "\n", "c\r\nd", "\u{feff}e", "data: x", ": y", "é\u{2028}"];
    let server =
        test_server().hold(move |hold| messages.iter().fold(hold, |hold, text| hold.reply(*text))).start();
    let (_, reader) = stream(&server, "").await;
    server.hooks.newest().resume();
    let text = text(reader).await;
    assert!(text.ends_with("\n\n") && !text.contains("\n\n\n") && !text.contains('\r'), "{text:?}");
    let blocks: Vec<_> = text.trim_end().split("\n\n").collect();
    let data = |block: &str| -> Vec<String> {
        block.lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_owned).collect()
    };
    let told: Vec<_> = blocks.iter().map(|block| data(block).join("\n")).collect();
    assert_eq!(&told[1..=messages.len()], &messages.map(|message| message.replace("\r\n", "\n"))[..]);
    // No field but those that there are.
    for line in text.lines().filter(|line| !line.is_empty()) {
        let field = line.split(':').next().unwrap();
        assert!(matches!(field, "" | "data" | "event" | "id" | "retry"), "{line:?}");
    }
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn section_9_2_6_a_name_cannot_break_its_line() {
    let message = || Message::from("x").named("a\ndata: forged");
    let server = test_server().hold(move |hold| hold.reply(message())).start();
    let (_, reader) = stream(&server, "").await;
    server.hooks.newest().resume();
    let text = text(reader).await;
    assert!(!text.lines().any(|line| line.starts_with("data: forged")), "{text:?}");
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn section_9_2_7_a_quiet_stream_has_comments() {
    let server = test_server().hold(|hold| hold.heartbeat(Duration::from_secs(15))).start();
    let (_, mut reader) = stream(&server, "").await;
    loop {
        match reader.chunk().await {
            Chunk::Data(bytes) if bytes.starts_with(b":") => break,
            Chunk::Data(_) => {}
            other => panic!("{other:?} instead of a comment"),
        }
    }
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn section_9_2_4_the_last_id_comes_back_and_nothing_is_missed_or_twice() {
    let server = test_server()
        .hold(|hold| hold.join("news"))
        .server(|server| server.topic("news", Retention::default()))
        .start();
    let (_, reader) = stream(&server, "").await;
    server.hub.publish("news", "one");
    server.hooks.newest().resume();
    let text_before = text(reader).await;
    let ids: Vec<_> = text_before.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    // Without NUL, or it would be ignored.
    let last = ids.last().unwrap();
    assert!(last.bytes().all(|byte| byte.is_ascii_graphic()));
    server.hub.publish("news", "two");
    let (_, reader) = stream(&server, &format!("last-event-id: {last}\r\n")).await;
    server.hooks.newest().resume();
    let text = text(reader).await;
    assert!(text.contains("data: two\n") && !text.contains("data: one\n"), "{text}");
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn section_9_2_6_a_time_to_wait_is_digits_only() {
    let server = test_server()
        .server(|server| server.max_suspended(1).when_full(abeyance::WhenFull::ResumeOldest))
        .start();
    let (_, reader) = stream(&server, "").await;
    // A hold younger than a second is not evicted.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let second = server.hold(Transport::LongPoll).await;
    let text = text(reader).await;
    let retry = text.lines().find_map(|line| line.strip_prefix("retry: ")).expect("a time to wait");
    assert!(!retry.is_empty() && retry.bytes().all(|byte| byte.is_ascii_digit()), "{retry:?}");
    drop(second);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn section_9_2_3_a_refused_client_gets_another_status_and_so_does_not_come_back() {
    let server = test_server().server(|server| server.max_suspended(1)).start();
    let (_, _reader) = stream(&server, "").await;
    let refused = answer(&server, "GET /hold HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n").await;
    assert_eq!(refused.head.status, 503);
    server.close().await;
}
