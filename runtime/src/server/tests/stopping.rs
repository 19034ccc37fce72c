//! Stopping: idle connections close, requests and holds under way finish, and what is left is cut.

use std::future::pending;

use tokio::time::{Instant, sleep};

use super::*;

#[tokio::test(start_paused = true)]
async fn resting_connections_close_at_once_and_holds_are_drained() {
    let (service, dialer, mut resting) = in_memory(TestService::default());
    let dial = || dialer.connect(SocketAddr::from(([10, 0, 0, 2], 1))).unwrap();
    let (mut silent, mut held, mut halfway) = (dial(), dial(), dial());
    assert_eq!(ask(&mut resting, "/one").await.0, 200);
    say(&mut halfway, "GET /hal").await;
    say(&mut held, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(answer(&mut held).await.0, 200);
    sleep(seconds(2)).await;
    let begun = Instant::now();
    let clients = async {
        for peer in [&mut resting, &mut silent, &mut held] {
            assert_eq!(rest(peer).await, "");
            peer.shutdown().await.unwrap();
        }
        assert!(begun.elapsed() < seconds(1));
        assert!(rest(&mut halfway).await.starts_with("HTTP/1.1 408 "));
        halfway.shutdown().await.unwrap();
    };
    let (drained, ()) = tokio::join!(service.shutdown(pending::<()>()), clients);
    assert_eq!((drained.holds_cut, drained.connections_cut), (0, 0));
    assert!(begun.elapsed() < seconds(2));
    assert!(dialer.connect(SocketAddr::from(([10, 0, 0, 2], 1))).is_err(), "the listener is gone");
}

#[tokio::test(start_paused = true)]
async fn an_answer_under_way_is_finished_and_says_close() {
    let (service, _, mut peer) = in_memory(TestService::default());
    say(&mut peer, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo").await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    let client = async {
        tokio::time::sleep(seconds(3)).await;
        say(&mut peer, "dy").await;
        let said = rest(&mut peer).await;
        drop(peer);
        said
    };
    let (drained, said) = tokio::join!(service.shutdown(pending::<()>()), client);
    assert_eq!(drained.connections_cut, 0);
    assert!(said.ends_with("\r\n\r\nbody"), "{said}");
    assert!(said.to_ascii_lowercase().contains("connection: close"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_on_its_way_is_answered_with_close() {
    let (service, dialer, mut again) = in_memory(TestService::default());
    let dial = || dialer.connect(SocketAddr::from(([10, 0, 0, 2], 1))).unwrap();
    let (mut fresh, mut halfway, mut silent) = (dial(), dial(), dial());
    assert_eq!(ask(&mut again, "/one").await.0, 200);
    say(&mut again, "GET /two HT").await;
    say(&mut halfway, "GET /three HT").await;
    sleep(Duration::from_millis(10)).await;
    let begun = Instant::now();
    let clients = async {
        sleep(Duration::from_millis(500)).await;
        say(&mut fresh, "GET /four HTTP/1.1\r\nHost: h\r\n\r\n").await;
        for (peer, tail, path) in [
            (&mut again, "TP/1.1\r\nHost: h\r\n\r\n", "/two"),
            (&mut halfway, "TP/1.1\r\nHost: h\r\n\r\n", "/three"),
            (&mut fresh, "", "/four"),
        ] {
            say(peer, tail).await;
            let said = rest(peer).await;
            assert!(
                said.starts_with("HTTP/1.1 200 ") && said.ends_with(&format!("\r\n\r\n{path}")),
                "{said}"
            );
            assert!(said.to_ascii_lowercase().contains("connection: close"), "{said}");
            peer.shutdown().await.unwrap();
        }
        assert!(begun.elapsed() < Duration::from_millis(600));
        assert_eq!(rest(&mut silent).await, "");
    };
    let (drained, ()) = tokio::join!(service.shutdown(pending::<()>()), clients);
    assert_eq!(drained.connections_cut, 0);
    assert!(begun.elapsed() < Duration::from_millis(1_100), "a silent connection is waited for no longer");
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_cuts_what_is_left() {
    let (service, _, mut held) = in_memory(TestService { ignores_drain: true, ..TestService::default() });
    say(&mut held, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(answer(&mut held).await.0, 200);
    let begun = Instant::now();
    let drained = service.shutdown(sleep(seconds(3))).await;
    assert_eq!((drained.holds_cut, drained.connections_cut), (1, 1));
    assert!((seconds(3)..seconds(4)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_is_left_after_the_drain_is_cut_and_reported() {
    let (service, dialer, mut stuck) =
        in_memory(TestService { ignores_drain: true, ..TestService::default() });
    let mut held = dialer.connect(SocketAddr::from(([10, 0, 0, 2], 1))).unwrap();
    say(&mut stuck, "GET /never HTTP/1.1\r\nHost: h\r\n\r\n").await;
    say(&mut held, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(answer(&mut held).await.0, 200);
    let begun = Instant::now();
    let connections = service.connections.clone();
    let drained = service.shutdown(pending::<()>()).await;
    assert_eq!((drained.holds_cut, drained.connections_cut), (1, 2));
    assert!((seconds(10)..=seconds(12)).contains(&begun.elapsed()));
    assert_eq!(connections.count(), 0);
    assert_eq!(rest(&mut held).await, "");
}

#[tokio::test]
async fn dropping_a_server_stops_its_tasks() {
    let (service, mut peer) = over_tcp(TestService::default()).await;
    assert_eq!(ask(&mut peer, "/one").await.0, 200);
    let connections = service.connections.clone();
    drop(service);
    connections.empty().await;
    assert_eq!(peer.read(&mut [0; 8]).await.unwrap_or(0), 0);
}
