//! All places are taken: a connection that waits for its peer makes room, and where none waits, newcomers are told so.

use tokio::time::Instant;

use super::*;

fn dial(dialer: &Dialer, last: u8) -> MemoryStream {
    dialer.connect(SocketAddr::from(([10, 0, 0, last], 1))).unwrap()
}

/// Lets everybody else have a turn, until nothing moves any more.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Reads to the end; whether it was a FIN.
async fn end(peer: &mut MemoryStream) -> (String, bool) {
    let mut said = Vec::new();
    let is_fin = peer.read_to_end(&mut said).await.is_ok();
    (String::from_utf8(said).unwrap(), is_fin)
}

fn limited(server_config: ServerConfig) -> TestService {
    TestService { server_config, ..TestService::default() }
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_takes_the_place_of_who_has_waited_longest() {
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
    assert_eq!(end(&mut silent).await, (String::new(), false), "the kernel need not remember it");
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
async fn where_no_connection_waits_a_newcomer_is_told_so_at_once() {
    let (service, dialer) = with_room_for(2, TestService::default());
    let (mut held, mut answered) = (dial(&dialer, 1), dial(&dialer, 2));
    say(&mut held, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(answer(&mut held).await.0, 200);
    say(&mut answered, "GET /never HTTP/1.1\r\nHost: h\r\n\r\n").await;
    settle().await;
    let begun = Instant::now();
    // More than are waited for after they were told.
    for last in 10..40 {
        let mut newcomer = dial(&dialer, last);
        say(&mut newcomer, "GET /one HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let (said, is_fin) = end(&mut newcomer).await;
        assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("\r\nRetry-After: "), "{said}");
        assert!(said.ends_with("too many connections\n") && is_fin, "{said}");
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(service.connections.count(), 2);
    drop(answered);
    settle().await;
    let mut newcomer = dial(&dialer, 3);
    assert_eq!(ask(&mut newcomer, "/one").await.0, 200);
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
async fn a_request_that_is_being_answered_is_never_cut_for_a_newcomer() {
    let (service, dialer) = with_room_for(1, TestService::default());
    let mut peer = dial(&dialer, 1);
    say(&mut peer, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody").await;
    assert_eq!(answer(&mut peer).await, (200, "body".into()));
    // Its body is there, and something is made of it.
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
        let mut newcomer = dial(&dialer, 2);
        assert_eq!(ask(&mut newcomer, "/one").await.0, 200, "{begin}");
        let (said, _) = end(&mut peer).await;
        assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("\r\nRetry-After: "), "{said}");
    }
    // One that trickles has waited since it began to.
    let (_service, dialer) = with_room_for(2, TestService::default());
    let mut slow = dial(&dialer, 1);
    say(&mut slow, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 40000\r\n\r\n").await;
    settle().await;
    let mut silent = dial(&dialer, 2);
    settle().await;
    say(&mut slow, "x").await;
    settle().await;
    let mut newcomer = dial(&dialer, 3);
    assert_eq!(ask(&mut newcomer, "/one").await.0, 200);
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
        let mut newcomer = dial(&dialer, 2);
        settle().await;
        let mut said = [0; 13];
        if newcomer.read_exact(&mut said).await.is_ok() {
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
    let mut newcomer = dial(&dialer, 2);
    assert_eq!(ask(&mut newcomer, "/one").await.0, 200);
    let mut said = Vec::new();
    let is_cut = peer.read_to_end(&mut said).await.is_err();
    assert!(is_cut && !said.windows(12).any(|text| text == b"HTTP/1.1 503"), "{}", said.len());
}

#[tokio::test(start_paused = true)]
async fn where_all_parsers_are_taken_who_waits_for_its_own_peer_makes_room() {
    let service = || limited(ServerConfig { max_requests: 4, ..ServerConfig::default() });
    for half in [
        "GET /ha",
        "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 9000000\r\n\r\nbo",
        "GET /big HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        let (service, dialer) = with_room_for(100, service());
        let mut slow = Vec::new();
        for last in 1..=4 {
            slow.push(dial(&dialer, last));
            say(&mut slow[usize::from(last) - 1], half).await;
            settle().await;
        }
        let begun = Instant::now();
        // It says nothing, and has no parser: evicting it would help no other.
        let silent = dial(&dialer, 5);
        for last in 10..13 {
            let mut good = dial(&dialer, last);
            assert_eq!(ask(&mut good, "/one").await.0, 200, "{half}");
            drop(good);
            settle().await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO, "{half}: no deadline was waited for");
        assert_eq!(service.connections.count(), 4, "{half}: the first left, and the silent one is there");
        let mut said = Vec::new();
        let _ = slow[0].read_to_end(&mut said).await;
        drop((slow, silent));
    }
}

#[tokio::test(start_paused = true)]
async fn who_rests_puts_its_parser_down_for_another_and_is_served_on() {
    let (service, dialer) =
        with_room_for(100, limited(ServerConfig { max_requests: 1, ..ServerConfig::default() }));
    let begun = Instant::now();
    let mut peers: Vec<_> = (1..=4).map(|last| dial(&dialer, last)).collect();
    for turn in 0..20 {
        for peer in &mut peers {
            assert_eq!(ask(peer, "/one").await, (200, "/one".into()), "{turn}");
            say(peer, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody").await;
            assert_eq!(answer(peer).await, (200, "body".into()), "{turn}");
        }
    }
    // A body that is not read is no part of the next request.
    for peer in &mut peers {
        say(peer, "POST /one HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nGET ").await;
        assert_eq!(answer(peer).await, (200, "/one".into()));
    }
    assert_eq!(ask(&mut peers[0], "/two").await, (200, "/two".into()));
    // Who has begun with the next head does not rest.
    say(&mut peers[0], "GET /ha").await;
    settle().await;
    assert_eq!(ask(&mut peers[1], "/one").await.0, 200);
    assert_eq!(end(&mut peers[0]).await, (String::new(), true));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(service.connections.count(), 3);
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

    // One rests, and its next request is there before it hears that its parser, or its place, is asked for.
    let parsers = ServerConfig { max_requests: 1, ..ServerConfig::default() };
    for (places, server_config) in [(1, ServerConfig::default()), (100, parsers)] {
        let (_service, dialer) = with_room_for(places, limited(server_config));
        let mut rested = dial(&dialer, 1);
        assert_eq!(ask(&mut rested, "/one").await.0, 200);
        for _ in 0..10 {
            let mut newcomer = dial(&dialer, 2);
            say(&mut newcomer, TWO).await;
            say(&mut rested, TWO).await;
            assert_eq!(answer(&mut rested).await, (200, "/two".into()));
            assert_eq!(answer(&mut newcomer).await, (200, "/two".into()));
            if places == 1 {
                // It made room when it rested again.
                assert_eq!(end(&mut rested).await, (String::new(), true));
                rested = newcomer;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_crowd_at_few_parsers_no_request_is_left_without_an_answer() {
    let few = ServerConfig { max_requests: 3, ..ServerConfig::default() };
    let (service, _) = over_tcp(limited(few)).await;
    let addr = service.local_addr;
    let clients = (0..24).map(|_| {
        tokio::spawn(async move {
            let mut served = 0;
            while served < 100 {
                let mut peer = TcpStream::connect(addr).await.unwrap();
                loop {
                    match ask(&mut peer, "/one").await {
                        (200, body) => assert_eq!(body, "/one"),
                        // Every parser had a request that was being answered.
                        (status, _) => break assert_eq!(status, 503),
                    }
                    served += 1;
                    if served % 50 == 0 {
                        break;
                    }
                }
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_share_is_not_exceeded_where_who_is_asked_for_a_place_stays() {
    let never = "GET /never HTTP/1.1\r\nHost: h\r\n\r\n";
    let server_config = ServerConfig { max_unheld_per_peer: Some(2), ..ServerConfig::default() };
    let (service, dialer) = with_room_for(100, limited(server_config));
    let (mut first, mut second) = (dial(&dialer, 1), dial(&dialer, 1));
    settle().await;
    let mut third = dial(&dialer, 1);
    say(&mut first, never).await;
    say(&mut third, never).await;
    settle().await;
    assert_eq!(end(&mut second).await, (String::new(), false), "the first has a request");
    assert_eq!(service.connections.count(), 2);
    let (said, _) = end(&mut dial(&dialer, 1)).await;
    assert!(said.starts_with("HTTP/1.1 429 "), "{said}");
}

#[tokio::test(start_paused = true)]
async fn where_all_parsers_answer_a_newcomer_is_told_so_at_once() {
    let (service, dialer) =
        with_room_for(100, limited(ServerConfig { max_requests: 2, ..ServerConfig::default() }));
    let mut answered: Vec<_> = (1..=2).map(|last| dial(&dialer, last)).collect();
    for peer in &mut answered {
        say(peer, "GET /never HTTP/1.1\r\nHost: h\r\n\r\n").await;
    }
    settle().await;
    let begun = Instant::now();
    let mut newcomer = dial(&dialer, 3);
    say(&mut newcomer, "GET /one HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let (said, is_fin) = end(&mut newcomer).await;
    assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("\r\nRetry-After: ") && is_fin, "{said}");
    assert_eq!(begun.elapsed(), Duration::ZERO);
    drop((answered, newcomer));
    settle().await;
    let mut newcomer = dial(&dialer, 4);
    assert_eq!(ask(&mut newcomer, "/one").await.0, 200);
    // A hold has none.
    for last in 5..10 {
        let mut held = dial(&dialer, last);
        say(&mut held, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert_eq!(answer(&mut held).await.0, 200);
        std::mem::forget(held);
    }
    assert_eq!(service.connections.service.held(), 5);
}

#[tokio::test(start_paused = true)]
async fn one_address_has_a_share_of_the_parsers() {
    let server_config = ServerConfig { max_requests: 64, ..ServerConfig::default() };
    let (_service, dialer) = with_room_for(1000, limited(server_config));
    let mut crowd: Vec<_> = (0..20).map(|_| dial(&dialer, 1)).collect();
    for peer in &mut crowd {
        say(peer, "GET /never HTTP/1.1\r\nHost: h\r\n\r\n").await;
    }
    settle().await;
    for peer in &mut crowd[16..] {
        assert!(end(peer).await.0.starts_with("HTTP/1.1 429 "));
    }
    let mut other = dial(&dialer, 2);
    assert_eq!(ask(&mut other, "/one").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_comes_back_from_a_hold_waits_like_any_other() {
    let (_service, dialer) = with_room_for(2, TestService::default());
    let (mut polled, mut silent) = (dial(&dialer, 1), dial(&dialer, 2));
    settle().await;
    assert_eq!(ask(&mut polled, "/poll").await, (200, "held".into()));
    settle().await;
    let mut newcomer = dial(&dialer, 3);
    assert_eq!(ask(&mut newcomer, "/never-mind").await.0, 200);
    assert!(!end(&mut silent).await.1, "it had waited longer");
    let mut newcomer = dial(&dialer, 4);
    assert_eq!(ask(&mut newcomer, "/one").await.0, 200);
    assert_eq!(end(&mut polled).await, (String::new(), true));
}

#[tokio::test(start_paused = true)]
async fn one_address_with_too_many_connections_makes_room_for_itself_or_is_refused() {
    let server_config = ServerConfig { max_unheld_per_peer: Some(2), ..ServerConfig::default() };
    let (service, dialer) = with_room_for(100, limited(server_config));
    let mut other = dial(&dialer, 9);
    settle().await;
    let mut crowd: Vec<_> = (0..20).map(|_| dial(&dialer, 1)).collect();
    settle().await;
    assert_eq!(service.connections.count(), 3);
    for peer in &mut crowd[..18] {
        assert_eq!(end(peer).await, (String::new(), false));
    }
    for peer in &mut crowd[18..] {
        say(peer, "GET /never HTTP/1.1\r\nHost: h\r\n\r\n").await;
    }
    settle().await;
    let (said, _) = end(&mut dial(&dialer, 1)).await;
    assert!(said.starts_with("HTTP/1.1 429 ") && said.contains("\r\nRetry-After: "), "{said}");
    assert_eq!(ask(&mut other, "/one").await.0, 200);
    // What is held is bounded by other limits.
    drop(crowd);
    settle().await;
    let mut holds = Vec::new();
    for _ in 0..5 {
        let mut peer = dial(&dialer, 1);
        say(&mut peer, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert_eq!(answer(&mut peer).await.0, 200);
        holds.push(peer);
    }
    assert_eq!(service.connections.service.held(), 5);
}

#[tokio::test(start_paused = true)]
async fn one_address_may_not_come_more_often_than_it_is_allowed_to() {
    let server_config = ServerConfig { max_connects_per_peer: Some(3), ..ServerConfig::default() };
    let (_service, dialer) = with_room_for(100, limited(server_config));
    for round in 0..3 {
        for turn in 0..6 {
            let mut peer = dial(&dialer, 1);
            assert_eq!(ask(&mut peer, "/one").await.0, if turn < 3 { 200 } else { 429 }, "{round} {turn}");
        }
        let mut other = dial(&dialer, round + 2);
        assert_eq!(ask(&mut other, "/one").await.0, 200);
        tokio::time::sleep(seconds(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_trusted_proxy_is_not_counted_nor_is_this_machine_unless_something_was_said() {
    let proxies = vec!["10.0.0.1/32".parse().unwrap()];
    let trusting =
        ServerConfig { max_connects_per_peer: Some(1), trusted_proxies: proxies, ..ServerConfig::default() };
    for (server_config, from, all_are_served) in [
        (trusting.clone(), [10, 0, 0, 1], true),
        (trusting, [10, 0, 0, 2], false),
        (ServerConfig::default(), [127, 0, 0, 1], true),
        // A share of the places, of which there are few here.
        (ServerConfig::default(), [10, 0, 0, 1], false),
        (ServerConfig { max_unheld_per_peer: Some(20), ..ServerConfig::default() }, [127, 0, 0, 1], false),
    ] {
        let (_service, dialer) = with_room_for(64, limited(server_config));
        let mut served = 0;
        let mut crowd = Vec::new();
        for _ in 0..30 {
            let mut peer = dialer.connect(SocketAddr::from((from, 1))).unwrap();
            say(&mut peer, "GET /never HTTP/1.1\r\nHost: h\r\n\r\n").await;
            settle().await;
            let mut answered = [0; 12];
            let answer = tokio::time::timeout(Duration::from_millis(1), peer.read(&mut answered)).await;
            served += usize::from(answer.is_err());
            crowd.push(peer);
        }
        assert_eq!(served == 30, all_are_served, "{from:?}: {served}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_no_more_than_the_accepting_of_one_newcomer() {
    let (service, dialer) = with_room_for(1, TestService { stumbles: 2.into(), ..TestService::default() });
    let mut held = dial(&dialer, 1);
    say(&mut held, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(answer(&mut held).await.0, 200);
    for last in [2, 3] {
        let mut newcomer = dial(&dialer, last);
        assert_eq!(end(&mut newcomer).await.0, "", "dropped where it panicked");
    }
    let mut newcomer = dial(&dialer, 4);
    assert_eq!(answer(&mut newcomer).await.0, 503);
    drop(held);
    settle().await;
    assert_eq!(ask(&mut dial(&dialer, 5), "/page").await.0, 200);
    assert_eq!(service.connections.count(), 1);
}
