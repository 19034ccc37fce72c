//! What one address may have and do: a share of the connections, and a rate of new ones.

use super::*;

#[tokio::test(start_paused = true)]
async fn one_address_does_not_exceed_its_share_when_the_connection_asked_to_leave_stays() {
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
    // Other limits bound the holds.
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
async fn one_address_may_not_connect_more_often_than_it_is_allowed_to() {
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
async fn a_trusted_proxy_is_not_counted_nor_is_this_machine_unless_a_bound_was_set() {
    let proxies = vec!["10.0.0.1/32".parse().unwrap()];
    let trusting =
        ServerConfig { max_connects_per_peer: Some(1), trusted_proxies: proxies, ..ServerConfig::default() };
    for (server_config, from, all_are_served) in [
        (trusting.clone(), [10, 0, 0, 1], true),
        (trusting, [10, 0, 0, 2], false),
        (ServerConfig::default(), [127, 0, 0, 1], true),
        // A share of all connections, of which there may be few here.
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
