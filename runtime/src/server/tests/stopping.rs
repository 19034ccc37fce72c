//! Stopping: what is idle closes, what is under way finishes, what is left is cut.

use tokio::time::Instant;

use super::*;

#[tokio::test(start_paused = true)]
async fn resting_connections_close_at_once_and_holds_are_drained() {
    let (service, dialer, mut resting) = in_memory(Inn::default());
    let dial = || dialer.connect(SocketAddr::from(([10, 0, 0, 2], 1))).unwrap();
    let (mut silent, mut held, mut halfway) = (dial(), dial(), dial());
    assert_eq!(ask(&mut resting, "/one").await.0, 200);
    say(&mut halfway, "GET /hal").await;
    say(&mut held, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(answer(&mut held).await.0, 200);
    let begun = Instant::now();
    let clients = async {
        for peer in [&mut resting, &mut silent, &mut held, &mut halfway] {
            assert_eq!(rest(peer).await, "");
            peer.shutdown().await.unwrap();
        }
    };
    let (drained, ()) = tokio::join!(service.shutdown(), clients);
    assert_eq!((drained.holds_cut, drained.connections_cut), (0, 0));
    assert!(begun.elapsed() < seconds(1));
    assert!(dialer.connect(SocketAddr::from(([10, 0, 0, 2], 1))).is_err(), "nobody listens");
}

#[tokio::test(start_paused = true)]
async fn an_answer_under_way_is_finished_and_says_close() {
    let (service, _, mut peer) = in_memory(Inn::default());
    say(&mut peer, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo").await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    let client = async {
        tokio::time::sleep(seconds(3)).await;
        say(&mut peer, "dy").await;
        let said = rest(&mut peer).await;
        drop(peer);
        said
    };
    let (drained, said) = tokio::join!(service.shutdown(), client);
    assert_eq!(drained.connections_cut, 0);
    assert!(said.ends_with("\r\n\r\nbody"), "{said}");
    assert!(said.to_ascii_lowercase().contains("connection: close"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn what_is_left_when_drain_has_passed_is_cut_and_reported() {
    let (service, dialer, mut stuck) = in_memory(Inn { deaf: true, ..Inn::default() });
    let mut held = dialer.connect(SocketAddr::from(([10, 0, 0, 2], 1))).unwrap();
    say(&mut stuck, "GET /never HTTP/1.1\r\nHost: h\r\n\r\n").await;
    say(&mut held, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(answer(&mut held).await.0, 200);
    let begun = Instant::now();
    let house = service.house.clone();
    let drained = service.shutdown().await;
    assert_eq!((drained.holds_cut, drained.connections_cut), (1, 2));
    assert!((seconds(10)..=seconds(12)).contains(&begun.elapsed()));
    assert_eq!(house.count(), 0);
    assert_eq!(rest(&mut held).await, "");
}

#[tokio::test]
async fn dropping_a_server_stops_its_tasks() {
    let (service, mut peer) = over_tcp(Inn::default()).await;
    assert_eq!(ask(&mut peer, "/one").await.0, 200);
    let house = service.house.clone();
    drop(service);
    house.empty().await;
    assert_eq!(peer.read(&mut [0; 8]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_full_house_takes_nobody_in_until_somebody_leaves() {
    let (door, dialer) = MemoryDoor::new();
    let dial = || dialer.connect(SocketAddr::from(([10, 0, 0, 1], 1))).unwrap();
    let (mut first, mut second) = (dial(), dial());
    let service = start(door, Inn::default(), 1);
    assert_eq!(ask(&mut first, "/one").await.0, 200);
    say(&mut second, "GET /two HTTP/1.1\r\nHost: h\r\n\r\n").await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(service.house.count(), 1);
    drop(first);
    assert_eq!(answer(&mut second).await, (200, "/two".into()));
}
