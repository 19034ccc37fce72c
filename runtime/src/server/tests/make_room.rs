//! Where no more connections fit, one that waits for its peer makes room; where none waits, new ones are refused.

use tokio::time::Instant;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_new_connection_evicts_the_one_that_has_waited_longest() {
    let (service, dialer) = with_room_for(3, TestService::default());
    let mut silent = dial(&dialer, 1);
    settle().await;
    let mut halfway = dial(&dialer, 2);
    say(&mut halfway, "GET /ha").await;
    settle().await;
    let mut rested = dial(&dialer, 3);
    assert_eq!(ask(&mut rested, "/one").await.0, 200);
    let begun = Instant::now();
    let mut held = dial(&dialer, 4);
    say(&mut held, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(answer(&mut held).await.0, 200);
    assert_eq!(end(&mut silent).await, (String::new(), false), "an RST: the kernel need not remember it");
    let mut answered = dial(&dialer, 5);
    say(&mut answered, "GET /never HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(end(&mut halfway).await, (String::new(), false));
    let mut last = dial(&dialer, 6);
    assert_eq!(ask(&mut last, "/two").await.0, 200);
    assert_eq!(end(&mut rested).await, (String::new(), true), "an RST could destroy its answer");
    assert_eq!(begun.elapsed(), Duration::ZERO, "no deadline was waited for");
    assert_eq!((service.connections.count(), service.connections.service.held()), (3, 1));
    say(&mut held, "still").await;
    let mut echo = [0; 5];
    held.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"still");
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_is_refused_at_once_where_no_connection_waits() {
    let (service, dialer) = with_room_for(2, TestService::default());
    let (mut held, mut answered) = (dial(&dialer, 1), dial(&dialer, 2));
    say(&mut held, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(answer(&mut held).await.0, 200);
    say(&mut answered, "GET /never HTTP/1.1\r\nHost: h\r\n\r\n").await;
    settle().await;
    let begun = Instant::now();
    // More than the server waits for after it has refused them.
    for last in 10..40 {
        let mut new = dial(&dialer, last);
        say(&mut new, "GET /one HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let (said, is_fin) = end(&mut new).await;
        assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("\r\nRetry-After: "), "{said}");
        assert!(said.ends_with("too many connections\n") && is_fin, "{said}");
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(service.connections.count(), 2);
    drop(answered);
    settle().await;
    let mut new = dial(&dialer, 3);
    assert_eq!(ask(&mut new, "/one").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_turned_away_is_not_waited_for_for_long() {
    let (service, dialer) = with_room_for(1, TestService::default());
    let mut answered = dial(&dialer, 1);
    say(&mut answered, "GET /never HTTP/1.1\r\nHost: h\r\n\r\n").await;
    settle().await;
    let free = || service.connections.lingering.available_permits();
    let all = free();
    let crowd: Vec<_> = (0..100).map(|_| dial(&dialer, 2)).collect();
    settle().await;
    assert_eq!(free(), 0, "some are");
    tokio::time::sleep(seconds(1) + Duration::from_millis(10)).await;
    settle().await;
    assert_eq!(free(), all);
    drop(crowd);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_being_answered_is_never_cut_for_a_new_connection() {
    let (service, dialer) = with_room_for(1, TestService::default());
    let mut peer = dial(&dialer, 1);
    say(&mut peer, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody").await;
    assert_eq!(answer(&mut peer).await, (200, "body".into()));
    // Its body has come, and the answer is under way.
    say(&mut peer, "POST /never HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody").await;
    settle().await;
    assert!(end(&mut dial(&dialer, 2)).await.0.starts_with("HTTP/1.1 503 "));
    assert_eq!(service.connections.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_makes_room_and_its_sender_is_told() {
    let (_service, dialer) = with_room_for(1, TestService::default());
    for begin in [
        "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo",
        "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n",
        "POST /body HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n",
    ] {
        let mut peer = dial(&dialer, 1);
        say(&mut peer, begin).await;
        settle().await;
        let mut new = dial(&dialer, 2);
        assert_eq!(ask(&mut new, "/one").await.0, 200, "{begin}");
        let (said, _) = end(&mut peer).await;
        assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("\r\nRetry-After: "), "{said}");
    }
    // A slow connection has waited since it began to wait.
    let (_service, dialer) = with_room_for(2, TestService::default());
    let mut slow = dial(&dialer, 1);
    say(&mut slow, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 40000\r\n\r\n").await;
    settle().await;
    let mut silent = dial(&dialer, 2);
    settle().await;
    say(&mut slow, "x").await;
    settle().await;
    let mut new = dial(&dialer, 3);
    assert_eq!(ask(&mut new, "/one").await.0, 200);
    assert!(end(&mut slow).await.0.starts_with("HTTP/1.1 503 "));
    say(&mut silent, "GET /two HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(answer(&mut silent).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_fast_is_not_asked_to_make_room() {
    let (_service, dialer) = with_room_for(1, TestService::default());
    let mut fast = dial(&dialer, 1);
    say(&mut fast, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n").await;
    for _ in 0..10 {
        say(&mut fast, &"x".repeat(20_000)).await;
        settle().await;
        let mut new = dial(&dialer, 2);
        settle().await;
        let mut said = [0; 13];
        if new.read_exact(&mut said).await.is_ok() {
            assert_eq!(&said, b"HTTP/1.1 503 ");
        }
        tokio::time::sleep(Duration::from_millis(900)).await;
    }
    assert_eq!(answer(&mut fast).await.1.len(), 200_000);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_taken_makes_room_and_cannot_pass_for_a_whole_one() {
    let (_service, dialer) = with_room_for(1, TestService::default());
    let mut peer = dial(&dialer, 1);
    say(&mut peer, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n").await;
    settle().await;
    let mut new = dial(&dialer, 2);
    assert_eq!(ask(&mut new, "/one").await.0, 200);
    let mut said = Vec::new();
    let is_cut = peer.read_to_end(&mut said).await.is_err();
    assert!(is_cut && !said.windows(12).any(|text| text == b"HTTP/1.1 503"), "{}", said.len());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_sent_a_whole_request_does_not_make_room_though_it_is_not_read_yet() {
    const TWO: &str = "GET /two HTTP/1.1\r\nHost: h\r\n\r\n";
    // Their tasks have not had a turn when they are asked to leave.
    let (service, dialer) = with_room_for(2, TestService::default());
    let mut answered = dial(&dialer, 1);
    say(&mut answered, "GET /never HTTP/1.1\r\nHost: h\r\n\r\n").await;
    settle().await;
    let mut crowd: Vec<_> = (10..30).map(|last| dial(&dialer, last)).collect();
    for peer in &mut crowd {
        say(peer, TWO).await;
    }
    for peer in &mut crowd {
        assert_eq!(answer(peer).await, (200, "/two".into()));
    }
    assert_eq!(service.connections.count(), 2);

    // One is between requests, and its next request comes before its task learns that it was asked for its slot or
    // parser.
    let parsers = ServerConfig { max_requests: 1, ..ServerConfig::default() };
    for (capacity, server_config) in [(1, ServerConfig::default()), (100, parsers)] {
        let (_service, dialer) = with_room_for(capacity, limited(server_config));
        let mut rested = dial(&dialer, 1);
        assert_eq!(ask(&mut rested, "/one").await.0, 200);
        for _ in 0..10 {
            let mut new = dial(&dialer, 2);
            say(&mut new, TWO).await;
            say(&mut rested, TWO).await;
            assert_eq!(answer(&mut rested).await, (200, "/two".into()));
            assert_eq!(answer(&mut new).await, (200, "/two".into()));
            if capacity == 1 {
                // It made room when it rested again.
                assert_eq!(end(&mut rested).await, (String::new(), true));
                rested = new;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_comes_back_from_a_hold_waits_like_any_other() {
    let (_service, dialer) = with_room_for(2, TestService::default());
    let (mut polled, mut silent) = (dial(&dialer, 1), dial(&dialer, 2));
    settle().await;
    assert_eq!(ask(&mut polled, "/poll").await, (200, "held".into()));
    settle().await;
    let mut new = dial(&dialer, 3);
    assert_eq!(ask(&mut new, "/never-mind").await.0, 200);
    assert!(!end(&mut silent).await.1, "it had waited longer");
    let mut new = dial(&dialer, 4);
    assert_eq!(ask(&mut new, "/one").await.0, 200);
    assert_eq!(end(&mut polled).await, (String::new(), true));
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_no_more_than_the_accepting_of_one_connection() {
    let (service, dialer) = with_room_for(1, TestService { panics_left: 2.into(), ..TestService::default() });
    let mut held = dial(&dialer, 1);
    say(&mut held, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(answer(&mut held).await.0, 200);
    for last in [2, 3] {
        let mut new = dial(&dialer, last);
        assert_eq!(end(&mut new).await.0, "", "dropped where it panicked");
    }
    let mut new = dial(&dialer, 4);
    assert_eq!(answer(&mut new).await.0, 503);
    drop(held);
    settle().await;
    assert_eq!(ask(&mut dial(&dialer, 5), "/page").await.0, 200);
    assert_eq!(service.connections.count(), 1);
}
