//! RFC 6455: the WebSocket protocol. The cases that Autobahn has beyond these are in `crumbs`.

use abeyance::extract::{Query, State};
use abeyance::{Disconnect, End, Message, suspend};
use abeyance::{Refusal, Suspend};
use abeyance_tests::net::{Frame, frame, unmasked};
use abeyance_tests::reader::{Head, Reader};
use abeyance_tests::test_context::TestContext;
use abeyance_tests::test_server::{QueryParams, TestEndpoint, TestServer, test_server, until};
use tokio::io::AsyncReadExt;

const UPGRADE: &str = "upgrade: websocket";
const CONNECTION: &str = "connection: Upgrade";
const VERSION: &str = "sec-websocket-version: 13";
const KEY: &str = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";

const MORE: u8 = 0x00;
const TEXT: u8 = 0x81;
const TEXT_BEGINS: u8 = 0x01;
const BINARY: u8 = 0x82;
const LAST: u8 = 0x80;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

#[suspend(path = "/large", transports = [websocket], max_message = "32MiB")]
async fn large(
    State(endpoint): State<TestEndpoint>,
    Query(asked): Query<QueryParams>,
) -> Result<Suspend<TestContext>, Refusal> {
    endpoint.hold(asked).await
}

async fn opening(server: &TestServer, first: &str, fields: &[&str]) -> (Head, Reader) {
    let mut reader = server.dial();
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    reader.write(format!("{first}\r\n{fields}\r\n")).await;
    (reader.head().await.unwrap(), reader)
}

/// A WebSocket that is open, and its server, which sends back what it gets.
async fn open() -> (TestServer, Reader) {
    let echo = |held: abeyance::Held, message: Message| async move {
        let _ = held.send(message);
    };
    let server =
        test_server().on_message(echo).server(|server| server.mount(large).mount(super::socket)).start();
    let (head, reader) =
        opening(&server, "GET /socket HTTP/1.1", &["host: a", UPGRADE, CONNECTION, VERSION, KEY]).await;
    assert_eq!(head.status, 101);
    (server, reader)
}

/// What is answered to these bytes, up to the end of the connection or to `count` frames.
async fn frames(reader: &mut Reader, bytes: impl AsRef<[u8]>, count: usize) -> Vec<Frame> {
    reader.write(bytes).await;
    let (mut said, mut frames) = (Vec::new(), Vec::new());
    let mut buffer = [0; 4096];
    while frames.len() < count {
        if let Some(frame) = Frame::take(&mut said) {
            frames.push(frame);
            continue;
        }
        match reader.stream.read(&mut buffer).await {
            Ok(read @ 1..) => said.extend_from_slice(&buffer[..read]),
            _ => break,
        }
    }
    frames
}

fn closed(code: u16) -> impl Fn(&[Frame]) -> bool {
    move |frames| frames.last().and_then(|frame| frame.close()).is_some_and(|(told, _)| told == code)
}

#[tokio::test(start_paused = true)]
async fn section_4_2_1_a_handshake_has_all_it_must_have() {
    let server = test_server().server(|server| server.mount(super::socket)).start();
    let get = "GET /socket HTTP/1.1";
    for (section, first, fields, status) in [
        ("4.2.1 1", "GET /socket HTTP/1.0", &["host: a", UPGRADE, CONNECTION, VERSION, KEY][..], 400),
        ("4.2.1 1", "POST /socket HTTP/1.1", &["host: a", UPGRADE, CONNECTION, VERSION, KEY], 405),
        ("4.2.1 2", get, &[UPGRADE, CONNECTION, VERSION, KEY], 400),
        ("4.2.1 3", get, &["host: a", CONNECTION, VERSION, KEY], 426),
        ("4.2.1 3", get, &["host: a", "upgrade: h2c", CONNECTION, VERSION, KEY], 426),
        ("4.2.1 4", get, &["host: a", UPGRADE, VERSION, KEY], 400),
        ("4.2.1 4", get, &["host: a", UPGRADE, "connection: keep-alive", VERSION, KEY], 400),
        ("4.2.1 5", get, &["host: a", UPGRADE, CONNECTION, VERSION], 400),
        ("4.2.1 5", get, &["host: a", UPGRADE, CONNECTION, VERSION, KEY, KEY], 400),
        ("4.2.1 5", get, &["host: a", UPGRADE, CONNECTION, VERSION, "sec-websocket-key: c2hvcnQ="], 400),
        (
            "4.2.1 5",
            get,
            &["host: a", UPGRADE, CONNECTION, VERSION, "sec-websocket-key: !GhlIHNhbXBsZSBub25jZQ=="],
            400,
        ),
        ("4.2.1 6", get, &["host: a", UPGRADE, CONNECTION, KEY], 426),
        ("4.2.1 6", get, &["host: a", UPGRADE, CONNECTION, "sec-websocket-version: 8", KEY], 426),
        ("4.2.1 6", get, &["host: a", UPGRADE, CONNECTION, VERSION, "sec-websocket-version: 8", KEY], 426),
    ] {
        let (head, _) = opening(&server, first, fields).await;
        assert_eq!(head.status, status, "{section}: {first} {fields:?}");
        if status == 426 {
            // 4.4
            assert_eq!(head.get("sec-websocket-version"), Some("13"), "{fields:?}");
        }
    }
    assert_eq!(server.hub.stats().suspended, 0);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn section_4_2_1_a_handshake_may_be_written_in_many_ways() {
    let server = test_server().server(|server| server.mount(super::socket)).start();
    for fields in [
        ["host: a", "upgrade: WebSocket", "connection: keep-alive, upgrade", VERSION, KEY],
        ["host: a", "upgrade: h2c, websocket", "connection: UPGRADE", "sec-websocket-version:13", KEY],
        // 4.1 2.5: the very key that the RFC gives for 0x01 to 0x10.
        ["host: a", UPGRADE, CONNECTION, VERSION, "sec-websocket-key: AQIDBAUGBwgJCgsMDQ4PEC=="],
    ] {
        let (head, _) = opening(&server, "GET /socket HTTP/1.1", &fields).await;
        assert_eq!(head.status, 101, "{fields:?}");
    }
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn section_4_2_2_the_answer_proves_that_the_key_was_read_and_agrees_to_nothing_unasked() {
    let server =
        test_server().hold(|hold| hold.protocol("v2")).server(|server| server.mount(super::socket)).start();
    for (offers, agreed) in [
        (&[][..], None),
        (&["sec-websocket-protocol: v1"], None),
        (&["sec-websocket-protocol: v1, v2"], Some("v2")),
        (&["sec-websocket-protocol: v1", "sec-websocket-protocol: v2"], Some("v2")),
        (&["sec-websocket-protocol: V2"], None),
    ] {
        let extension = "sec-websocket-extensions: permessage-deflate; client_max_window_bits";
        let fields = [&["host: a", UPGRADE, CONNECTION, VERSION, KEY, extension], offers].concat();
        let (head, _) = opening(&server, "GET /socket HTTP/1.1", &fields).await;
        assert_eq!(head.status, 101);
        // 1.3 gives this answer to that key.
        assert_eq!(head.get("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(head.get("upgrade").map(str::to_ascii_lowercase).as_deref(), Some("websocket"));
        assert_eq!(head.get("connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
        assert_eq!(head.get("sec-websocket-protocol"), agreed, "{offers:?}");
        // 9.1
        assert_eq!(head.get("sec-websocket-extensions"), None);
    }
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn frames_that_must_fail_the_connection_do() {
    let long = vec![b'x'; 126];
    let cases: Vec<(&str, &str, Vec<u8>, u16)> = vec![
        ("5.1", "a client masks", unmasked(TEXT, b"x"), 1002),
        ("5.2", "no reserved bit without an extension", frame(TEXT | 0x40, b"x"), 1002),
        ("5.2", "no reserved bit in a control frame", frame(PING | 0x20, b""), 1002),
        ("5.2", "no reserved data opcode", frame(0x83, b"x"), 1002),
        ("5.2", "no reserved control opcode", frame(0x8b, b""), 1002),
        (
            "5.2",
            "the top bit of a length is 0",
            [&[BINARY, 0xff][..], &[0x80, 0, 0, 0, 0, 0, 0, 1], &[0; 4]].concat(),
            1002,
        ),
        ("5.4", "nothing goes on that has not begun", frame(LAST, b"x"), 1002),
        ("5.4", "no message inside a message", [frame(TEXT_BEGINS, b"x"), frame(TEXT, b"y")].concat(), 1002),
        ("5.5", "a control frame is not cut", frame(0x09, b"x"), 1002),
        ("5.5", "a control frame has 125 bytes at most", frame(PING, &long), 1002),
        ("5.5.1", "a close frame has a whole code or none", frame(CLOSE, b"x"), 1002),
        ("7.4.1", "1005 is never sent", frame(CLOSE, &1005_u16.to_be_bytes()), 1002),
        ("7.4.1", "1006 is never sent", frame(CLOSE, &1006_u16.to_be_bytes()), 1002),
        ("7.4.2", "codes below 1000 are not used", frame(CLOSE, &999_u16.to_be_bytes()), 1002),
        ("7.4.2", "codes from 5000 on are not used", frame(CLOSE, &5000_u16.to_be_bytes()), 1002),
        ("5.5.1", "a reason is UTF-8", frame(CLOSE, b"\x03\xe8\xff"), 1007),
        ("8.1", "text is UTF-8", frame(TEXT, b"\xff"), 1007),
        (
            "8.1",
            "text is UTF-8 as a whole",
            [frame(TEXT_BEGINS, b"\xe2\x82"), frame(LAST, b"x")].concat(),
            1007,
        ),
        ("8.1", "no surrogates in UTF-8", frame(TEXT, b"\xed\xa0\x80"), 1007),
        ("10.4", "a message has a largest size", frame(BINARY, &[0; 1025]), 1009),
        ("10.4", "also in parts", [frame(0x02, &[0; 1000]), frame(LAST, &[0; 25])].concat(), 1009),
    ];
    for (section, what, bytes, code) in cases {
        let (server, mut reader) = open().await;
        // What stands behind it is not read (7.1.7).
        let told = frames(&mut reader, [bytes, frame(TEXT, b"behind")].concat(), usize::MAX).await;
        assert!(closed(code)(&told) && told.len() == 1, "{section} ({what}): {told:?}");
        assert_eq!(server.hooks.messages().len(), 0, "{section} ({what})");
        server.close().await;
    }
}

/// A rule, what is sent, and the frames that come back.
type Case<'a> = (&'a str, Vec<u8>, Vec<(u8, &'a [u8])>);

#[tokio::test(start_paused = true)]
async fn frames_that_may_come_are_understood() {
    let text = "é€𝄞".as_bytes();
    let torn: Vec<u8> = std::iter::once(frame(TEXT_BEGINS, b""))
        .chain(text.iter().map(|byte| frame(MORE, &[*byte])))
        .chain([frame(LAST, b"")])
        .flatten()
        .collect();
    let pinged = [frame(TEXT_BEGINS, b"a"), frame(PING, b"in between"), frame(LAST, b"b")].concat();
    let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58].to_vec();
    let longer = [&[TEXT, 0x80 | 126, 0, 5, 0, 0, 0, 0][..], b"Hello"].concat();
    let cases: Vec<Case<'_>> = vec![
        ("5.7 a masked text", masked, vec![(TEXT, b"Hello")]),
        ("5.2 an empty text", frame(TEXT, b""), vec![(TEXT, b"")]),
        ("5.2 an empty binary", frame(BINARY, b""), vec![(BINARY, b"")]),
        ("5.2 a length of 126 bytes", frame(BINARY, &[7; 126]), vec![(BINARY, &[7; 126])]),
        ("5.2 a length in a longer form than it needs", longer, vec![(TEXT, b"Hello")]),
        ("5.4 a text in parts, torn in the middle of letters", torn, vec![(TEXT, text)]),
        ("5.4 a control frame between two parts", pinged, vec![(PONG, b"in between"), (TEXT, b"ab")]),
        ("5.5.2 a ping is answered with what it carries", frame(PING, b"x"), vec![(PONG, b"x")]),
        ("5.5.2 also if that is the most", frame(PING, &[9; 125]), vec![(PONG, &[9; 125])]),
        (
            "5.5.3 an unsolicited pong is passed over",
            [frame(PONG, b"x"), frame(TEXT, b"y")].concat(),
            vec![(TEXT, b"y")],
        ),
    ];
    let (server, mut reader) = open().await;
    for (what, bytes, expected) in cases {
        for (at, step) in [bytes.len(), 1].into_iter().enumerate() {
            for piece in bytes.chunks(step).take(bytes.len().div_ceil(step) - 1) {
                reader.write(piece).await;
                tokio::task::yield_now().await;
            }
            let last = bytes.chunks(step).last().unwrap();
            let told = frames(&mut reader, last, expected.len()).await;
            // 5.1: a server does not mask. `Frame::take` would read a mask as payload.
            let told: Vec<_> = told.iter().map(|frame| (frame.first, frame.payload.as_slice())).collect();
            assert_eq!(told, expected, "{what}, {at}");
        }
    }
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn section_4_1_what_a_client_sends_before_it_has_read_the_answer_is_not_lost() {
    let server = test_server().server(|server| server.mount(super::socket)).start();
    let mut reader = server.dial();
    let head =
        [&["GET /socket HTTP/1.1", "host: a", UPGRADE, CONNECTION, VERSION, KEY][..], &["", ""]].concat();
    reader
        .write([head.join("\r\n").into_bytes(), frame(TEXT, b"early\n\n"), frame(TEXT, b"bird")].concat())
        .await;
    assert_eq!(reader.head().await.unwrap().status, 101);
    until("both", || server.hooks.messages() == ["early\n\n", "bird"]).await;
    drop(reader);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn section_5_5_1_and_7_1_a_close_is_answered_and_the_server_closes_first() {
    for (payload, expected) in [
        (&b""[..], None),
        (b"\x03\xe8", Some(1000)),
        (b"\x03\xe8bye", Some(1000)),
        (b"\x03\xf3", Some(1011)),
        (b"\x0b\xb8", Some(3000)),
        (b"\x13\x87last", Some(4999)),
    ] {
        let (server, mut reader) = open().await;
        let told = frames(&mut reader, [frame(CLOSE, payload), frame(TEXT, b"too late")].concat(), 2).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].first, CLOSE);
        assert_eq!(told[0].close().map(|(code, _)| code), expected, "{payload:?}");
        assert_eq!(server.hooks.messages().len(), 0);
        drop(reader);
        server.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn section_5_5_1_a_reason_that_is_several_lines_is_told_in_one() {
    let (server, mut reader) = open().await;
    frames(&mut reader, frame(CLOSE, b"\x03\xe8x\n2026-12-01 ERROR forged"), 1).await;
    let end = server.cause().await;
    let End::Disconnect(Disconnect::Closed { reason, .. }) = &end else { panic!("{end:?}") };
    assert_eq!(&**reason, "x\n2026-12-01 ERROR forged");
    assert_eq!(end.to_string(), "closed by the peer (1000): x\\n2026-12-01 ERROR forged");
    drop(reader);
    server.close().await;
}

/// Autobahn 9.3.1 and 9.4.1: a message of 4 MB in fragments of 64 bytes.
#[tokio::test(start_paused = true)]
async fn crumbs_that_make_a_large_message_are_no_flood() {
    for first in [TEXT_BEGINS, 0x02] {
        let server = test_server().server(|server| server.mount(large)).start();
        let fields = ["host: a", UPGRADE, CONNECTION, VERSION, KEY];
        let (head, mut reader) = opening(&server, "GET /large HTTP/1.1", &fields).await;
        assert_eq!(head.status, 101);
        let count = (4 << 20) / 64;
        let mut bytes = frame(first, &[b'*'; 64]);
        bytes.extend(frame(MORE, &[b'*'; 64]).repeat(count - 2));
        bytes.extend(frame(LAST, &[b'*'; 64]));
        reader.write(&bytes).await;
        until("the message", || server.hooks.messages().len() == 1).await;
        assert_eq!(server.hub.held_count(), 1);
        // What carries next to nothing is one as before.
        reader.write(frame(first, b"")).await;
        let told = frames(&mut reader, frame(MORE, b"").repeat(1_100), usize::MAX).await;
        assert!(closed(1008)(&told), "{told:?}");
        drop(reader);
        server.close().await;
    }
}
