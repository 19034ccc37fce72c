//! The audits of the server, with a socket that leaks on purpose.

use super::*;
use crate::keeper::hub::Hub;

async fn until(service: &Serving<TestService>, count: usize) {
    while service.connections.count() != count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_socket_that_is_kept_is_a_leak_even_when_both_sides_have_closed_it() {
    let service = TestService::default();
    let kept = service.kept.clone();
    let (service, first) = over_tcp(service).await;
    let hub = Hub::new(Keeper::new());
    let mut peers = vec![first];
    for _ in 0..3 {
        peers.push(TcpStream::connect(service.local_addr).await.unwrap());
    }
    for peer in &mut peers {
        assert_eq!(ask(peer, "/keep").await.0, 200);
    }
    until(&service, 0).await;
    // A resting connection is no leak.
    let mut pending = TcpStream::connect(service.local_addr).await.unwrap();
    assert_eq!(ask(&mut pending, "/page").await.0, 200);
    drop(peers);
    for turn in 0..3 {
        assert!(hub.audit().is_none_or(|audit| audit.is_clean()), "{turn}");
        hub.judge(service.look(|| 0).await.expect("procfs"));
    }
    let audit = hub.audit().unwrap();
    assert_eq!((audit.connections, audit.open, audit.leaked, audit.is_clean()), (1, 5, 4, false));

    kept.lock().clear();
    hub.judge(service.look(|| 0).await.expect("procfs"));
    let audit = hub.audit().unwrap();
    assert_eq!((audit.connections, audit.open, audit.is_clean()), (1, 1, true));
}

#[tokio::test]
async fn a_server_in_memory_has_no_audit() {
    let (service, _dialer, _peer) = in_memory(TestService::default());
    assert_eq!(service.look(|| 0).await, None);
}
