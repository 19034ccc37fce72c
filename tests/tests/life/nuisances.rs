//! Peers that send without ever sending a message, or read a byte now and then: the server bounds them, tells them why, and
//! serves the others.

use std::time::Duration;

use abeyance::{Disconnect, End, Transport};
use abeyance_tests::client::Client;
use abeyance_tests::net::frame;
use abeyance_tests::test_server::{TestServer, test_server, until};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, timeout};

use super::{LATE, seconds};

const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const BEGIN: u8 = 0x01;
const MORE: u8 = 0x00;
const LAST: u8 = 0x80;

/// Has a WebSocket's hold end by what `client` does, while another is held; gives what the client was told, and the end.
async fn ended_by(server: TestServer, act: impl AsyncFnOnce(&mut Client)) -> (String, End) {
    let mut friend = server.hold(Transport::WebSocket).await;
    let mut client = server.hold(Transport::WebSocket).await;
    act(&mut client).await;
    let told = client.end().await;
    let end = server.cause().await;
    assert_eq!(server.hub.publish("news", "still here"), 1);
    assert_eq!(friend.message().await, "still here");
    drop((friend, client));
    server.close().await;
    (told, end)
}

#[tokio::test(start_paused = true)]
async fn a_websocket_that_floods_with_what_says_nothing_is_ended_for_that() {
    let floods: [(&str, Vec<u8>, Vec<u8>); 5] = [
        ("pings", vec![], frame(PING, b"")),
        ("pings with all they may carry", vec![], frame(PING, &[b'x'; 125])),
        ("pongs", vec![], frame(PONG, b"")),
        ("empty parts", frame(BEGIN, b""), frame(MORE, b"")),
        ("tiny parts", frame(BEGIN, b"x"), frame(MORE, b"x")),
    ];
    for (what, first, flood) in floods {
        let server = test_server().hold(|hold| hold.join("news")).start();
        let ended = ended_by(server, async |client| {
            client.write(&first).await;
            let _ = client.stream().write_all(&flood.repeat(1_100)).await;
        });
        assert_eq!(ended.await, ("1008 flood".into(), Disconnect::Flood.into()), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_websocket_that_pings_every_second_is_no_flood() {
    let server = test_server().start();
    let mut client = server.hold(Transport::WebSocket).await;
    for _ in 0..2 * 3600 {
        client.write(frame(PING, b"")).await;
        client.stay_held(seconds(1)).await;
    }
    assert_eq!(server.hub.held_count(), 1);
    drop(client);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_websocket_that_pings_and_never_reads_has_few_answers_waiting() {
    let server = test_server().start();
    let mut client = server.hold(Transport::WebSocket).await;
    client.stream().window(0);
    for _ in 0..9 {
        client.write(frame(PING, &[b'x'; 125]).repeat(100)).await;
        sleep(Duration::from_millis(900)).await;
        assert!(server.hub.stats().waiting < 1_024, "{:?}", server.hub.stats());
    }
    assert_eq!(server.cause().await, Disconnect::Stalled.into());
    drop(client);
    server.close().await;
}

/// Writes the same every `pause` until the hold has ended; says what the client is told, and after how long.
async fn drip(server: TestServer, first: &[u8], pause: Duration, drop: &[u8]) -> (End, String, Duration) {
    let mut client = server.hold(Transport::WebSocket).await;
    client.write(first).await;
    let begun = Instant::now();
    while server.hooks.ends().is_empty() {
        let _ = timeout(pause, until("the end", || !server.hooks.ends().is_empty())).await;
        let _ = client.stream().write_all(drop).await;
        assert!(begun.elapsed() < seconds(600), "it goes on for ever");
    }
    let told = server.nth_end(1).await;
    let text = client.end().await;
    server.close().await;
    (told.end, text, told.at - begun)
}

#[tokio::test(start_paused = true)]
async fn a_message_that_never_ends_is_given_up() {
    let ping = frame(PING, b"still there");
    let drips: [(&str, Vec<u8>, Vec<u8>); 5] = [
        ("empty parts", frame(BEGIN, b"x"), frame(MORE, b"")),
        ("tiny parts", frame(BEGIN, b"x"), frame(MORE, b"x")),
        ("parts and pings", frame(BEGIN, b"x"), [frame(MORE, b"x"), ping.repeat(9)].concat()),
        ("nothing but pings", frame(BEGIN, b"x"), ping),
        ("a frame that trickles", frame(0x82, &[0; 1000])[..20].to_vec(), vec![0]),
    ];
    for (what, first, drop) in drips {
        let server = test_server().hold(|hold| hold.max_idle(seconds(60))).start();
        let (end, text, after) = drip(server, &first, seconds(9), &drop).await;
        assert_eq!((end, text.as_str()), (Disconnect::Unfinished.into(), "1008 unfinished"), "{what}");
        assert!((seconds(60)..=seconds(69) + LATE).contains(&after), "{what}: after {after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_slowly_but_steadily_is_handled() {
    let server = test_server().hold(|hold| hold.max_idle(seconds(20))).start();
    let mut client = server.hold(Transport::WebSocket).await;
    client.write(frame(BEGIN, b"")).await;
    for _ in 0..60 {
        client.write(frame(MORE, &[b'x'; 512])).await;
        client.stay_held(seconds(1)).await;
    }
    client.write(frame(LAST, b"")).await;
    until("the message", || server.hooks.messages().len() == 1).await;
    assert_eq!(server.hooks.messages()[0].len(), 60 * 512);
    drop(client);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_stands_behind_a_message_does_not_age_while_on_message_runs() {
    let server =
        test_server().hold(|hold| hold.max_idle(seconds(10))).on_message(|_, _| sleep(seconds(25))).start();
    let mut client = server.hold(Transport::WebSocket).await;
    // One message and the beginning of the next, together; more of it while we do not read, the end of it behind that.
    client.write([frame(0x81, b"one"), frame(BEGIN, b"t")].concat()).await;
    client.stay_held(seconds(1)).await;
    client.write(frame(MORE, b"w")).await;
    client.stay_held(seconds(26)).await;
    client.write(frame(LAST, b"o")).await;
    until("both messages", || server.hooks.messages().len() == 2).await;
    assert_eq!(server.hooks.messages(), ["one", "two"]);
    drop(client);
    server.close().await;
}

contract!(a_post_that_comes_a_byte_at_a_time_is_given_up_and_its_hold_stays of streams);
async fn a_post_that_comes_a_byte_at_a_time_is_given_up_and_its_hold_stays(transport: Transport) {
    let server = test_server().start();
    let mut client = server.hold(transport).await;
    let token = client.token();
    let mut post = server.dial();
    post.write(format!(
        "POST /hold HTTP/1.1\r\nhost: a\r\nabeyance-hold: {token}\r\ncontent-length: 999\r\n\r\n"
    ))
    .await;
    let begun = Instant::now();
    let answer = loop {
        match timeout(seconds(9), post.answer()).await {
            Ok(answer) => break answer.unwrap(),
            Err(_) => post.write("x").await,
        }
        assert!(begun.elapsed() < seconds(30), "it goes on for ever");
    };
    assert_eq!(answer.head.status, 408);
    assert!(!answer.head.is_kept());
    client.send("a whole one").await;
    until("the message", || server.hooks.messages() == ["a whole one"]).await;
    drop((client, post));
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_unwanted_body_comes_a_byte_at_a_time_is_given_up() {
    let server = test_server().start();
    let mut reader = server.dial();
    reader.write("GET /hold HTTP/1.1\r\nhost: a\r\ncontent-length: 999\r\n\r\n").await;
    let begun = Instant::now();
    let answer = loop {
        match timeout(seconds(9), reader.answer()).await {
            Ok(answer) => break answer.unwrap(),
            Err(_) => reader.write("x").await,
        }
        assert!(begun.elapsed() < seconds(30), "it goes on for ever");
    };
    assert_eq!(answer.head.status, 408);
    assert_eq!(server.hub.stats().suspended, 0);
    drop(reader);
    server.close().await;
}

contract!(a_peer_that_takes_a_byte_now_and_then_is_stalled of lasting);
async fn a_peer_that_takes_a_byte_now_and_then_is_stalled(transport: Transport) {
    let server = test_server().hold(|hold| hold.join("news")).start();
    let mut friend = server.hold(transport).await;
    let mut client = server.hold(transport).await;
    client.stream().window(0);
    assert_eq!(server.hub.publish("news", "x".repeat(20_000)), 2);
    let begun = Instant::now();
    for taken in 1..100 {
        if timeout(seconds(9), until("the end", || !server.hooks.ends().is_empty())).await.is_ok() {
            break;
        }
        client.stream().window(taken);
    }
    assert!(server.nth_end(1).await.at - begun <= seconds(20) + LATE);
    assert_eq!(server.cause().await, Disconnect::Stalled.into());
    assert_eq!(friend.message().await.len(), 20_000);
    drop((friend, client));
    server.close().await;
}

contract!(a_peer_that_takes_little_but_steadily_gets_all_of_it of lasting);
async fn a_peer_that_takes_little_but_steadily_gets_all_of_it(transport: Transport) {
    let server = test_server().hold(|hold| hold.join("news")).start();
    let mut client = server.hold(transport).await;
    client.stream().window(0);
    assert_eq!(server.hub.publish("news", "x".repeat(20_000)), 1);
    for taken in 1..=45 {
        sleep(seconds(1)).await;
        client.stream().window(taken * 512);
    }
    assert_eq!(client.message().await.len(), 20_000);
    drop(client);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_whose_messages_never_end_lets_others_have_their_turns() {
    let server = test_server().start();
    let mut client = server.hold(Transport::WebSocket).await;
    let mut flooder = server.hold(Transport::WebSocket).await;
    // As much as the line takes, there before anything is read.
    let (flood, count) = (frame(0x81, b"f").repeat(9_000), 9_000);
    flooder.stream().write_all(&flood).await.unwrap();
    client.send("good").await;
    until("all of it", || server.hooks.messages().len() == count + 1).await;
    let before = server.hooks.messages().iter().position(|text| text == "good").unwrap();
    assert!(before < 1_000, "{before} messages of one peer came before the other's");
    drop((client, flooder));
    server.close().await;
}

contract!(a_peer_that_goes_on_sending_after_its_end_is_cut of lasting);
async fn a_peer_that_goes_on_sending_after_its_end_is_cut(transport: Transport) {
    let server = test_server().start();
    let mut client = server.hold(transport).await;
    server.hooks.newest().resume();
    let begun = Instant::now();
    let junk = vec![b'x'; 32 * 1024];
    let mut sent = 0;
    while client.stream().write_all(&junk).await.is_ok() {
        sent += junk.len();
        assert!(sent < 64 << 20, "it is read for ever");
    }
    assert!(sent > 8 << 20, "what was under way when the ending came would have been lost: {sent}");
    assert!(begun.elapsed() < seconds(4), "it was not cut, but waited for");
    server.until_settled().await;
    server.close().await;
}

contract!(a_peer_that_goes_on_sending_a_little_has_until_the_polite_end of lasting);
async fn a_peer_that_goes_on_sending_a_little_has_until_the_polite_end(transport: Transport) {
    let server = test_server().start();
    let mut client = server.hold(transport).await;
    server.hooks.newest().resume();
    let begun = Instant::now();
    while client.stream().write_all(b"x").await.is_ok() {
        sleep(Duration::from_millis(100)).await;
        assert!(begun.elapsed() < seconds(6), "it is waited for for ever");
    }
    assert!(begun.elapsed() >= seconds(5));
    server.until_settled().await;
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn messages_that_come_with_the_upgrade_request_are_handled_in_order() {
    let server = test_server().start();
    let mut reader = server.dial();
    let upgrade = "GET /hold HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let frames = [frame(0x81, b"one"), frame(BEGIN, b"t"), frame(PING, b""), frame(LAST, b"wo")].concat();
    reader.write([upgrade.as_bytes(), &frames, &frame(0x81, b"three")[..4]].concat()).await;
    assert_eq!(reader.head().await.unwrap().status, 101);
    reader.write(&frame(0x81, b"three")[4..]).await;
    until("the messages", || server.hooks.messages().len() == 3).await;
    assert_eq!(server.hooks.messages(), ["one", "two", "three"]);
    drop(reader);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_that_comes_with_the_upgrade_request_counts() {
    let server = test_server().start();
    let mut reader = server.dial();
    let upgrade = "GET /hold HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    reader.write([upgrade.as_bytes(), &frame(PONG, b"").repeat(1_100)].concat()).await;
    assert_eq!(server.cause().await, Disconnect::Flood.into());
    drop(reader);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn offers_of_extensions_are_never_taken() {
    let server = test_server().start();
    let offers = [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits; server_no_context_takeover, permessage-deflate",
        "permessage-deflate; server_max_window_bits=999999999999999999999; x=\"\\\"\"; ;;,,=",
        "x-webkit-deflate-frame, foo; bar=baz, \u{7f}",
    ];
    let many = vec!["permessage-deflate; server_max_window_bits=8"; 300].join(", ");
    for offer in offers.into_iter().chain([many.as_str()]) {
        let mut reader = server.dial();
        reader
            .write(format!(
                "GET /hold HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                 sec-websocket-extensions: {offer}\r\n\r\n"
            ))
            .await;
        let head = reader.head().await.unwrap();
        match offer.contains('\u{7f}') {
            // No value of a header.
            true => assert_eq!(head.status, 400),
            false => {
                assert_eq!(head.status, 101, "{offer}");
                assert_eq!(head.get("sec-websocket-extensions"), None);
                // Compressed all the same.
                reader.write(frame(0xc1, b"x")).await;
            }
        }
        reader.rest().await;
    }
    server.until_settled().await;
    assert!(server.hooks.causes().iter().all(|end| *end == Disconnect::Violation.into()));
    assert_eq!(server.hooks.causes().len(), 4);
    server.close().await;
}
