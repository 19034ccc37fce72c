//! Deadlines of connections that are not held, in paused time.

use tokio::time::Instant;

use super::*;

/// How long, in whole seconds, until the server ends the connection; and what it said.
async fn ended(peer: &mut MemoryStream) -> (u64, String) {
    let begun = Instant::now();
    let mut said = Vec::new();
    let _ = peer.read_to_end(&mut said).await;
    (begun.elapsed().as_secs(), String::from_utf8(said).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_sends_nothing_is_closed_after_the_head_timeout() {
    let (_service, _, mut peer) = in_memory(TestService::default());
    assert_eq!(ended(&mut peer).await, (10, String::new()));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_sends_a_byte_a_second_gets_a_408() {
    let (_service, _, peer) = in_memory(TestService::default());
    let (mut reader, mut writer) = tokio::io::split(peer);
    let begun = Instant::now();
    let drip = async {
        for byte in b"GET /a-very-slow-request HTTP/1.1".chunks(1) {
            tokio::time::sleep(seconds(1)).await;
            let _ = writer.write_all(byte).await;
        }
    };
    let listen = async {
        let (status, _) = answer(&mut reader).await;
        (status, begun.elapsed().as_secs())
    };
    let ((status, after), ()) = tokio::join!(listen, drip);
    assert_eq!((status, after), (408, 10));
}

#[tokio::test(start_paused = true)]
async fn the_first_byte_does_not_buy_more_time() {
    let (_service, _, mut peer) = in_memory(TestService::default());
    tokio::time::sleep(seconds(9)).await;
    say(&mut peer, "G").await;
    let (after, said) = ended(&mut peer).await;
    assert_eq!(after, 1);
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_rest_for_keep_alive_and_then_has_the_head_timeout() {
    let (_service, _, mut peer) = in_memory(TestService::default());
    assert_eq!(ask(&mut peer, "/one").await.0, 200);
    assert_eq!(ended(&mut peer).await, (75, String::new()));

    let (_service, _, mut peer) = in_memory(TestService::default());
    assert_eq!(ask(&mut peer, "/one").await.0, 200);
    tokio::time::sleep(seconds(74)).await;
    say(&mut peer, "G").await;
    let (after, said) = ended(&mut peer).await;
    assert_eq!(after, 10);
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_rests_after_a_hold_too() {
    let (_service, _, mut peer) = in_memory(TestService::default());
    assert_eq!(ask(&mut peer, "/poll").await.0, 200);
    assert_eq!(ended(&mut peer).await, (75, String::new()));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_of_its_answer_is_cut() {
    let (service, _, mut peer) = in_memory(TestService::default());
    say(&mut peer, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let begun = Instant::now();
    tokio::time::sleep(seconds(1)).await;
    service.connections.empty().await;
    assert_eq!(begun.elapsed().as_secs(), 10);
    assert!(peer.read(&mut [0; 8]).await.is_err(), "reset");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_its_answer_slowly_is_served() {
    let (_service, _, mut peer) = in_memory(TestService::default());
    say(&mut peer, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let mut taken = 0;
    let mut bytes = vec![0; 64 * 1024];
    while taken < 8 << 20 {
        tokio::time::sleep(seconds(9)).await;
        taken += peer.read(&mut bytes).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_a_byte_of_its_answer_now_and_then_is_cut() {
    for pause in [1, 4, 9] {
        let (service, _, mut peer) = in_memory(TestService::default());
        say(&mut peer, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let begun = Instant::now();
        while peer.read(&mut [0]).await.is_ok() {
            tokio::time::sleep(seconds(pause)).await;
            assert!(begun.elapsed() < seconds(25), "a byte every {pause} s is taken for progress");
        }
        service.connections.empty().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_function_may_take_its_time() {
    let (service, _, mut peer) = in_memory(TestService::default());
    say(&mut peer, "GET /never HTTP/1.1\r\nHost: h\r\n\r\n").await;
    tokio::time::sleep(seconds(600)).await;
    assert_eq!(service.connections.count(), 1);
    drop(peer);
    service.connections.empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_arriving_fails() {
    let (_service, _, mut peer) = in_memory(TestService::default());
    say(&mut peer, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 20000\r\n\r\n").await;
    for _ in 0..3 {
        tokio::time::sleep(seconds(9)).await;
        say(&mut peer, &"x".repeat(9 * 512)).await;
    }
    let begun = Instant::now();
    let (_, said) = answer(&mut peer).await;
    assert_eq!(said, "failed: the request's body stopped arriving, or nearly");
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_byte_by_byte_fails_at_any_interval() {
    for pause in [1, 4, 9] {
        let (_service, _, mut peer) = in_memory(TestService::default());
        say(&mut peer, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 20000\r\n\r\n").await;
        let begun = Instant::now();
        let said = loop {
            match tokio::time::timeout(seconds(pause), answer(&mut peer)).await {
                Ok((_, said)) => break said,
                Err(_) => say(&mut peer, "x").await,
            }
        };
        assert_eq!(said, "failed: the request's body stopped arriving, or nearly");
        assert!(begun.elapsed() < seconds(20), "{pause}: {:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_does_not_fail_because_the_server_polled_it_late() {
    let (_service, _, mut peer) = in_memory(TestService::default());
    say(&mut peer, "POST /body/later HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n").await;
    for pause in [1, 60] {
        tokio::time::sleep(seconds(pause)).await;
        say(&mut peer, "x").await;
    }
    assert_eq!(answer(&mut peer).await.1, "xx");
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_is_not_destroyed_by_what_the_peer_still_sends() {
    let (service, _, mut peer) = in_memory(TestService::default());
    say(&mut peer, "NONSENSE\r\n\r\n").await;
    say(&mut peer, &"x".repeat(10_000)).await;
    let (status, _) = answer(&mut peer).await;
    assert_eq!(status, 400);
    say(&mut peer, "more").await;
    let begun = Instant::now();
    service.connections.empty().await;
    assert_eq!(begun.elapsed().as_secs(), 5, "it waits for the peer's FIN, for `close_timeout`");
}
