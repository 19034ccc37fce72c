//! What the server relies on when it takes a socket back from hyper. An update of hyper that breaks it fails here.

use super::*;

#[tokio::test]
async fn plain_then_hold_then_plain_on_one_connection() {
    let (service, mut peer) = over_tcp(TestService::default()).await;
    assert_eq!(ask(&mut peer, "/one").await, (200, "/one".into()));
    assert_eq!(ask(&mut peer, "/poll").await, (200, "held".into()));
    assert_eq!(ask(&mut peer, "/two").await, (200, "/two".into()));
    assert_eq!(ask(&mut peer, "/poll").await, (200, "held".into()));
    assert_eq!(service.connections.count(), 1);
    assert_eq!(*service.connections.service.ends.lock(), ["kept", "kept"]);
}

#[tokio::test]
async fn requests_pipelined_around_a_hold_are_served_in_order() {
    let (_service, mut peer) = over_tcp(TestService::default()).await;
    let paths = ["/one", "/poll", "/two", "/poll", "/poll", "/three"];
    let all: String = paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")).collect();
    say(&mut peer, &all).await;
    for path in paths {
        let expected = if path == "/poll" { "held" } else { path };
        assert_eq!(answer(&mut peer).await, (200, expected.into()));
    }
}

#[tokio::test]
async fn a_hold_behind_an_answer_that_the_peer_has_not_taken_waits_for_it() {
    let (_service, _, mut peer) = in_memory(TestService::default());
    peer.window(100);
    say(&mut peer, "GET /big HTTP/1.1\r\nHost: h\r\n\r\nGET /poll HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let (status, body) = answer(&mut peer).await;
    assert_eq!((status, body.len()), (200, 8 << 20));
    assert_eq!(answer(&mut peer).await, (200, "held".into()));
}

#[tokio::test]
async fn bytes_after_the_request_belong_to_the_hold() {
    let (service, mut peer) = over_tcp(TestService::default()).await;
    say(&mut peer, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\nearly ").await;
    assert_eq!(answer(&mut peer).await.0, 200);
    say(&mut peer, "late").await;
    peer.shutdown().await.unwrap();
    assert_eq!(rest(&mut peer).await, "early late");
    service.connections.empty().await;
    assert_eq!(*service.connections.service.ends.lock(), ["closed"]);
}

#[tokio::test]
async fn a_head_that_comes_in_pieces_is_held_like_any_other() {
    let (_service, mut peer) = over_tcp(TestService::default()).await;
    for piece in ["GET /po", "ll HTTP/1.1\r\nHo", "st: h\r\n", "\r", "\nGET /t"] {
        say(&mut peer, piece).await;
        peer.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(answer(&mut peer).await, (200, "held".into()));
    say(&mut peer, "wo HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(answer(&mut peer).await, (200, "/two".into()));
}

#[tokio::test]
async fn old_http_and_connection_close_are_not_kept_after_a_hold() {
    for request in [
        "GET /poll HTTP/1.0\r\n\r\n",
        "GET /poll HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        "GET /poll HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nGET ",
    ] {
        let (_service, mut peer) = over_tcp(TestService::default()).await;
        say(&mut peer, request).await;
        assert!(rest(&mut peer).await.ends_with("\r\n\r\nheld"), "{request}");
    }
}

#[tokio::test]
async fn an_answer_after_which_the_connection_is_not_kept_arrives_in_spite_of_stray_bytes() {
    let (service, _, mut peer) = in_memory(TestService::default());
    say(&mut peer, "GET /poll HTTP/1.0\r\n\r\n").await;
    while service.connections.service.ends.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    say(&mut peer, "stray").await;
    tokio::task::yield_now().await;
    assert_eq!(answer(&mut peer).await, (200, "held".into()));
    peer.shutdown().await.unwrap();
    service.connections.empty().await;
}

#[tokio::test]
async fn a_head_request_and_a_body_after_100_continue_are_answered_by_hyper() {
    let (_service, mut peer) = over_tcp(TestService::default()).await;
    say(&mut peer, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        .await;
    assert_eq!(answer(&mut peer).await, (100, String::new()));
    say(&mut peer, "body").await;
    assert_eq!(answer(&mut peer).await, (200, "body".into()));
    assert_eq!(ask(&mut peer, "/poll").await, (200, "held".into()));
    say(&mut peer, "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\nGET /y HTTP/1.0\r\n\r\n").await;
    let all = rest(&mut peer).await.to_ascii_lowercase();
    assert_eq!(all.matches("content-length: 2").count(), 2, "{all}");
    assert!(all.ends_with("\r\n\r\n/y"));
}

#[tokio::test]
async fn a_hold_whose_peer_left_at_once_is_attended_all_the_same() {
    for _ in 0..20 {
        let (service, mut peer) = over_tcp(TestService::default()).await;
        say(&mut peer, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n").await;
        peer.set_zero_linger().unwrap();
        drop(peer);
        service.connections.empty().await;
        assert_eq!(service.connections.service.held(), 0, "given back");
    }
}

#[tokio::test]
async fn a_head_that_is_too_long_gets_a_431() {
    let (_service, mut peer) = over_tcp(TestService::default()).await;
    let long = format!("GET / HTTP/1.1\r\nHost: h\r\nCookie: {}\r\n\r\n", "x".repeat(300_000));
    let (mut reader, mut writer) = peer.split();
    let (_, (status, _)) = tokio::join!(writer.write_all(long.as_bytes()), answer(&mut reader));
    assert_eq!(status, 431);
}

#[tokio::test(start_paused = true)]
async fn a_resting_connection_gives_hypers_buffers_back_and_is_served_again() {
    let (_service, _, mut peer) = in_memory(TestService::default());
    assert_eq!(ask(&mut peer, "/one").await, (200, "/one".into()));
    say(&mut peer, "GET /tw").await;
    tokio::time::sleep(seconds(5)).await;
    say(&mut peer, "o HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(answer(&mut peer).await, (200, "/two".into()));
    tokio::time::sleep(seconds(30)).await;
    assert_eq!(ask(&mut peer, "/three").await, (200, "/three".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_connections_take_turns_without_losing_a_byte() {
    let (service, _) = over_tcp(TestService::default()).await;
    let addr = service.local_addr;
    let clients = (0..64).map(|client| {
        tokio::spawn(async move {
            let mut peer = TcpStream::connect(addr).await.unwrap();
            let paths: Vec<_> =
                (0..50).map(|turn| ["/poll", "/a", "/poll", "/b"][(client + turn * 7 / 3) % 4]).collect();
            let all: String =
                paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")).collect();
            let (mut reader, mut writer) = peer.split();
            let write = async {
                // In pieces of odd sizes, so that heads are split everywhere.
                for piece in all.as_bytes().chunks(37 + client) {
                    writer.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
            };
            let read = async {
                for path in paths {
                    let expected = if path == "/poll" { "held" } else { path };
                    assert_eq!(answer(&mut reader).await, (200, expected.into()));
                }
            };
            tokio::join!(write, read);
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    assert_eq!(service.connections.service.held(), 0);
}
