//! Where all HTTP parsers are taken, a connection that waits for its peer gives up its own; where none waits, requests
//! are refused.

use tokio::time::Instant;

use super::*;

#[tokio::test(start_paused = true)]
async fn where_all_parsers_are_taken_a_connection_that_waits_for_its_peer_makes_room() {
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
        // It sends nothing and has no parser: to evict it would free none.
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
async fn a_connection_between_requests_gives_up_its_parser_and_is_served_again() {
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
    // A connection that has begun with the next head is not between requests.
    say(&mut peers[0], "GET /ha").await;
    settle().await;
    assert_eq!(ask(&mut peers[1], "/one").await.0, 200);
    assert_eq!(end(&mut peers[0]).await, (String::new(), true));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(service.connections.count(), 3);
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
                        // Every parser was answering a request.
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
async fn a_request_is_refused_at_once_where_every_parser_is_answering() {
    let (service, dialer) =
        with_room_for(100, limited(ServerConfig { max_requests: 2, ..ServerConfig::default() }));
    let mut answered: Vec<_> = (1..=2).map(|last| dial(&dialer, last)).collect();
    for peer in &mut answered {
        say(peer, "GET /never HTTP/1.1\r\nHost: h\r\n\r\n").await;
    }
    settle().await;
    let begun = Instant::now();
    let mut new = dial(&dialer, 3);
    say(&mut new, "GET /one HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let (said, is_fin) = end(&mut new).await;
    assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("\r\nRetry-After: ") && is_fin, "{said}");
    assert_eq!(begun.elapsed(), Duration::ZERO);
    drop((answered, new));
    settle().await;
    let mut new = dial(&dialer, 4);
    assert_eq!(ask(&mut new, "/one").await.0, 200);
    // A hold has no parser.
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
