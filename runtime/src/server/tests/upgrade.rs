//! WebSockets of the fallback: connections that hyper upgrades.

use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::routing::get;

use super::*;
use crate::dispatch::fallback::Fallback;

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn router() -> TestService {
    let router = axum::Router::new()
        .route(
            "/ws",
            get(|upgrade: WebSocketUpgrade| async {
                upgrade.on_upgrade(|mut socket| async move {
                    while let Some(Ok(Message::Text(text))) = socket.recv().await {
                        let _ = socket.send(Message::Text(text)).await;
                    }
                })
            }),
        )
        .route("/panic", get(|| async { panic!("on purpose") as &'static str }))
        .route("/plain", get(|| async { "plain" }));
    TestService { fallback: Some(Fallback::new(router)), ..TestService::default() }
}

#[tokio::test]
async fn a_websocket_of_the_fallback_works_after_a_hold_and_is_counted() {
    let (service, mut peer) = over_tcp(router()).await;
    assert_eq!(ask(&mut peer, "/poll").await, (200, "held".into()));
    say(&mut peer, UPGRADE).await;
    assert_eq!(answer(&mut peer).await.0, 101);
    // A masked text frame, "hi", its mask all zeros.
    peer.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).await.unwrap();
    let mut frame = [0; 4];
    peer.read_exact(&mut frame).await.unwrap();
    assert_eq!(&frame, &[0x81, 2, b'h', b'i']);
    assert_eq!(service.connections.count(), 1, "still counted");
    drop(peer);
    service.connections.empty().await;
}

#[tokio::test]
async fn what_comes_after_an_upgrade_is_not_read_as_a_head() {
    let texts = ["\n\n", "\nGET /plain HTTP/1.1\n\n", "a\rb", "\r\n\r\n\n"];
    for together in [true, false] {
        let (_service, mut peer) = over_tcp(router()).await;
        let frames =
            texts.map(|text| [&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], text.as_bytes()].concat());
        // Also what a client sends before it has read our answer.
        let first = if together { [UPGRADE.as_bytes(), &frames[0]].concat() } else { UPGRADE.into() };
        peer.write_all(&first).await.unwrap();
        assert_eq!(answer(&mut peer).await.0, 101);
        for (number, (text, frame)) in texts.iter().zip(&frames).enumerate() {
            if number > 0 || !together {
                peer.write_all(frame).await.unwrap();
            }
            let mut echo = vec![0; 2 + text.len()];
            peer.read_exact(&mut echo).await.unwrap();
            assert_eq!(echo, [&[0x81, text.len() as u8], text.as_bytes()].concat());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_websocket_of_the_fallback_is_cut_after_the_drain() {
    let (service, _, mut peer) = in_memory(router());
    say(&mut peer, UPGRADE).await;
    assert_eq!(answer(&mut peer).await.0, 101);
    let drained = service.shutdown(std::future::pending::<()>()).await;
    assert_eq!(drained.connections_cut, 1);
    assert!(peer.read(&mut [0; 8]).await.is_err(), "reset");
}

#[tokio::test]
async fn a_panic_in_the_fallback_is_a_500_and_the_connection_lives_on() {
    let (_service, mut peer) = over_tcp(router()).await;
    assert_eq!(ask(&mut peer, "/panic").await.0, 500);
    assert_eq!(ask(&mut peer, "/plain").await, (200, "plain".into()));
}

#[tokio::test(start_paused = true)]
async fn websockets_of_the_fallback_count_under_the_bound_of_their_address() {
    let server_config = ServerConfig { max_unheld_per_peer: Some(3), ..ServerConfig::default() };
    let (service, dialer) = with_room_for(100, TestService { server_config, ..router() });
    let dial = |last| dialer.connect(SocketAddr::from(([10, 0, 0, last], 1))).unwrap();
    let mut upgraded = Vec::new();
    for _ in 0..3 {
        let mut peer = dial(1);
        say(&mut peer, UPGRADE).await;
        assert_eq!(answer(&mut peer).await.0, 101);
        upgraded.push(peer);
    }
    for _ in 0..3 {
        let mut refused = dial(1);
        assert_eq!(ask(&mut refused, "/plain").await.0, 429);
    }
    let mut other = dial(2);
    assert_eq!(ask(&mut other, "/plain").await, (200, "plain".into()));
    assert_eq!(service.connections.count(), 4);
    // They are the application's, and none of them is asked to leave.
    for peer in &mut upgraded {
        peer.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).await.unwrap();
        let mut frame = [0; 4];
        peer.read_exact(&mut frame).await.unwrap();
        assert_eq!(&frame, &[0x81, 2, b'h', b'i']);
    }
    drop(upgraded.pop());
    while service.connections.count() > 3 {
        tokio::task::yield_now().await;
    }
    let mut peer = dial(1);
    assert_eq!(ask(&mut peer, "/plain").await.0, 200);
}
