//! RFC 9110: what HTTP means, in any version.

use std::time::Duration;

use abeyance::Transport;
use abeyance_tests::test_server::test_server;

use super::{answer, every_route, keep, told};

#[tokio::test(start_paused = true)]
async fn requests_are_judged_as_http_asks() {
    keep(&[
        ("5.5", "no NUL in a value", "GET /plain HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n", &[400], true),
        (
            "7.2",
            "another host is served, as virtual hosts are the application's",
            "GET /plain HTTP/1.1\r\nhost: other\r\n\r\n",
            &[200],
            false,
        ),
        (
            "4.2.4",
            "a user in a target is an error",
            "GET http://u:p@a/plain HTTP/1.1\r\nhost: a\r\n\r\n",
            &[400],
            true,
        ),
        (
            "7.8",
            "an unknown upgrade is ignored",
            "GET /hold HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
            &[200],
            false,
        ),
        (
            "7.8",
            "in HTTP/1.0 every upgrade is ignored",
            "GET /hold HTTP/1.0\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
            &[200],
            true,
        ),
        (
            "9.1",
            "an unknown method is not implemented",
            "BREW /socket HTTP/1.1\r\nhost: a\r\n\r\n",
            &[404],
            false,
        ),
        ("9.1", "methods are in upper case", "get /plain HTTP/1.1\r\nhost: a\r\n\r\n", &[405], false),
        (
            "9.3.4",
            "a `PUT` at the path of a hold is the application's",
            "PUT /hold HTTP/1.1\r\nhost: a\r\n\r\n",
            &[200],
            false,
        ),
        (
            "10.1.1",
            "without a body there is nothing to expect",
            "GET /hold HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n\r\n",
            &[200],
            false,
        ),
        (
            "10.1.1",
            "HTTP/1.0 expects nothing",
            "GET /hold HTTP/1.0\r\nhost: a\r\nexpect: 100-continue\r\n\r\n",
            &[200],
            true,
        ),
        (
            "10.1.1",
            "HTTP/1.0 is not told to go on",
            "POST /echo HTTP/1.0\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\nhi",
            &[200],
            true,
        ),
        (
            "10.1.1",
            "who waits is told to go on, where the body is wanted",
            "POST /echo HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n",
            &[100],
            false,
        ),
        (
            "10.1.1",
            "or gets its answer at once, with what becomes of the connection",
            "POST /deaf HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n",
            &[200],
            true,
        ),
        (
            "10.1.1",
            "a request that is held needs no body",
            "GET /hold HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n",
            &[417],
            true,
        ),
        ("15.5.22", "only WebSocket here", "GET /socket HTTP/1.1\r\nhost: a\r\n\r\n", &[426], false),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn section_9_1_without_a_fallback_a_method_is_not_allowed_or_not_known() {
    let server = test_server().start();
    for (method, path, status) in [
        ("PUT", "/hold", 405),
        ("TRACE", "/hold", 405),
        ("BREW", "/hold", 501),
        ("get", "/hold", 501),
        ("BREW", "/nothing", 501),
        ("PUT", "/nothing", 404),
    ] {
        let answer = answer(&server, format!("{method} {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        assert_eq!(answer.head.status, status, "{method} {path}");
        // 15.5.6
        assert_eq!(answer.head.get("allow").is_some(), status == 405, "{method} {path}");
    }
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn section_9_3_2_an_answer_to_head_has_no_body() {
    let server = every_route().start();
    for path in ["/plain", "/hold", "/socket", "/nothing"] {
        let mut reader = server.dial();
        reader.write(format!("HEAD {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await;
        let head = reader.head().await.unwrap();
        assert_eq!(head.all("date").len(), 1, "{path}");
        assert_eq!(reader.rest().await, (Vec::new(), "FIN"), "{path}");
    }
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn section_9_3_7_options_tell_what_there_is_and_ask_for_no_body() {
    let server = test_server().start();
    let head = answer(&server, "OPTIONS /hold HTTP/1.1\r\nhost: a\r\n\r\n").await.head;
    assert_eq!((head.status, head.get("allow")), (204, Some("GET, OPTIONS, POST, DELETE")));
    let head = answer(&server, "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n").await.head;
    assert_eq!(head.status, 204);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn section_8_6_an_answer_without_content_tells_no_length() {
    // `told` fails on a 204 or a 1xx with a length.
    let server = test_server().hold(|hold| hold.timeout(Duration::from_millis(100))).start();
    let head = answer(&server, "GET /hold HTTP/1.1\r\nhost: a\r\n\r\n").await.head;
    assert_eq!((head.status, head.get("content-type")), (204, None));
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn section_10_1_1_what_is_too_large_is_refused_before_it_is_sent() {
    let server = test_server().start();
    let client = server.hold(Transport::Sse).await;
    let token = client.token();
    let first = format!(
        "POST /hold?hold={token} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 100000000\r\n\r\n"
    );
    let (answers, closed) = told(&server, first).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.head.status).collect();
    assert_eq!((statuses.as_slice(), closed), (&[413][..], true));
    assert!(!answers[0].head.is_kept());
    drop(client);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn section_10_2_3_a_client_that_may_come_back_is_told_when_in_seconds() {
    let server = test_server().server(|server| server.max_suspended(1)).start();
    let first = server.hold(Transport::LongPoll).await;
    let head = answer(&server, "GET /hold HTTP/1.1\r\nhost: a\r\n\r\n").await.head;
    assert_eq!(head.status, 503);
    assert!(head.get("retry-after").unwrap().parse::<u64>().is_ok());
    drop(first);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn section_12_5_5_what_is_chosen_by_accept_varies_by_it() {
    let server = every_route().start();
    let head = answer(&server, "GET /hold HTTP/1.1\r\nhost: a\r\n\r\n").await.head;
    assert_eq!(head.get("vary"), Some("Accept"));
    let mut reader = server.dial();
    reader.write("GET /hold HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n").await;
    assert_eq!(reader.head().await.unwrap().get("vary"), Some("Accept"));
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn section_15_5_22_an_upgrade_that_is_required_is_named() {
    let server = every_route().start();
    let head = answer(&server, "GET /socket HTTP/1.1\r\nhost: a\r\n\r\n").await.head;
    assert_eq!((head.get("upgrade"), head.get("connection")), (Some("websocket"), Some("upgrade")));
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn section_6_6_1_also_what_the_server_says_without_a_request_has_a_date() {
    let server = every_route().server(|server| server.max_connects_per_peer(2)).start();
    // A head that does not come to its end.
    let mut late = server.dial();
    late.write("GET /plain HTTP/1.1\r\nhost: a\r\nx: ").await;
    let head = late.head().await.unwrap();
    assert_eq!((head.status, head.all("date").len(), head.get("connection")), (408, 1, Some("close")));
    // One connection too many in a second.
    let mut dialed = [server.dial(), server.dial(), server.dial()];
    let head = dialed[2].head().await.unwrap();
    assert_eq!((head.status, head.all("date").len(), head.get("connection")), (429, 1, Some("close")));
    assert!(head.get("retry-after").is_some());
    drop((late, dialed));
    server.close().await;
}
